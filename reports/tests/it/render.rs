//! Reports of a small run with every kind of outcome, with any text at all in every place where text can stand.

use gsh_model::run::RunState;
use gsh_reports::beside::Beside;
use gsh_reports::format::{Format, render};
use gsh_reports::markdown;
use proptest::prelude::*;

use crate::sample::{self, run};

#[test]
fn junit_reads_well() {
    insta::assert_snapshot!(render(Format::Junit, &run("permission granted <b>&\n]]> \u{1b}[31mred")));
}

#[test]
fn summary_reads_well() {
    insta::assert_snapshot!(render(Format::Markdown, &run("permission granted <b>| `x`\n")));
}

#[test]
fn results_read_well() {
    insta::assert_snapshot!(render(Format::Json, &run("permission granted")));
}

#[test]
fn a_run_of_nothing_renders_in_every_format() {
    for format in Format::ALL {
        let text = render(format, &RunState::default());
        assert!(!text.is_empty());
    }
    let xml = render(Format::Junit, &RunState::default());
    roxmltree::Document::parse(&xml).unwrap_or_else(|e| panic!("{e}: {xml}"));
}

#[test]
fn strict_junit_reads_well() {
    insta::assert_snapshot!(render(Format::JunitStrict, &run("permission granted")));
}

#[test]
fn annotations_read_well() {
    insta::assert_snapshot!(render(Format::Github, &run("100%\n::set-output name=x::y")));
}

#[test]
fn ctrf_reads_well() {
    insta::assert_snapshot!(render(Format::Ctrf, &run("permission granted")));
}

#[test]
fn a_thousand_causes_make_as_many_annotations_as_a_step_may_have() {
    let text = render(Format::Github, &sample::every_cell_fails_its_own_way(1000));
    for level in ["::error ", "::warning ", "::notice "] {
        assert!(text.lines().filter(|l| l.starts_with(level)).count() <= 10, "{level}");
    }
    assert!(text.contains("and 991 more"), "{text}");
}

#[test]
fn a_summary_is_bounded_and_never_cut_in_a_row() {
    let run = sample::wide(1000, 1);
    for most in [900 << 10, 60 << 10, 9 << 10] {
        let text = markdown::render_within(&run, &Beside::default(), most);
        assert!(text.len() <= most, "{} of {most} bytes", text.len());
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        let columns = rows[0].matches('|').count();
        assert!(rows.iter().all(|r| r.matches('|').count() == columns && r.ends_with('|')), "a row is whole");
        let counted = text.split("more cells").next().and_then(|t| t.rsplit('\n').next()).unwrap_or_default();
        let missing: usize = counted.trim().parse().unwrap_or(0);
        assert_eq!(rows.len() - 2 + missing, 1000, "every cell is shown or counted");
    }
    let causes = sample::every_cell_fails_its_own_way(1000);
    assert!(render(Format::Markdown, &causes).contains("981 more causes"), "causes that are not described are counted");
}

#[test]
fn every_planned_case_has_a_name_of_its_own() {
    let xml = render(Format::Junit, &sample::wide(256, 0));
    let document = roxmltree::Document::parse(&xml).expect("a strict parser accepts it");
    let cases = document.descendants().filter(|n| n.has_tag_name("testcase"));
    let names: Vec<_> = cases.map(|n| (n.attribute("classname"), n.attribute("name"))).collect();
    assert_eq!(names.len(), 256 * 6);
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
}

#[test]
fn a_long_log_is_cut_in_the_middle_and_says_so() {
    let long = format!("begin{}end", "x".repeat(11 << 20));
    let run = run(&long);
    for format in [Format::Junit, Format::JunitStrict] {
        let xml = render(format, &run);
        let document = roxmltree::Document::parse(&xml).expect("a strict parser accepts it");
        let longest = document.descendants().filter_map(|n| n.text()).map(str::len).max().unwrap_or(0);
        assert!(longest < 66 * 1024, "{longest}");
        assert!(xml.contains("bytes left out; the artifacts have all"), "what is cut is said");
    }
}

proptest! {
    #[test]
    fn any_text_at_all_gives_xml_that_a_strict_parser_accepts(text in any::<String>(), tail in "(\\]\\]>|<!\\[CDATA\\[|&|\\x1b\\[31m|\\x00|\\r){0,4}") {
        let folded = run(&format!("{text}{tail}"));
        let strict = render(Format::JunitStrict, &folded);
        roxmltree::Document::parse(&strict).map_err(|e| TestCaseError::fail(format!("{e}")))?;
        let xml = render(Format::Junit, &folded);
        let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e}")))?;
        let cases = document.descendants().filter(|n| n.has_tag_name("testcase")).count();
        prop_assert_eq!(cases, 12);
        let failure = document.descendants().find(|n| n.has_tag_name("failure")).expect("the failure is there");
        let body = failure.text().unwrap_or_default();
        // A trailing carriage return or escape takes its neighbour with it; the visible text is what must survive.
        let visible: String = gsh_reports::text::sanitise(&format!("observed: {text}{tail}"));
        prop_assert!(body.contains(visible.trim_end()), "{:?} not in {:?}", visible, body);
        // The enrichment keeps the text of earlier attempts, and its own lines around them.
        for (name, count) in [("flakyFailure", 1), ("flakyError", 1), ("rerunFailure", 1), ("rerunError", 2)] {
            let found: Vec<_> = document.descendants().filter(|n| n.has_tag_name(name)).collect();
            prop_assert_eq!(found.len(), count, "{}", name);
            for one in found {
                let trace = one.descendants().find(|n| n.has_tag_name("stackTrace")).and_then(|n| n.text()).unwrap_or_default();
                prop_assert!(trace.contains(visible.trim_end()), "{:?} not in {:?}", visible, trace);
            }
        }
        // Children of a case stand in the order that every schema accepts.
        let rank = |n: &str| ["properties", "failure", "rerunFailure", "flakyFailure", "skipped", "error", "rerunError", "flakyError", "system-out"].iter().position(|k| *k == n);
        for case in document.descendants().filter(|n| n.has_tag_name("testcase")) {
            let ranks: Vec<_> = case.children().filter(|n| n.is_element()).map(|n| rank(n.tag_name().name())).collect();
            prop_assert!(ranks.iter().all(Option::is_some) && ranks.is_sorted(), "{:?}", ranks);
        }
    }
}
