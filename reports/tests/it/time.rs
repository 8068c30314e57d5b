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
