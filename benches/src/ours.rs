//! tinyfold's steps.

use tinyfold::bench::case::Case;
use tinyfold_core::fixed::Weight;
use tinyfold_core::wire;

use crate::{CHANNELS, Contender};

/// Bytes that live as long as the program, as flash does.
fn flash(case: Case) -> (&'static [u8], Vec<u32>, Vec<u32>, usize) {
    let Case { model, words, expected, memory, .. } = case;
    let model = Box::leak(Box::new(model));
    (model.bytes(), words, expected, memory)
}

pub(crate) fn float(name: &'static str, case: Case) -> Contender {
    let (model, words, expected, memory) = flash(case);
    let view = wire::read::<f32>(model).expect("exported").view;
    let mut state = view.state(vec![0.0; memory].leak()).expect("enough memory");
    for x in words.as_chunks::<CHANNELS>().0 {
        view.step(&mut state, &x.map(f32::from_bits));
    }
    let found: Vec<u32> = state.output().iter().chain(state.carried()).map(|x| x.to_bits()).collect();
    assert_eq!(found, expected, "{name}");
    view.reset(&mut state);
    let step = move |x: &[f32; CHANNELS]| {
        view.step(&mut state, x);
        [state.output()[0], state.output()[1]]
    };
    Contender { name, step: Box::new(step) }
}

pub(crate) fn fixed<W: Weight + 'static>(name: &'static str, case: Case) -> Contender {
    let (model, words, expected, memory) = flash(case);
    let view = wire::fixed::read::<W>(model).expect("exported").view;
    let mut state = view.state(vec![0; memory].leak()).expect("enough memory");
    for x in words.as_chunks::<CHANNELS>().0 {
        view.step(&mut state, &x.map(|word| word as i32));
    }
    let found: Vec<u32> = state.output().iter().chain(state.carried()).map(|&x| x as u32).collect();
    assert_eq!(found, expected, "{name}");
    let step = move |x: &[f32; CHANNELS]| {
        view.step(&mut state, &x.map(|x| (x * 268_435_456.0) as i32));
        [state.output()[0] as f32, state.output()[1] as f32]
    };
    Contender { name, step: Box::new(step) }
}
