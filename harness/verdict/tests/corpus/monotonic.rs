//! Worse or fewer facts never improve a verdict.

use gsh_model::outcome::Why;
use gsh_model::run::RunState;
use gsh_verdict::verdict::Answer;
use proptest::prelude::*;

use crate::recipe::Case;
use crate::recording::{Fate, Script};

const PLACES: [&str; 12] = [
    "default/provision",
    "default/install",
    "default/workspace-start",
    "default/ssh-on-22",
    "default/scale-out",
    "default/teardown",
    "size-small/provision",
    "size-small/install",
    "size-small/workspace-start",
    "size-small/ssh-on-22",
    "size-small/scale-out",
    "size-small/teardown",
];

/// How bad something is: 0 is a pass. Within one rank nothing is worse than the other.
fn rank(fate: &Fate) -> u8 {
    match fate {
        Fate::Passes | Fate::SecondTry => 0,
        Fate::PassesBare | Fate::Flaky(_) | Fate::Unclear(..) | Fate::Hangs | Fate::Silent => 1,
        Fate::Fails(_) => 2,
    }
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Passes),
        1 => Just(Fate::SecondTry),
        1 => Just(Fate::PassesBare),
        1 => Just(Fate::Flaky("no answer".to_owned())),
        1 => Just(Fate::Unclear(Why::Environment, "sold out".to_owned())),
        1 => Just(Fate::Unclear(Why::Harness, "panicked".to_owned())),
        1 => Just(Fate::Unclear(Why::Stopped, "stopped".to_owned())),
        1 => Just(Fate::Hangs),
        1 => Just(Fate::Fails("no answer".to_owned())),
    ]
}

fn any_policy() -> impl Strategy<Value = String> {
    let flaky = prop_oneof![Just("allow"), Just("warn"), Just("deny")];
    let infra = prop_oneof![Just("inconclusive"), Just("fail")];
    let leftovers = prop_oneof![Just("deny"), Just("warn")];
    let ratio = prop_oneof![Just("0.0"), Just("0.5"), Just("1.0")];
    let informing = prop_oneof![
        Just(""),
        Just("[[informing]]\nscenarios = [\"scale-out\"]\nbecause = \"new\"\n"),
        Just("[[informing]]\ncells = [\"size=small\"]\nbecause = \"new\"\n"),
    ];
    (flaky, 0..30_u8, infra, leftovers, ratio, informing).prop_map(
        |(flaky, limit, infra, leftovers, ratio, informing)| {
            format!(
                "flaky = \"{flaky}\"\nflaky_limit = 0.{limit:02}\ninfra_errors = \"{infra}\"\nleftovers = \"{leftovers}\"\n\
                 [require]\ncoverage = {{ t = 2, ratio = {ratio} }}\n{informing}"
            )
        },
    )
}

/// Waivers for one scenario; what lies under them is judged by other rules, see below.
fn any_waivers() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![2 => Just(None), 1 => Just(Some("known-failure")), 1 => Just(Some("infra")), 1 => Just(Some("flaky-quarantine"))]
}

const WAIVED: &str = "ssh-on-22";

fn waivers(kind: Option<&str>) -> String {
    kind.map(|kind| {
        format!(
            "[[waiver]]\nid = \"w\"\nissue = \"https://example.org/1\"\nowner = \"ada\"\nreason = \"known\"\nkind = \"{kind}\"\n\
             scope = {{ scenarios = [\"{WAIVED}\"] }}\ncreated = \"2026-11-20\"\nexpires = \"2026-11-30\"\n"
        )
    })
    .unwrap_or_default()
}

fn answer(case: &Case, script: &Script) -> Answer {
    let state = RunState::replay(&script.events()).expect("a legal ledger");
    case.judge(&state, |_, verdict| verdict.verdict)
}

fn recorded(case: &Case, fates: &[Fate]) -> Script {
    let mut script = case.plain_script();
    for (place, fate) in PLACES.iter().zip(fates) {
        script.fates.insert((*place).to_owned(), fate.clone());
    }
    script
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn worse_outcomes_never_improve_a_verdict(
        fates in prop::collection::vec(any_fate(), PLACES.len()),
        policy in any_policy(),
        kind in any_waivers(),
        at in 0..PLACES.len(),
        other in any_fate(),
    ) {
        let case = Case::with(&policy, &waivers(kind));
        let (mut better, mut worse) = (fates.clone(), fates);
        if rank(&other) < rank(&better[at]) { better[at] = other } else { worse[at] = other }
        // A waiver accepts one kind of trouble and no other, so under it only a pass is better than everything.
        let waived = kind.is_some() && PLACES[at].ends_with(WAIVED);
        prop_assume!(rank(&better[at]) < rank(&worse[at]));
        prop_assume!(!waived || rank(&better[at]) == 0);
        let (better, worse) = (answer(&case, &recorded(&case, &better)), answer(&case, &recorded(&case, &worse)));
        prop_assert!(worse <= better, "{better:?} became {worse:?}");
    }

    #[test]
    fn leaving_a_fact_out_never_makes_a_pass(
        fates in prop::collection::vec(any_fate(), PLACES.len()),
        policy in any_policy(),
        kind in any_waivers(),
        at in 2..5_usize,
        second in any::<bool>(),
    ) {
        let case = Case::with(&policy, &waivers(kind));
        let whole = recorded(&case, &fates);
        let mut fewer = whole.clone();
        fewer.fates.insert(PLACES[at + if second { 6 } else { 0 }].to_owned(), Fate::Silent);
        let (whole, fewer) = (answer(&case, &whole), answer(&case, &fewer));
        prop_assert!(fewer != Answer::Pass || whole == Answer::Pass, "{whole:?} became {fewer:?}");
    }
}
