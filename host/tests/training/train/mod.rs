//! Training: gradients against finite differences, reproducibility, and that it gets where it should.

mod encoders;
mod folders;
mod gradients;
mod masks;
mod networks;
mod rules;
mod runs;

use tinyfold::Network;
use tinyfold::network::Recurrence;
use tinyfold::task::Integration;
use tinyfold::train::{Control, Settings, Trained, train};

fn quiet(settings: &Settings) -> tinyfold::Result<Trained> {
    train(settings, None, &mut |_| Control::Continue)
}

fn small() -> Settings {
    let task = Integration { decays: vec![0.8, 0.9], scales: vec![1.0, -2.0] }.into();
    Settings { neurons: 24, task, batch: 48, steps: 60, interval: 20, ..Settings::default() }
}

/// As `small`, at a rate with which 60 updates of Adam cannot reach a spectral radius of 1: stable on any machine,
/// however it rounds.
fn slow() -> Settings {
    Settings { learning_rate: 1e-3, ..small() }
}

/// Weights as bits, so that NaN and -0 count as well.
fn bits(network: &Network) -> Vec<u64> {
    let recurrence = match &network.recurrence {
        Recurrence::Dense(w) => vec![w],
        Recurrence::LowRank { u, v } => vec![u, v],
    };
    let matrices = recurrence.into_iter().chain([&network.input, &network.readout]).chain(&network.encoder);
    let values = matrices.flat_map(|m| (0..m.ncols()).flat_map(|j| m.col_as_slice(j)));
    values.chain(&network.bias).chain(&network.output_bias).map(|x| x.to_bits()).collect()
}
