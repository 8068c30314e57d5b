//! The page for a browser: bounded, self-contained, the same every time, and harmless whatever the texts in it say.

use gsh_model::run::RunState;
use gsh_reports::beside::{Beside, Excerpt, Verdict};
use gsh_reports::format::Format;
use gsh_reports::html;
use proptest::prelude::*;

use crate::sample;

fn page(run: &RunState) -> String {
    html::render(run, &Beside::default())
}

#[test]
fn a_page_says_what_a_reader_asks_first() {
    let page = page(&sample::run("permission granted"));
    for needed in [
        "not finished",
        "<b>emulated</b>",
        "id=\"c-default--ssh-on-22\"",
        "href=\"#c-default--ssh-on-22\"",
        "GSH-SSH-004",
        "shift by os",
        "gsh sweep --run",
        "gsh run --cover full --select",
    ] {
        let found = page.contains(needed);
        // Only one axis varies in the sample, so nothing is crossed.
        assert_eq!(found, needed != "shift by os", "{needed}");
    }
}

#[test]
fn a_thousand_cells_fit_and_the_page_says_what_it_lacks() {
    let text = page(&sample::wide(1000, 4));
    assert!(text.len() <= html::MOST, "{} bytes", text.len());
    assert_eq!(text.matches("<tr class=\"good\" data-cell=").count(), 900, "every cell is in the matrix");
    assert!(text.contains("KiB, it lacks: "), "what is dropped is said");
    assert!(!page(&sample::wide(20, 4)).contains("it lacks"), "a small run lacks nothing");
}

#[test]
fn details_are_dropped_in_the_documented_order() {
    let run = sample::wide(200, 4);
    let lacking = |most: usize| {
        let text = html::render_within(&run, &Beside::default(), most);
        assert!(text.len() <= most, "{} of {most} bytes", text.len());
        text.split_once("it lacks: ")
            .map_or_else(String::new, |(_, rest)| rest[..rest.find(". ").expect("an end")].to_owned())
    };
    let order: Vec<String> = [4 << 20, 700 << 10, 300 << 10, 240 << 10, 100 << 10].map(lacking).to_vec();
    insta::assert_yaml_snapshot!(order);
}

#[test]
fn two_axes_are_crossed_in_both_directions() {
    let text = page(&sample::wide(36, 1));
    for caption in ["shift by os", "os by shift"] {
        assert!(text.contains(caption), "{caption}");
    }
}

#[test]
fn the_gate_speaks_first_where_it_has_spoken() {
    let verdict = Verdict { word: "fail".to_owned(), reasons: vec!["evidence is emulated".to_owned()] };
    let beside = Beside { verdict: Some(verdict), ..Beside::default() };
    let page = html::render(&sample::run("x"), &beside);
    assert!(page.contains("the gate says fail") && page.contains("<li>evidence is emulated</li>"), "{}", &page[..200]);
}

#[test]
fn what_changed_since_an_earlier_run_is_listed() {
    let beside = Beside { baseline: Some(sample::green()), ..Beside::default() };
    let page = html::render(&sample::run("x"), &beside);
    for needed in ["What changed since r20261122-1-aaaa", "newly failing", "newly flaky", "newly unclear"] {
        assert!(page.contains(needed), "{needed}");
    }
    let same = html::render(&sample::green(), &beside);
    assert!(same.contains("<p>Nothing.</p>"), "a run does not differ from itself");
}

#[test]
fn excerpts_have_a_number_and_an_anchor_for_every_line() {
    let run = sample::run("x");
    let mut beside = Beside::default();
    beside
        .excerpts
        .insert("artifacts/default/ssh.log".to_owned(), Excerpt::of("first\n</pre><script>alert(1)</script>\n"));
    let page = html::render(&run, &beside);
    assert!(
        page.contains("id=\"l-default--ssh-on-22-1-0-2\"><b>2</b> &lt;/pre&gt;&lt;script&gt;"),
        "anchor and escape"
    );
    assert!(page.contains("href=\"./artifacts/default/ssh.log\""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_becomes_markup(text in any::<String>(), tail in "(</script><script>alert\\(1\\)</script>|<img src=x onerror=alert\\(1\\)>|\"'><|&lt;|\\x1b\\[31m|javascript:|-->){0,3}") {
        let hostile = format!("{text}{tail}");
        let with = page(&sample::run(&hostile));
        let plain = page(&sample::run("plain"));
        // Every element that the page has with plain text it has with any text, and no other.
        for tag in ["<script", "<img", "<style", "<a ", "<details", "<svg", "<li", "onerror=alert(1)>"] {
            prop_assert_eq!(with.matches(tag).count(), plain.matches(tag).count(), "{}", tag);
        }
        prop_assert_eq!(&with, &page(&sample::run(&hostile)), "the same run gives the same bytes");
    }
}

#[test]
fn formats_know_their_files() {
    let names: Vec<_> = Format::ALL.iter().filter_map(|f| f.file_name()).collect();
    assert_eq!(names, ["junit.xml", "summary.md", "results.json", "report.html"]);
}
