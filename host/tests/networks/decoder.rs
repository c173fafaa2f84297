//! Nonlinear decoders, bias currents, and the scales of encoders and decoders.

use faer::Mat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tinyfold::design::compress::to_rank;
use tinyfold::design::quantise::{Options, quantise};
use tinyfold::format::{model, network};
use tinyfold::network::{Activation, Network, Recurrence};
use tinyfold::simulate;
use tinyfold::task::{Integration, synthetic};
use tinyfold::train::vectors::vectors;
use tinyfold::train::{Control, Settings, train};
use tinyfold::verify::{Case, Core, Subject, verify};
use tinyfold_core::learn::Params;

fn random(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Mat<f64> {
    let mut draw = |_, _| -> f64 { StandardNormal.sample(rng) };
    Mat::from_fn(rows, columns, |i, j| 0.3 * draw(i, j))
}

/// h' = (1 - alpha) h + alpha (beta + tanh(W h + B x + b)), y = C h + c from h = 0, written out.
fn with_current(network: &Network, beta: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    let (w, alpha) = (network.weights(), network.alpha);
    let column = |values: &[f64]| Mat::from_fn(values.len(), 1, |i, _| values[i]);
    let mut h = Mat::<f64>::zeros(w.nrows(), 1);
    let mut outputs = Vec::new();
    for x in x.chunks_exact(2) {
        let p = &w * &h + &network.input * column(x) + column(&network.bias);
        h = Mat::from_fn(w.nrows(), 1, |i, _| {
            (1.0 - alpha) * h[(i, 0)] + alpha * (beta[(i, 0)] + p[(i, 0)].tanh())
        });
        let y = &network.readout * &h + column(&network.output_bias);
        outputs.extend(y.col(0).iter());
    }
    outputs
}

#[test]
fn currents_are_biases_and_a_start() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let x = synthetic::gaussian(20, 2, 5);
    for (rank, alpha) in [(0, 1.0), (0, 0.3), (3, 1.0), (3, 0.3)] {
        let recurrence = if rank == 0 {
            Recurrence::Dense(random(9, 9, &mut rng))
        } else {
            Recurrence::LowRank { u: random(9, rank, &mut rng), v: random(9, rank, &mut rng) }
        };
        let (input, readout) = (random(9, 2, &mut rng), random(2, 9, &mut rng));
        let mut network = Network::plain(Activation::Tanh, recurrence, input, readout);
        network.alpha = alpha;
        network.bias = random(9, 1, &mut rng).col_as_slice(0).to_vec();
        network.output_bias = vec![0.2, -0.1];
        network.initial = network.rest();
        let beta = random(9, 1, &mut rng);
        let expected = with_current(&network, &beta, &x);
        network.add_current(&beta);
        let found = simulate::run(&network, &x, false).outputs;
        let difference = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // Twenty steps of a contraction in doubles.
        assert!(difference < 1e-13, "rank {rank}, alpha {alpha}: {difference:e}");
    }
}

fn settings() -> Settings {
    Settings {
        neurons: 32,
        task: Integration { decays: vec![0.6], scales: vec![0.5] }.into(),
        activation: "tanh".into(),
        start_gain: 0.5,
        train_readout: true,
        train_bias: true,
        batch: 64,
        steps: 1500,
        interval: 500,
        learning_rate: 3e-3,
        weight_decay: 0.0,
        ..Settings::default()
    }
}

/// tanh(C h + c) has to give 0.5 u with |u| up to 3: only part of the signal fits, and yet more than a linear bound allows
/// by chance. The network that is kept says what training says, by file and by its own outputs.
#[test]
fn a_nonlinear_decoder_is_trained_kept_and_run_by_chips() {
    let settings = Settings { nonlinear_decoder: true, ..settings() };
    let trained = train(&settings, None, &mut |_| Control::Continue).expect("trains");
    assert!(trained.best.rollout < 0.2, "{:?}", trained.best);
    let kept = &trained.network;
    let x = synthetic::gaussian(50, 1, 3);
    let y = simulate::run(kept, &x, false).outputs;
    let linear = Network { nonlinear_decoder: false, ..kept.clone() };
    let read = simulate::run(&linear, &x, false).outputs;
    assert!(y.iter().zip(&read).all(|(y, read)| *y == simulate::activate(kept.activation, *read)));
    assert_ne!(y, read);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("network.safetensors");
    network::save(&path, kept).expect("written");
    assert_eq!(network::load(&path).expect("read"), *kept);
    let samples: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let case = Case::of_network("trained", kept.clone(), samples).expect("exports");
    assert!(matches!(&case.subject, Subject::Float(network) if network.nonlinear_decoder));
    let verification = verify(&[case], &[&Core], &indicatif::ProgressBar::hidden()).expect("runs");
    assert!(verification.passed(), "{:?}", verification.backends);
    // As a chip model and back; `inspect` says so; what learns or is quantised refuses it.
    let bytes = model::export::<f32>(kept).expect("exports");
    let read = model::read::<f32>(&bytes, "a model").expect("reads");
    assert!(model::import(&read, "a model").expect("imports").nonlinear_decoder);
    let path = folder.path().join("network.tfld");
    std::fs::write(&path, bytes.bytes()).expect("written");
    let inspect =
        std::process::Command::new(env!("CARGO_BIN_EXE_tinyfold")).arg("inspect").arg(&path).output();
    let text = String::from_utf8(inspect.expect("runs").stdout).expect("text");
    assert!(
        text.lines().any(|line| line.split_whitespace().eq("decoder nonlinear, y = phi(C h + c)".split(' '))),
        "{text}"
    );
    let (shape, mut words) = (read.view.shape(), vec![0.0; read.view.shape().parameter_len()]);
    let refused = Params::new(shape, read.view.settings(), &mut words).expect_err("no rule for it");
    assert_eq!(refused.to_string(), "nonlinear decoder: expected 0, found 1");
    let refused =
        quantise(kept, &Options::new(tinyfold_core::Number::I16)).expect_err("a linear readout").to_string();
    assert!(refused.starts_with("compress: expected a linear readout, y = C h + c"), "{refused}");
    assert!(to_rank(kept, 2, &[]).expect_err("conditions are linear").to_string().starts_with("compress: "));
}

#[test]
fn a_network_with_currents_is_trained_and_kept() {
    let settings = Settings { bias_current: 0.25, ..settings() };
    let trained = train(&settings, None, &mut |_| Control::Continue).expect("trains");
    // The roll-out is that of the network that is kept: it would not fit if the currents were lost.
    assert!(trained.best.rollout < 0.2, "{:?}", trained.best);
    assert!(trained.network.initial.iter().all(|start| (-0.25..=0.0).contains(start)));
    assert!(trained.network.initial.iter().any(|start| *start < -0.1));
}

#[test]
fn scales_are_lengths() {
    let base = Settings { overlap: Some(0.4), ..settings() };
    let scaled = Settings { encoder_scale: 3.0, decoder_scale: 0.5, ..base.clone() };
    let ((e, c), (longer, shorter)) = (vectors(&base), vectors(&scaled));
    assert!((e.norm_l2() - 1.0).abs() < 1e-12 && (longer.norm_l2() - 3.0).abs() < 1e-12);
    assert!((c.norm_l2() - 1.0).abs() < 1e-12 && (shorter.norm_l2() - 0.5).abs() < 1e-12);
    assert!(((&shorter * &longer)[(0, 0)] - 1.5 * 0.4).abs() < 1e-12);
}

#[test]
fn what_a_loss_cannot_have_is_refused() {
    let message = |settings: Settings| settings.check(None).expect_err("refused").to_string();
    let proxy = Settings { loss: tinyfold::train::settings::Loss::Proxy, ..settings() };
    let nonlinear = message(Settings { nonlinear_decoder: true, ..proxy.clone() });
    assert_eq!(nonlinear, "loss: expected batch with nonlinear_decoder, found nonlinear_decoder");
    let current = message(Settings { bias_current: 0.1, ..proxy });
    assert_eq!(current, "loss: expected batch with bias_current, found bias_current");
    let scale = message(Settings { decoder_scale: 0.0, ..settings() });
    assert_eq!(scale, "decoder_scale: expected a number other than 0, found 0");
}
