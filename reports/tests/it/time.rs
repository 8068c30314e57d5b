//! How long a run will still take.

use gsh_model::run::RunState;
use gsh_reports::remaining::remaining;

use crate::sample;

#[test]
fn what_is_left_comes_from_what_the_same_subjects_took() {
    assert_eq!(remaining(&RunState::default()), None, "nothing is known of nothing");
    assert_eq!(remaining(&sample::green()), Some(0), "nothing is left of a finished run");
    // Ten cells, of which two are done and none is at work: eight cells of six subjects of 61.234 s, one after the other.
    assert_eq!(remaining(&sample::begun(10, 2)), Some(8 * 6 * 61_234));
    assert_eq!(remaining(&sample::begun(10, 0)), None, "before anything ended there is nothing to go by");
}

#[test]
fn a_guess_of_the_plan_gives_way_to_what_the_run_has_shown() {
    let mut run = sample::begun(4, 1);
    let plan = run.plan.as_mut().expect("planned");
    plan.cells.iter_mut().for_each(|c| c.expected_s = Some(3600));
    let left = remaining(&run).expect("known");
    // Six subjects of 61.234 s in each of three cells, one after the other: minutes, not the three hours of the guess.
    assert_eq!(left, 3 * 6 * 61_234);
    // Where nothing is known of a subject yet, it is expected to go as the others went.
    run.cells[0].subjects[3..].iter_mut().for_each(|s| s.attempts.clear());
    assert_eq!(remaining(&run), Some(3 * 6 * 61_234));
    let mut none = sample::begun(4, 0);
    none.plan.as_mut().expect("planned").cells.iter_mut().for_each(|c| c.expected_s = Some(3600));
    assert_eq!(remaining(&none), Some(4 * 3_600_000), "before anything has ended the plan is all that is known");
}
