//! Reports of a small run with every kind of outcome, with any text at all in every place where text can stand.

use gsh_model::run::RunState;
use gsh_reports::format::{Format, render};
use proptest::prelude::*;

use crate::sample::run;

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

proptest! {
    #[test]
    fn any_text_at_all_gives_xml_that_a_strict_parser_accepts(text in any::<String>(), tail in "(\\]\\]>|<!\\[CDATA\\[|&|\\x1b\\[31m|\\x00|\\r){0,4}") {
        let xml = render(Format::Junit, &run(&format!("{text}{tail}")));
        let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e}")))?;
        let cases = document.descendants().filter(|n| n.has_tag_name("testcase")).count();
        prop_assert_eq!(cases, 12);
        let failure = document.descendants().find(|n| n.has_tag_name("failure")).expect("the failure is there");
        let body = failure.text().unwrap_or_default();
        // A trailing carriage return or escape takes its neighbour with it; the visible text is what must survive.
        let visible: String = gsh_reports::text::sanitise(&format!("observed: {text}{tail}"));
        prop_assert!(body.contains(visible.trim_end()), "{:?} not in {:?}", visible, body);
    }
}
