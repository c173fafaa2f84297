//! When training ends.

use tinyfold::network::Channel;
use tinyfold::task::{Dataset, Integration, Recording};
use tinyfold::train::{Control, End, Settings, train};

/// On a recording of zeros every target and output, and so the loss, is exactly 0: a `stop_loss` of 0 means never.
#[test]
fn a_loss_of_exactly_zero_ends_a_run_only_if_asked_for() {
    let silence = Recording { name: "silence".into(), x: vec![0.0; 20], target: None };
    let data =
        Dataset { inputs: vec![Channel::plain("x")], targets: vec![], dt: None, recordings: vec![silence] };
    let end = |stop_loss| {
        let task = Integration { decays: vec![0.9], scales: vec![1.0] }.into();
        let settings = Settings {
            neurons: 8,
            task,
            batch: 4,
            steps: 3,
            from_recording: 1.0,
            stop_loss,
            ..Settings::default()
        };
        let trained = train(&settings, Some(&data), &mut |_| Control::Continue).expect("stays as it is");
        assert_eq!(trained.history.last().expect("an interval").loss, 0.0);
        (trained.end, trained.history.last().expect("an interval").step)
    };
    assert_eq!(end(0.0), (End::Done, 3));
    assert_eq!(end(1e-300), (End::Reached, 1));
}
