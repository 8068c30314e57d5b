//! The page for a browser: bounded, self-contained, the same every time, and harmless whatever the texts in it say.

use gsh_model::history::{History, RunSummary};
use gsh_model::matrix::Matrix;
use gsh_model::run::RunState;
use gsh_reports::beside::{Beside, Excerpt, Proven, Verdict};
use gsh_reports::change::Earlier;
use gsh_reports::format::Format;
use gsh_reports::past::Past;
use gsh_reports::{html, markdown};
use jiff::SignedDuration;
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
    let verdict = Verdict {
        word: "fail".to_owned(),
        reasons: vec!["evidence is emulated".to_owned()],
        proven: Some(Proven { t: 2, covered: 98, feasible: 123 }),
        waivers: vec!["slow-ssh: matched, until 2026-12-20, ada".to_owned()],
    };
    let beside = Beside { verdict: Some(verdict), ..Beside::default() };
    let page = html::render(&sample::run("x"), &beside);
    let order = [
        "the gate says fail",
        "Evidence <b>emulated</b>",
        "<li>evidence is emulated</li>",
        "<b>98 of 123 pairs of values</b>",
        "Waiver slow-ssh",
        "The run itself",
    ];
    let places: Vec<Option<usize>> = order.iter().map(|needed| page.find(needed)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
}

#[test]
fn what_changed_since_an_earlier_run_is_listed() {
    let beside = Beside { baseline: Some(Earlier::of(&sample::green())), ..Beside::default() };
    let page = html::render(&sample::run("x"), &beside);
    for needed in ["What changed since r20261122-1-aaaa", "newly failing", "newly flaky", "newly unclear"] {
        assert!(page.contains(needed), "{needed}");
    }
    let same = html::render(&sample::green(), &beside);
    assert!(same.contains("<p>Nothing.</p>"), "a run does not differ from itself");
}

fn two_axes() -> Matrix {
    Matrix::parse("[axes]\nshift = [\"fuse\", \"shiftfs\"]\nos = [\"ubuntu-22.04\", \"ubuntu-24.04\"]")
        .expect("a matrix")
}

fn with_past(history: &History, run: &RunState) -> Beside {
    let past = Past::of(history, run, &two_axes());
    Beside { baseline: past.as_ref().and_then(|p| p.last_green.clone()), past, ..Beside::default() }
}

#[test]
fn a_history_shows_strips_pairs_and_what_changed_since_the_last_green_run() {
    let now = sample::run("permission granted");
    let mut runs = sample::earlier(&sample::green(), &[0, 0]).runs().to_vec();
    // The night before was as red as this one: it is no night to compare with.
    let mut red = sample::earlier(&now, &[1]).runs()[0].clone();
    red.run = "r20261122-9-ffff".parse().expect("a run id");
    runs.push(red);
    let beside = with_past(&History::new(runs), &now);
    let page = html::render(&now, &beside);
    for needed in [
        "What changed since the last green run, r20261101-1-0000",
        "newly failing",
        // The strip of a cell in the matrix, and that of a subject with its interval.
        "aria-label=\"before: 2 passed, 1 failed\"><span class=\"p\">✓✓</span><span class=\"f\">✗</span>",
        "passed 2 of 3",
        "in 1 of the 3 earlier runs, first 1 day before in r20261122-9-ffff",
        // shift and os have six pairs with the other nine axes at one value each; two cells of os=ubuntu-22.04 were green.
        "were green at some time",
        "never green",
        "os=ubuntu-24.04",
        "red when last seen",
    ] {
        assert!(page.contains(needed), "{needed}");
    }
    assert_eq!(page, html::render(&now, &beside), "the same history gives the same bytes");
    let summary = markdown::render_with(&now, &beside);
    assert!(summary.contains("Changed since the last green run, `r20261101-1-0000`: "), "{summary}");
    assert!(summary.contains("Pairs of values: "), "{summary}");

    let never = html::render(&now, &with_past(&sample::earlier(&now, &[1, 3]), &now));
    assert!(never.contains("None of the 2 earlier runs was green"), "what cannot be compared is said");
}

#[test]
fn what_began_later_or_is_the_run_itself_is_no_past() {
    let now = sample::green();
    let mut runs = sample::earlier(&now, &[0]).runs().to_vec();
    let itself = RunSummary::of(&now).expect("it was planned");
    let later = RunSummary {
        run: "r20261224-1-0000".parse().expect("a run id"),
        started: itself.started + SignedDuration::from_hours(24),
        ..itself.clone()
    };
    runs.extend([itself, later]);
    let past = Past::of(&History::new(runs), &now, &two_axes()).expect("it has begun");
    assert_eq!(past.runs, 1);
    assert!(past.cells.values().all(|strip| strip.len() == 1), "{:?}", past.cells);
    let here = past.pairs.iter().filter(|p| p.last_green.as_ref().is_some_and(|s| s.run == past.run)).count();
    assert!(here > 0 && past.pairs.iter().all(|p| p.green <= 4), "the run itself counts for the pairs, once");
}

#[test]
fn a_thousand_cells_with_a_history_fit() {
    let run = sample::wide(1000, 4);
    let beside = with_past(&sample::earlier(&run, &[1; 30]), &run);
    let text = html::render(&run, &beside);
    assert!(text.len() <= html::MOST, "{} bytes", text.len());
    assert_eq!(text.matches("<td class=\"past\">").count(), 1000, "every cell has its strip");
    let run = sample::wide(200, 4);
    let smallest = html::render_within(&run, &with_past(&sample::earlier(&run, &[1; 3]), &run), 100 << 10);
    assert!(smallest.len() <= 100 << 10 && !smallest.contains("<td class=\"past\">"), "{} bytes", smallest.len());
    assert!(smallest.contains("were green at some time"), "the numbers stay");
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
