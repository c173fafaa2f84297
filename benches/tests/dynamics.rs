//! The comparison of dynamics runs and finds what the references have.

use tinyfold_benches::dynamics;

#[test]
fn every_question_is_answered() {
    // Each row is checked before it is shown, and panics where it differs.
    let rows = dynamics::run(true, None);
    let limited = rows.iter().filter(|row| row.limit.is_some()).count();
    assert!(rows.iter().all(|row| row.ours > 0.0 && row.theirs.is_none()));
    assert_eq!((rows.len(), limited), (19, 16));
}
