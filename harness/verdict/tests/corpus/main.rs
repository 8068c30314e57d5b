//! The gate against seeded ledgers: recipes say what is special about each, the test makes the ledger, mangles it, reads it
//! back as `gsh gate` does, and compares the verdict and *its reasons*.

mod monotonic;
mod recipe;
mod recording;

use std::collections::BTreeSet;

use gsh_model::event::Event;
use gsh_model::run::RunState;
use gsh_verdict::support::Support;
use gsh_verdict::verdict::Answer;

use crate::recipe::{Case, Expected, corpus};

/// What the reader of a ledger and the gate make of a case.
fn seen(case: &Case) -> Result<(Answer, BTreeSet<String>), String> {
    case.judged(|_, verdict| (verdict.verdict, verdict.reasons().map(|r| r.id.to_owned()).collect()))
}

#[test]
fn every_seeded_ledger_gets_its_verdict_for_its_own_reason() {
    let corpus = corpus();
    assert!(corpus.len() >= 60, "{} cases", corpus.len());
    let names: BTreeSet<&str> = corpus.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names.len(), corpus.len(), "every case has a name of its own");
    let mut wrong = Vec::new();
    for case in &corpus {
        let seen = seen(case);
        let right = match (&case.expect, &seen) {
            (Expected::Refused(words), Err(text)) => text.contains(words.as_str()),
            (Expected::Verdict(answer, reasons), Ok((seen, because))) => {
                answer == seen && reasons.iter().cloned().collect::<BTreeSet<_>>() == *because
            }
            (Expected::Refused(_), Ok(_)) | (Expected::Verdict(..), Err(_)) => false,
        };
        if !right {
            wrong.push(format!("{}: expected {:?}, got {seen:?}", case.name, case.expect));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), corpus.len(), wrong.join("\n"));
}

#[test]
fn every_requirement_decides_some_case_alone() {
    let alone: BTreeSet<String> = corpus()
        .iter()
        .filter_map(|case| match &case.expect {
            Expected::Verdict(_, reasons) if reasons.len() == 1 => Some(reasons[0].clone()),
            Expected::Verdict(..) | Expected::Refused(_) => None,
        })
        .collect();
    let all = corpus()[0]
        .judged(|_, verdict| verdict.requirements.iter().map(|r| r.id.to_owned()).collect::<BTreeSet<_>>())
        .expect("a readable ledger");
    let never: Vec<&String> = all.difference(&alone).collect();
    assert!(never.is_empty(), "requirements that no case shows deciding alone: {never:?}");
}

#[test]
fn a_ledger_without_any_one_of_its_events_is_never_a_pass() {
    let case = Case::green();
    assert_eq!(seen(&case), Ok((Answer::Pass, BTreeSet::new())), "the ledger passes as a whole");
    let events = case.events();
    for left_out in 0..events.len() {
        let mut fewer: Vec<Event> = events.clone();
        let gone = fewer.remove(left_out);
        let as_it_is = RunState::replay(&fewer);
        assert!(as_it_is.is_err() || left_out == events.len() - 1, "a gap in the numbers is seen: {gone:?}");
        // Even with the numbers forged, and the seal with them.
        for (event, seq) in fewer.iter_mut().zip(1..) {
            event.seq = seq;
        }
        for events in [&fewer[..], &events[..left_out]] {
            if let Ok(state) = RunState::replay(events) {
                let verdict = case.judge(&state, |_, v| v.clone());
                assert_ne!(verdict.verdict, Answer::Pass, "without {gone:?}");
            }
        }
    }
}

#[test]
fn a_ledger_cut_or_changed_at_any_byte_is_never_a_pass_unseen() {
    let case = Case::green();
    let bytes = case.text().into_bytes();
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').flat_map(|(at, _)| [at, at + 1]);
    let cuts = (0..bytes.len()).step_by(97).chain(ends).filter(|cut| *cut < bytes.len());
    for cut in cuts {
        // The seal would tell; here it is forged, so the gate itself must see that something is missing.
        let seen = case.judged_text(&bytes[..cut], &gsh_verdict::sha256(&bytes[..cut]), |_, v| v.verdict);
        assert_ne!(seen, Ok(Answer::Pass), "cut at byte {cut}");
    }
    let seal = gsh_verdict::sha256(&bytes);
    // A changed byte breaks the form, the fold, or the seal.
    let mut seen = [0_usize; 2];
    for at in (0..bytes.len()).step_by(31) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x01;
        let refused = case.judged_text(&changed, &seal, |_, v| v.verdict).expect_err("it is no longer what was sealed");
        seen[usize::from(refused.contains("seal"))] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "some break the form and some only the seal: {seen:?}");
}

#[test]
fn nothing_is_claimed_for_what_did_not_pass() {
    for case in corpus() {
        let Ok((answer, support)) = case.judged(|c, v| (v.verdict, Support::of(c, v))) else { continue };
        if answer == Answer::Pass {
            assert!(!support.rows.is_empty(), "{}", case.name);
        } else {
            assert!(support.rows.is_empty(), "{}: {:?}", case.name, support.rows);
            assert!(support.markdown().contains("Nothing is claimed"));
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn every_verdict_keeps_to_the_published_schema() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let quiet = || Stdio::null();
    let there = Command::new("python3").args(["-c", "import jsonschema"]).stdout(quiet()).stderr(quiet()).status();
    if !there.is_ok_and(|s| s.success()) {
        eprintln!("not checked: Python's jsonschema is absent: verdicts are not validated here");
        return;
    }
    let script = "import json, sys, jsonschema\n\
                  schema, verdicts = json.load(sys.stdin)\n\
                  jsonschema.Draft202012Validator.check_schema(schema)\n\
                  validator = jsonschema.Draft202012Validator(schema)\n\
                  print([[e.json_path + ' ' + e.message for e in validator.iter_errors(v)] for v in verdicts])";
    let mut verdicts: Vec<String> = corpus().iter().filter_map(|c| c.judged(|_, v| v.json()).ok()).collect();
    assert!(verdicts.len() >= 50, "{} verdicts", verdicts.len());
    let count = verdicts.len();
    // The schema must be able to refuse.
    verdicts.push(verdicts[0].replacen("\"verdict\": \"", "\"verdict\": \"un", 1));
    verdicts.push(verdicts[0].replacen("\"counts\"", "\"numbers\"", 1));
    let given = format!("[{}, [{}]]", gsh_verdict::schema::GATE, verdicts.join(", "));
    let piped = || Stdio::piped();
    let mut python =
        Command::new("python3").args(["-c", script]).stdin(piped()).stdout(piped()).spawn().expect("python3 starts");
    python.stdin.take().expect("piped").write_all(given.as_bytes()).expect("python3 reads");
    let said = String::from_utf8(python.wait_with_output().expect("python3 ends").stdout).expect("text");
    let fine = format!("[{}[\"", "[], ".repeat(count));
    assert!(said.starts_with(&fine) && !said.trim_end().ends_with("[]]"), "{said}");
}

#[test]
fn the_support_table_as_people_read_it() {
    let case = corpus().into_iter().find(|c| c.name == "known failure, waived").expect("a case");
    let (support, text) = case.judged(|c, v| (Support::of(c, v), v.text())).expect("a readable ledger");
    insta::assert_snapshot!("support", support.markdown());
    insta::assert_snapshot!("badge", support.badge());
    insta::assert_snapshot!("text_of_a_pass", text);
    let case = corpus().into_iter().find(|c| c.name == "everything at once").expect("a case");
    insta::assert_snapshot!("text_of_a_fail", case.judged(|_, v| v.text()).expect("a readable ledger"));
    insta::assert_snapshot!("gate_json", case.judged(|_, v| v.json()).expect("a readable ledger"));
}
