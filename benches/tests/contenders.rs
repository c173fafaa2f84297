//! Every contender computes the same step.

use tinyfold_benches::contenders;

#[test]
fn they_agree_at_every_size() {
    // Each call checks all of its contenders and panics at the first that differs.
    let counts = [
        contenders::<16, 18>().len(),
        contenders::<32, 34>().len(),
        contenders::<64, 66>().len(),
        contenders::<128, 130>().len(),
    ];
    assert_eq!(counts, [11; 4]);
}
