//! The page of a history: what needs attention first, the same every time, reachable by keyboard.

use gsh_model::history::{History, coverage, records};
use gsh_model::matrix::Matrix;
use gsh_model::shard::ShardId;
use gsh_reports::history_html;
use jiff::Timestamp;

use crate::sample;

fn page(history: &History) -> String {
    let matrix = Matrix::parse("[axes]\nshift = [\"fuse\", \"shiftfs\"]\nos = [\"ubuntu-22.04\", \"ubuntu-24.04\"]");
    let now: Timestamp = "2026-11-23T08:00:00Z".parse().expect("a time");
    let pairs = coverage(history, &matrix.expect("a matrix"), 2);
    history_html::render(history, &pairs, &records(history, now), now)
}

#[test]
fn a_history_says_first_what_needs_attention() {
    let red = sample::earlier(&sample::run("x"), &[1, 1, 1]);
    let text = page(&red);
    let order =
        ["3 runs, seen at", "Needs attention", "<td>flaky</td>", "Runs", "r20261101-2-0000", "Pairs", "? never"];
    let places: Vec<Option<usize>> = order.iter().map(|needed| text.find(needed)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    assert_eq!(text, page(&red), "the same history gives the same bytes");
    // Whatever scrolls can be reached with the keyboard, and is called something.
    let scrolling = text.matches("<div class=\"wide\"").count();
    let reachable = text.matches("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=").count();
    assert_eq!((scrolling, reachable), (4, 4));

    let green = page(&sample::earlier(&sample::green(), &[0]));
    assert!(green.contains("1 run, seen at") && green.contains("0 subjects need attention"), "{:.900}", green);
    assert!(green.contains("Nothing is flaky"));
    assert!(page(&History::default()).contains("0 runs, seen at"), "a history of nothing is one");
}

#[test]
fn a_night_of_which_a_part_is_missing_is_named() {
    let shard = |text: &str| text.parse::<ShardId>().expect("a shard");
    let part = |shards: &[&str]| {
        let mut run = sample::earlier(&sample::green(), &[0]).runs()[0].clone();
        run.shard = Some(shard("01"));
        run.shards = shards.iter().copied().map(shard).collect();
        page(&History::new(vec![run]))
    };
    let incomplete = part(&["01", "02", "03"]);
    assert!(incomplete.contains("shard 02, 03 was never added, so it counts for no green night"), "{incomplete}");
    assert!(!part(&["01"]).contains("never added"), "a night that is whole is not");
}
