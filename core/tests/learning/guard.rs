//! What the guard takes back.

use tinyfold_core::learn::{
    Counts, Groups, Guard, LatentRtrl, Learner, Limits, Loss, Online, Outcome, Params, Sgd, Update,
};
use tinyfold_core::wire::learned::{Memory, Optimiser as Kind};
use tinyfold_core::{Activation, Error, State};

use crate::LATENT;
use crate::learners::{Random, settings, words};

/// A learner whose weights count its updates and whose losses and updates are written down before.
struct Scripted<F>(F, u32);

impl<F: Fn(u32) -> (f64, Update)> Learner<f64> for Scripted<F> {
    fn step(
        &mut self,
        params: &mut Params<'_, f64>,
        _: &mut State<'_, f64>,
        _: &[f64],
        _: Option<&[f64]>,
    ) -> Outcome<f64> {
        let (loss, update) = self.0(self.1);
        self.1 += 1;
        if update == Update::Done {
            let next: Vec<f64> = params.words().iter().map(|word| word + 1.0).collect();
            params.set(&next).expect("finite");
        }
        Outcome { loss, held: 0, update }
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn reset(&mut self) {}

    fn restart(&mut self) {}

    fn trust(&mut self, _: f64) {}

    fn memory(&self) -> Memory<'_, f64> {
        Memory { optimiser: Kind::Sgd, steps: 0, words: &[] }
    }

    fn resume(&mut self, _: &Memory<'_, f64>) -> Result<(), Error> {
        Ok(())
    }
}

/// Weights grow bad at some update, the mean loss says so later: what is taken back is older than the lag, however often
/// copies are made, and no older than two periods of copies.
#[test]
fn the_guard_takes_back_words_that_proved_good() {
    for every in [1, 50, 64, 100, 333] {
        for bad in [10, 63, 64, 65, 500, 999] {
            // From update `bad` on, a loss of 4 with a limit of 3: seen 88 updates later.
            let script = |step| (if step < bad { 0.0 } else { 4.0 }, Update::Done);
            let mut start = words::<f64>(LATENT, 3);
            let first = start[0];
            let mut params =
                Params::new(LATENT, settings(Activation::Linear, false), &mut start).expect("good");
            let limits = Limits { state: 1e9, loss: 3.0, growth: 1.0, every };
            let mut copies = vec![0.0; Guard::<(), f64>::memory_len(&LATENT)];
            let mut guard = Guard::new(Scripted(script, 0), limits, &params, &mut copies).expect("enough");
            let mut memory = vec![0.0; LATENT.state_len()];
            let mut state = params.view().state(&mut memory).expect("enough");
            for step in 0.. {
                if guard.step(&mut params, &mut state, &[], None).update == Update::Restored {
                    // mean = 4 (1 − (63/64)^k) > 3 from k = ln 4 / ln (64/63) = 88.03 on.
                    assert_eq!(step, bad + 88);
                    let (updates, period) = (params.words()[0] - first, f64::from(every.max(64)));
                    let age = f64::from(step + 1) - updates.round();
                    assert!(
                        age > 64.0 && (age <= 2.0 * period || updates.round() == 0.0),
                        "{every}, {bad}: {age}"
                    );
                    break;
                }
            }
        }
    }
}

/// The loss of a step that changed nothing does not count, however large.
#[test]
fn the_guard_ignores_rejected_steps() {
    let script = |step| if step % 3 == 1 { (f64::INFINITY, Update::Rejected) } else { (1.0, Update::Done) };
    let mut start = words::<f64>(LATENT, 3);
    let mut params = Params::new(LATENT, settings(Activation::Linear, false), &mut start).expect("good");
    let limits = Limits { state: 1e9, loss: 3.0, growth: 1.0, every: 1 };
    let mut copies = vec![0.0; Guard::<(), f64>::memory_len(&LATENT)];
    let mut guard = Guard::new(Scripted(script, 0), limits, &params, &mut copies).expect("enough");
    let mut memory = vec![0.0; LATENT.state_len()];
    let mut state = params.view().state(&mut memory).expect("enough");
    for step in 0..1000 {
        let update = guard.step(&mut params, &mut state, &[], None).update;
        assert_eq!(update, script(step).1, "step {step}");
    }
    assert_eq!(guard.counts().restored, 0);
}

/// A network made to grow is found out by the growth of differences, and set back.
#[test]
fn the_guard_takes_back_what_would_blow_up() {
    let mut words = words::<f64>(LATENT, 3);
    let good = words.clone();
    let mut params = Params::new(LATENT, settings(Activation::Linear, false), &mut words).expect("good");
    let mut memory = vec![0.0; LatentRtrl::<f64>::memory_len(&LATENT, Groups::ALL, false)];
    let rule = LatentRtrl::new(&params, Groups::ALL, &mut memory).unwrap();
    let learner = Online::new(rule, Sgd::new(1e-9).unwrap(), Loss::Square);
    let limits = Limits { state: 1e3, loss: 1e6, growth: 1.0, every: 1_000_000 };
    let mut copy = vec![0.0; Guard::<(), f64>::memory_len(&LATENT)];
    let mut guard = Guard::new(learner, limits, &params, &mut copy).expect("enough");
    let mut state_memory = vec![0.0; LATENT.state_len()];
    let mut state = params.view().state(&mut state_memory).expect("enough");
    let louder: Vec<f64> =
        good.iter().enumerate().map(|(at, &w)| if at < LATENT.layer_len() { 8.0 * w } else { w }).collect();
    params.set(&louder).expect("finite");
    let mut random = Random(5);
    let mut restored = None;
    for step in 0..300 {
        let outcome = guard.step(&mut params, &mut state, &random.list(2, 1.0), Some(&random.list(2, 1.0)));
        if outcome.update == Update::Restored {
            restored = restored.or(Some(step));
        }
    }
    assert!(restored.is_some_and(|step| step < 130), "{restored:?}");
    let distance = params.words().iter().zip(&good).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(distance < 1e-3, "{distance}");
    assert!(state.carried().iter().all(|z| z.abs() < 1e3));
}
