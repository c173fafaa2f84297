//! Network files: what is saved is loaded, and what is said of bad ones.

use std::collections::HashMap;
use std::path::Path;

use faer::Mat;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use tinyfold::command::inspect::describe;
use tinyfold::format::arrays::ArrayFile;
use tinyfold::format::fixed::FixedNetwork;
use tinyfold::format::network::{load, load_torch, save};
use tinyfold::format::write_atomic;
use tinyfold::network::{Activation, Arithmetic, Channel, Form, Network, Recurrence, Variant};
use tinyfold::simulate;
use tinyfold::task::Integration;

fn bits(matrix: &Mat<f64>) -> (usize, usize, Vec<u64>) {
    let entries =
        matrix.col_iter().flat_map(|column| column.iter().map(|x| x.to_bits()).collect::<Vec<u64>>());
    (matrix.nrows(), matrix.ncols(), entries.collect())
}

/// Everything of a network, with numbers as bits:
/// matrices as rows, columns and bits; vectors; the rest as text.
type Parts = (Vec<(usize, usize, Vec<u64>)>, Vec<u64>, String);

fn parts(network: &Network) -> Parts {
    let mut matrices = vec![bits(&network.input), bits(&network.readout)];
    match &network.recurrence {
        Recurrence::Dense(w) => matrices.push(bits(w)),
        Recurrence::LowRank { u, v } => matrices.extend([bits(u), bits(v)]),
    }
    matrices.extend(network.encoder.iter().map(bits));
    let task = network.integration().into_iter().flat_map(|task| task.decays.iter().chain(&task.scales));
    let channels = network.inputs.iter().chain(&network.outputs).flat_map(|c| [&c.center, &c.gain]);
    let numbers = [&network.bias, &network.output_bias, &network.initial].into_iter().flatten();
    let numbers = numbers.chain(task).chain(channels).chain([&network.alpha]).map(|x| x.to_bits());
    let rest = (
        network.form,
        network.activation,
        network.variant,
        network.arithmetic,
        &network.inputs,
        &network.outputs,
        &network.task,
    );
    (matrices, numbers.collect(), format!("{rest:?}"))
}

/// Any finite number: normal, subnormal, zero, of both signs.
fn number() -> impl Strategy<Value = f64> {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

fn numbers(count: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(number(), count)
}

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Mat<f64>> {
    numbers(rows * columns)
        .prop_map(move |values| Mat::from_fn(rows, columns, |i, j| values[i * columns + j]))
}

fn channels(count: usize) -> impl Strategy<Value = Vec<Channel>> {
    let channel = ("\\PC*", "[a-z/²]*", number(), number()).prop_map(|(name, unit, center, gain)| Channel {
        name,
        unit,
        center,
        gain,
    });
    prop::collection::vec(channel, count)
}

fn activation() -> impl Strategy<Value = Activation<f64>> {
    prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        Just(Activation::Tanh),
        (number(), number()).prop_map(|(a, b)| Activation::Clipped { lo: a.min(b), hi: a.max(b) }),
        (number(), number()).prop_map(|(slope, threshold)| Activation::Sigmoid { slope, threshold }),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    (1..6_usize, 1..4_usize, 1..4_usize, 0..4_usize, any::<[bool; 4]>()).prop_flat_map(
        |(n, inputs, outputs, rank, [current, fused, encoded, tasked])| {
            let recurrence = if rank == 0 {
                matrix(n, n).prop_map(Recurrence::Dense).boxed()
            } else {
                (matrix(n, rank), matrix(n, rank)).prop_map(|(u, v)| Recurrence::LowRank { u, v }).boxed()
            };
            let alpha = prop_oneof![Just(1.0), 1e-300..1.0];
            let variant = prop::sample::select(&[Variant::Libm, Variant::Micromath, Variant::Rational][..]);
            let arrays = (recurrence, matrix(n, inputs), matrix(outputs, n), numbers(n), numbers(outputs));
            let rest =
                (matrix(n, inputs), numbers(inputs), numbers(inputs), numbers(n + inputs + outputs + rank));
            (arrays, rest, channels(inputs), channels(outputs), activation(), (alpha, variant)).prop_map(
                move |(
                    (recurrence, input, readout, bias, output_bias),
                    rest,
                    inputs,
                    outputs,
                    phi,
                    (alpha, variant),
                )| {
                    let (encoder, decays, scales, initial) = rest;
                    let mut network = Network::plain(phi, recurrence, input, readout);
                    network.form = if current { Form::Current } else { Form::Rate };
                    network.arithmetic = if fused { Arithmetic::Fused } else { Arithmetic::Separate };
                    network.variant = variant;
                    network.alpha = alpha;
                    network.bias = bias;
                    network.output_bias = output_bias;
                    network.initial = initial[..network.carried()].to_vec();
                    network.inputs = inputs;
                    network.outputs = outputs;
                    network.encoder = encoded.then_some(encoder);
                    network.task = tasked.then_some(Integration { decays, scales }.into());
                    network
                },
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: proptest::test_runner::RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_saved_is_loaded_to_the_last_bit(network in network(), npz in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(if npz { "network.npz" } else { "network.safetensors" });
        save(&path, &network).expect("a good network");
        prop_assert_eq!(parts(&load(&path).expect("what save wrote")), parts(&network));
    }
}

/// A safetensors file to spoil.
struct Draft {
    tensors: Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>,
    header: Option<serde_json::Value>,
}

fn f64s(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

impl Draft {
    /// A good dense network: n = 2, one input, one output.
    fn good() -> Self {
        let tensor = |name, shape: &[usize]| {
            let values = vec![0.5; shape.iter().product()];
            (name, Dtype::F64, shape.to_vec(), f64s(&values))
        };
        Self {
            tensors: vec![
                tensor("W", &[2, 2]),
                tensor("B", &[2, 1]),
                tensor("b", &[2]),
                tensor("C", &[1, 2]),
                tensor("c", &[1]),
                tensor("initial", &[2]),
            ],
            header: Some(serde_json::json!({
                "version": 1, "form": "rate", "alpha": 1.0, "activation": "relu", "variant": "libm",
                "arithmetic": "separate",
                "inputs": [{"name": "x", "unit": "", "center": 0.0, "gain": 1.0}],
                "outputs": [{"name": "y", "unit": "", "center": 0.0, "gain": 1.0}],
            })),
        }
    }

    fn tensor(&mut self, name: &str) -> &mut (&'static str, Dtype, Vec<usize>, Vec<u8>) {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).expect("a tensor of the draft")
    }

    fn set(&mut self, field: &str, value: serde_json::Value) {
        self.header.as_mut().expect("a header")[field] = value;
    }

    fn load(self, path: &Path) -> tinyfold::Result<Network> {
        let views = self.tensors.iter().map(|(name, dtype, shape, data)| {
            (*name, TensorView::new(*dtype, shape.clone(), data).expect("a tensor that fits its bytes"))
        });
        let metadata = self.header.map(|header| HashMap::from([("tinyfold".to_owned(), header.to_string())]));
        std::fs::write(path, safetensors::serialize(views, metadata).expect("good tensors"))
            .expect("writable");
        load(path)
    }
}

/// One way to damage a draft.
type Spoil = fn(&mut Draft);

#[test]
fn every_refusal_names_array_expected_and_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.safetensors");
    Draft::good().load(&path).expect("the draft is good");
    let cases: [(Spoil, &str); 17] = [
        (|d| d.set("version", 2.into()), "format version: expected 1, found 2"),
        (|d| d.set("version", "one".into()), "format version: expected 1, found \"one\""),
        (|d| d.set("form", "spiking".into()), "form: expected rate or current, found spiking"),
        (|d| d.set("alpha", 0.into()), "alpha: expected a leak above 0 and at most 1, found 0"),
        (
            |d| d.set("activation", "gelu".into()),
            "activation: expected linear, relu, tanh, clipped [lo, hi] or sigmoid [slope, threshold], found gelu []",
        ),
        (
            |d| d.set("colour", "red".into()),
            "metadata: expected settings of tinyfold, found unknown field `colour`, expected one of",
        ),
        (|d| d.set("inputs", serde_json::json!([])), "inputs: expected 1 channels, as B and C have, found 0"),
        (
            |d| d.set("task", serde_json::json!({"decays": [0.9, 0.8], "scales": [1.0]})),
            "task: expected one decay and one scale a channel, found 2 decays, 1 scales",
        ),
        (
            |d| d.tensors.retain(|tensor| tensor.0 != "b"),
            "array b: expected to be in the file, found only B, C, W, c, initial",
        ),
        (
            |d| d.tensors.push(("M", Dtype::F64, vec![1], f64s(&[1.0]))),
            "arrays: expected only W, B, b, C, c, initial, E, tinyfold, found M",
        ),
        (|d| d.tensor("W").2 = vec![4, 1], "array W: expected shape (2, 2), found (4, 1)"),
        (|d| d.tensor("C").2 = vec![2], "array C: expected shape (any, 2), found (2)"),
        (
            |d| *d.tensor("B") = ("B", Dtype::F64, vec![0, 1], vec![]),
            "array B: expected shape (any, any), found (0, 1)",
        ),
        (
            |d| *d.tensor("W") = ("W", Dtype::I16, vec![2, 2], vec![0; 8]),
            "array W: expected number type F64, F32, F16 or BF16, found I16",
        ),
        (
            |d| *d.tensor("c") = ("c", Dtype::I64, vec![1], vec![0; 8]),
            "array c: expected number type F64, F32, F16 or BF16, found I64",
        ),
        (
            |d| d.tensor("W").3 = f64s(&[1.0, 1.0, f64::NAN, 1.0]),
            "array W, entry [1, 0]: expected a finite number, found NaN",
        ),
        (
            |d| d.header = None,
            "expected a network of tinyfold (metadata `tinyfold`), a torch.nn.RNN state dict (array `weight_hh_l0`) or one of Fanthomme & Monasson's code (arrays `W`, `encoders`, `decoders`); `tinyfold import` makes one of any other, found arrays B, C, W, b, c, initial",
        ),
    ];
    for (spoil, expected) in cases {
        let mut draft = Draft::good();
        spoil(&mut draft);
        let message = draft.load(&path).expect_err(expected).to_string();
        assert!(message.starts_with(&format!("{}: {expected}", path.display())), "{message}\n{expected}");
    }
    std::fs::write(&path, b"not a network").expect("writable");
    let message = load(&path).expect_err("damaged").to_string();
    assert!(message.contains("expected a safetensors file, found a damaged or different file"), "{message}");
    let other = load(Path::new("net.pt")).expect_err("another ending").to_string();
    assert_eq!(other, "net.pt: expected a file name ending in .safetensors or .npz, found .pt");
}

#[test]
fn f32_is_widened_and_a_low_rank_of_zero_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.safetensors");
    let mut draft = Draft::good();
    let narrow = [0.1_f32, 1.5, -2.0, 0.3];
    *draft.tensor("W") = ("W", Dtype::F32, vec![2, 2], narrow.iter().flat_map(|x| x.to_le_bytes()).collect());
    let w = draft.load(&path).expect("f32 is read").weights();
    assert_eq!([w[(0, 0)], w[(0, 1)], w[(1, 0)], w[(1, 1)]], narrow.map(f64::from));

    let mut draft = Draft::good();
    *draft.tensor("W") = ("U", Dtype::F64, vec![2, 0], vec![]);
    draft.tensors.push(("V", Dtype::F64, vec![2, 0], vec![]));
    let message = draft.load(&path).expect_err("rank 0").to_string();
    assert!(message.ends_with("array U: expected shape (2, any), found (2, 0)"), "{message}");
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.npz");
    let eye = Mat::<f64>::identity(2, 2);
    let good = Network::plain(Activation::Relu, Recurrence::Dense(eye.clone()), eye.clone(), eye);
    save(&path, &good).expect("a good network");
    let mut diverged = good.clone();
    diverged.bias[1] = f64::INFINITY;
    let message = save(&path, &diverged).expect_err("infinite").to_string();
    assert!(message.ends_with("array b, entry [1]: expected a finite number, found inf"), "{message}");
    let mut unscaled = good.clone();
    unscaled.inputs[0].gain = f64::NAN;
    let message = save(&path, &unscaled).expect_err("NaN").to_string();
    assert!(message.ends_with("channels: expected a finite number, found NaN"), "{message}");
    assert_eq!(parts(&load(&path).expect("untouched")), parts(&good));
}

fn reference(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

#[test]
fn a_torch_state_dict_computes_what_torch_computed() {
    for (name, activation) in [("relu", Activation::Relu), ("tanh", Activation::Tanh)] {
        let path = reference(&format!("torch_nn_rnn_{name}_h64.safetensors"));
        let network = load(&path).expect("a state dict that names its nonlinearity");
        assert_eq!(network.activation, activation);
        assert_eq!((network.neurons(), network.inputs.len(), network.outputs.len()), (64, 2, 2));
        assert_eq!(parts(&network), parts(&load_torch(&path, activation).expect("the same file")));

        let stored =
            ArrayFile::open(&reference(&format!("torch_nn_rnn_{name}_h64_io.safetensors"))).expect("stored");
        let inputs = stored.array("inputs").expect("inputs").values;
        let run = simulate::run(&network, &inputs, false);
        let largest = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // 200 steps of contracting f64 sums of 66 terms of order 1: 66 · 2^-53 = 7e-15 a step.
        let outputs = stored.array("outputs_f64").expect("outputs").values;
        assert!(outputs.len() == run.outputs.len() && largest(&outputs, &run.outputs) < 1e-12);
        // One step in f32 from every stored state: a sum of n + I products and two biases, in whatever order, is within
        // (n + I + 2) 2^-24 of the sum of their sizes, and tanh within a few units of 1.
        let hidden = stored.array("hidden_states").expect("hidden states").values;
        let (w, mut from) = (network.weights(), network.clone());
        for (state, x) in hidden.chunks_exact(64).zip(inputs.chunks_exact(2)) {
            let next = simulate::run(&from, x, false).carried;
            for (i, (&ours, &theirs)) in next.iter().zip(state).enumerate() {
                let sizes = |m: &Mat<f64>, v: &[f64]| -> f64 {
                    v.iter().enumerate().map(|(j, v)| (m[(i, j)] * v).abs()).sum()
                };
                let size = sizes(&w, &from.initial) + sizes(&network.input, x) + network.bias[i].abs();
                let bound = (-24.0_f64).exp2() * (68.0 * size + 4.0);
                assert!(
                    (ours - theirs).abs() <= bound,
                    "{name}, neuron {i}: {ours} and {theirs}, {bound:.1e}"
                );
            }
            from.initial = state.to_vec();
        }
    }
}

/// Writes a state dict with arrays of ones of these shapes.
fn state_dict(path: &Path, arrays: &[(&str, &[usize])], nonlinearity: Option<&str>) {
    let data: Vec<Vec<u8>> =
        arrays.iter().map(|(_, shape)| f64s(&vec![1.0; shape.iter().product()])).collect();
    let views = arrays.iter().zip(&data).map(|((name, shape), data)| {
        (*name, TensorView::new(Dtype::F64, shape.to_vec(), data).expect("a tensor that fits its bytes"))
    });
    let metadata = nonlinearity.map(|name| HashMap::from([("nonlinearity".to_owned(), name.to_owned())]));
    std::fs::write(path, safetensors::serialize(views, metadata).expect("good tensors")).expect("writable");
}

#[test]
fn a_torch_state_dict_is_never_guessed_at() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rnn.safetensors");
    let layer: [(&str, &[usize]); 2] = [("rnn.weight_hh_l0", &[2, 2]), ("rnn.weight_ih_l0", &[2, 1])];
    let message = || load(&path).expect_err("must be refused").to_string();

    state_dict(&path, &layer, None);
    let beside = path.with_extension("json");
    assert_eq!(
        message(),
        format!(
            "{}: nonlinearity: expected tanh or relu in its metadata, or {{\"nonlinearity\": \"tanh\"}} in {}, found neither",
            path.display(),
            beside.display()
        )
    );
    std::fs::write(&beside, "{\"nonlinearity\": \"relu\"}").expect("writable");
    let network = load(&path).expect("stated beside the file");
    assert_eq!(network.activation, Activation::Relu);
    assert_eq!(
        (network.outputs.len(), &network.bias),
        (2, &vec![0.0; 2]),
        "y = h, b = 0 without a readout and biases"
    );

    for (more, expected) in [
        (
            ("rnn.weight_hh_l1", [2, 2].as_slice()),
            "layers: expected one array weight_hh_l0 (a single recurrent layer of one direction), found rnn.weight_hh_l0, rnn.weight_hh_l1",
        ),
        (("fc.weight", &[3, 5]), "array fc.weight: expected shape (any, 2), found (3, 5)"),
    ] {
        state_dict(&path, &[layer.as_slice(), &[more]].concat(), Some("tanh"));
        assert_eq!(message(), format!("{}: {expected}", path.display()));
    }
    state_dict(
        &path,
        &[layer.as_slice(), &[("a.weight", &[1, 2]), ("b.weight", &[1, 2])]].concat(),
        Some("tanh"),
    );
    assert!(message().ends_with("found a.weight, b.weight"), "{}", message());
    state_dict(&path, &[("weight_hh_l0", &[8, 2]), ("weight_ih_l0", &[8, 1])], Some("tanh"));
    assert!(message().ends_with("expected a torch.nn.RNN, found (8, 2): a torch.nn.LSTM"), "{}", message());
    state_dict(&path, &layer, Some("selu"));
    assert!(
        message().ends_with("nonlinearity: expected tanh, relu, linear or sigmoid, found selu"),
        "{}",
        message()
    );
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("new/deep/file.txt");
    write_atomic(&path, b"first").expect("folders are made");
    write_atomic(&path, b"second").expect("files are replaced");
    assert_eq!(std::fs::read(&path).expect("readable"), b"second");
    let beside = std::fs::read_dir(path.parent().expect("a folder")).expect("readable").count();
    assert_eq!(beside, 1, "no temporary file is left");
    let message = write_atomic(&path.join("below"), b"").expect_err("a file is no folder").to_string();
    assert!(message.starts_with(&format!("{}: cannot create folder: ", path.display())), "{message}");
    assert!(write_atomic(path.parent().expect("a folder"), b"").is_err(), "a folder is not overwritten");
}

#[test]
fn inspect_tells_networks_from_recordings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let eye = Mat::<f64>::identity(4, 2);
    let recurrence = Recurrence::LowRank { u: eye.clone() * faer::Scale(3.0), v: eye.clone() };
    let mut network = Network::plain(Activation::Relu, recurrence, eye.clone(), eye.transpose().to_owned());
    network.task = Some(Integration { decays: vec![0.99, 0.995], scales: vec![1.0, 2.0] }.into());
    for ending in ["safetensors", "npz"] {
        let path = folder.path().join(format!("net.{ending}"));
        save(&path, &network).expect("writable");
        let described = describe(&path).expect("a network");
        assert_eq!(described["holds"], "network");
        assert_eq!((&described["neurons n"], &described["rank R"]), (&4.into(), &2.into()));
        assert_eq!(described["largest weight"]["U"], 3.0);
        assert_eq!(described["task"][1], serde_json::json!({"decay": 0.995, "scale": 2.0}));
    }
    let path = folder.path().join("walk.npz");
    let mut archive = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).expect("writable"));
    archive.add_array("x", &ndarray::arr2(&[[1.0], [3.0]])).expect("writable");
    archive.finish().expect("writable");
    let described = describe(&path).expect("a recording");
    assert_eq!((&described["holds"], &described["samples"]), (&"recording".into(), &2.into()));
    assert_eq!((&described["inputs"][0]["mean"], &described["inputs"][0]["std"]), (&2.0.into(), &1.0.into()));
    let path = folder.path().join("metrics.jsonl");
    std::fs::write(&path, "{\"loss\": 2}\n{\"loss\": 1}\n").expect("writable");
    assert_eq!(describe(&path).expect("metrics")["last"]["loss"], 1);
    let trial = tinyfold_core::wire::trial::Trial { inputs: 2, samples: &[0.5; 6] };
    let mut bytes = vec![0; tinyfold_core::wire::trial::length(6)];
    tinyfold_core::wire::trial::write(&trial, &mut bytes).expect("fits");
    let file = folder.path().join("trial.bin");
    std::fs::write(&file, &bytes).expect("writable");
    let expected = serde_json::json!({"holds": "trial", "steps": 3, "inputs I": 2, "samples": "f32"});
    assert_eq!(describe(&file).expect("a trial"), expected);
    std::fs::write(&file, "else").expect("writable");
    let message = describe(&file).expect_err("no trial").to_string();
    assert!(message.ends_with("a lesson (TFLS) or flash banks (TFBK), found \"else\""), "{message}");
    std::fs::write(&path, "{\"loss\": 2}\nnone\n").expect("writable");
    let message = describe(&path).expect_err("not JSON").to_string();
    assert!(message.starts_with(&format!("{}: line 2: expected JSON, found ", path.display())), "{message}");
}

/// Every random network of fixed point: the same integers and the same bits after export and import.
#[test]
fn fixed_point_survives_its_file_and_is_inspected() {
    for case in tinyfold::verify::case::fixed_suite(20).expect("exports") {
        let network = case.fixed().expect("fixed point");
        let again = network.export().expect("exports");
        assert_eq!(again.bytes(), case.model.bytes(), "{}", case.name);
        let read = FixedNetwork::import(&again, "again").expect("just written");
        assert_eq!((&read.layers, &read.input), (&network.layers, &network.input), "{}", case.name);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("fixed.tfld");
    let case = tinyfold::verify::case::fixed_suite(1).expect("exports").pop().expect("cases");
    std::fs::write(&path, case.model.bytes()).expect("writable");
    let described = describe(&path).expect("a model");
    assert_eq!(described["holds"], "chip model of fixed point");
    assert_eq!((&described["number type"], &described["rank R"]), (&"i8".into(), &2.into()));
    assert_eq!(described["bytes"], case.model.bytes().len());
}

#[test]
fn inspect_prints_a_recording_as_aligned_columns() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/basic_motions.csv");
    let output = assert_cmd::cargo::cargo_bin_cmd!("tinyfold").arg("inspect").arg(file).assert().success();
    let expected = "\
holds                    recording
recordings               40
samples                  4000
seconds between samples  0.1
inputs
  column   mean        std      min       max
  accel_x  2.55276     7.07231  -22.4621  29.3632
  accel_y  -1.30394    6.79409  -27.822   24.8051
  accel_z  -1.02658    3.54637  -24.7153  19.5233
  gyro_x   0.0190511   2.11192  -18.9685  34.8662
  gyro_y   -0.0239577  1.82075  -18.4678  18.2121
  gyro_z   -0.0557897  3.51659  -24.5163  13.9481
targets                  none
";
    assert_eq!(String::from_utf8_lossy(&output.get_output().stdout), expected);
    assert_cmd::cargo::cargo_bin_cmd!("tinyfold").args(["inspect", "nowhere.tfld"]).assert().code(2);
}
