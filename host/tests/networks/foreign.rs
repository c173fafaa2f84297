//! Networks of other tools.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;
use tinyfold::format::arrays::{self, Array, ArrayFile};
use tinyfold::format::foreign::{Given, Imported, read};
use tinyfold::format::network;
use tinyfold::network::{Activation, Form};

use crate::references;

mod piecewise;

fn meta(folder: &TempDir, network: &str, text: &str) -> PathBuf {
    let to = folder.path().join(format!("{network}.safetensors"));
    std::fs::copy(references::path(&format!("{network}.safetensors")), &to).unwrap();
    std::fs::write(folder.path().join(format!("{network}.meta.json")), text).unwrap();
    to
}

#[test]
fn reference_networks_are_read_by_what_their_files_say() {
    for (name, form, alpha, activation, compared) in [
        ("flipflop_tanh_n64", Form::Rate, 1.0, Activation::Tanh, 16 * 120),
        ("relu_integrator_n64", Form::Rate, 1.0, Activation::Relu, 16 * 100),
        ("mante_tanh_n100_graded", Form::Current, 0.2, Activation::Tanh, 0),
        ("ring_tanh_n64", Form::Current, 0.1, Activation::Tanh, 0),
    ] {
        let Imported { network, comparison, .. } =
            read(&references::path(&format!("{name}.safetensors")), &Given::default()).unwrap();
        let other = references::network(name);
        assert_eq!((network.form, network.alpha, network.activation), (form, alpha, activation));
        assert_eq!(network.weights(), other.weights());
        assert_eq!(
            (&network.input, &network.bias, &network.output_bias[..1]),
            (&other.input, &other.bias, &[network.output_bias[0]][..])
        );
        if name != "ring_tanh_n64" {
            assert_eq!((&network.readout, &network.output_bias), (&other.readout, &other.output_bias));
        }
        assert_eq!(comparison.map_or(0, |c| c.steps), compared);
        if let Some(c) = comparison {
            println!("{name}: step {:.1e}, bound {:.1e}, run {:.1e}", c.step, c.bound, c.run);
            assert!(c.step > 0.0 && c.step <= c.bound && c.bound < 1e-3 && c.run < 1e-4);
        }
    }
    let network =
        read(&references::path("mante_tanh_n100_graded.safetensors"), &Given::default()).unwrap().network;
    let names: Vec<&str> = network.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["motion", "colour", "ctx_motion", "ctx_colour"]);
    assert_eq!(network.initial.len(), 100);
}

#[test]
fn what_is_given_goes_before_the_json_and_that_before_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = meta(&folder, "ring_tanh_n64", r#"{"alpha": 0.5, "activation": "relu"}"#);
    let by_json = read(&path, &Given::default()).unwrap();
    assert_eq!((by_json.network.alpha, by_json.network.activation), (0.5, Activation::Relu));
    let given = Given { alpha: Some(0.25), activation: Some(Activation::Tanh), ..Given::default() };
    let by_option = read(&path, &given).unwrap();
    assert_eq!((by_option.network.alpha, by_option.network.activation), (0.25, Activation::Tanh));
    assert_eq!(by_option.network.form, Form::Current);
    assert!(by_option.sources.iter().any(|[part, _, source]| part == "alpha" && source == "option --alpha"));
}

fn array(shape: &[usize], f: impl Fn(usize) -> f64) -> Array {
    Array { shape: shape.to_vec(), values: (0..shape.iter().product()).map(f).collect() }
}

fn write(folder: &Path, name: &str, all: &[(&'static str, Array)]) -> PathBuf {
    let path = folder.join(name);
    arrays::write(&path, &all.iter().cloned().collect::<BTreeMap<_, _>>(), "note", "nothing").unwrap();
    path
}

/// A map h' = relu(W h + B u) of two neurons and one input, with one trajectory of it.
fn small(turned: bool) -> Vec<(&'static str, Array)> {
    let w = if turned { [0.5, 0.25, -0.5, 0.5] } else { [0.5, -0.5, 0.25, 0.5] };
    let (mut h, mut states) = ([0.0, 0.0], Vec::new());
    for u in [1.0, -0.5, 2.0] {
        let p = [0.5 * h[0] - 0.5 * h[1] + u, 0.25 * h[0] + 0.5 * h[1] + 2.0 * u];
        h = p.map(|p: f64| p.max(0.0));
        states.extend(h);
    }
    vec![
        ("recurrent", array(&[2, 2], |k| w[k])),
        ("in", array(&[2, 1], |k| [1.0, 2.0][k])),
        ("traj", array(&[1, 3, 2], |k| states[k])),
        ("traj_u", array(&[1, 3, 1], |k| [1.0, -0.5, 2.0][k])),
    ]
}

fn given(map: &[(&str, &str)]) -> Given {
    Given {
        map: map.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect(),
        form: Some("rate".into()),
        no_inputs: false,
        alpha: Some(1.0),
        activation: Some(Activation::Relu),
    }
}

#[test]
fn any_names_go_by_a_map_in_npz_as_in_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let map = [("recurrent", "W"), ("in", "B")];
    for name in ["a.npz", "a.safetensors"] {
        let path = write(folder.path(), name, &small(false));
        let imported = read(&path, &given(&map)).unwrap();
        assert_eq!(imported.network.weights()[(0, 1)], -0.5);
        assert_eq!(imported.network.readout, faer::Mat::<f64>::identity(2, 2));
        let comparison = imported.comparison.unwrap();
        assert_eq!((comparison.steps, comparison.step, comparison.run), (3, 0.0, 0.0));
    }
    let path = write(folder.path(), "b.npz", &small(false));
    std::fs::write(folder.path().join("b.json"), r#"{"map": {"recurrent": "W", "in": "B"}}"#).unwrap();
    assert!(read(&path, &given(&[])).is_ok());
}

#[test]
fn wrong_ways_round_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "turned.npz", &small(true));
    let refused = |path: &Path, given: &Given| read(path, given).unwrap_err().to_string();
    let message = refused(&path, &given(&[("recurrent", "W"), ("in", "B")]));
    assert!(message.contains("those of the transposed W: give --map NAME.T=W"), "{message}");
    assert!(read(&path, &given(&[("recurrent.T", "W"), ("in", "B")])).is_ok());

    let all = [("W", array(&[2, 2], |_| 0.5)), ("Win", array(&[3, 2], |_| 1.0))];
    let path = write(folder.path(), "input.npz", &all);
    let message = refused(&path, &given(&[]));
    assert!(
        message.ends_with("expected shape [2, any] as B, found [3, 2], which is transposed: --map Win.T=B"),
        "{message}"
    );
    assert_eq!(read(&path, &given(&[("Win.T", "B")])).unwrap().network.input.shape(), (2, 3));

    let mut other = small(false);
    other[0].1.values[3] = 0.6;
    let path = write(folder.path(), "other.npz", &other);
    let message = refused(&path, &given(&[("recurrent", "W"), ("in", "B")]));
    assert!(message.contains("are form, alpha and activation right?"), "{message}");
}

#[test]
fn what_nobody_says_is_asked_for_by_its_option() {
    let folder = tempfile::tempdir().unwrap();
    let all = [("W", array(&[2, 2], |_| 0.5)), ("B", array(&[2, 1], |_| 1.0))];
    let path = write(folder.path(), "a.npz", &all);
    let refused = |given: &Given| read(&path, given).unwrap_err().to_string();
    let all = given(&[]);
    assert!(refused(&Given { activation: None, ..all.clone() }).contains("--activation"));
    assert!(refused(&Given { form: None, ..all.clone() }).contains("--form rate"));
    assert!(refused(&Given { alpha: None, ..all.clone() }).contains("--alpha"));
    assert!(
        refused(&Given { alpha: Some(1.5), ..all.clone() })
            .contains("a leak above 0 and at most 1, found 1.5")
    );
    assert!(refused(&given(&[("W", "V")])).contains(
        "one of ours: W, B, b, C, c, initial, A, AW, h, W1, W2, h1, h2, alphas, H, thetas, traj, traj_u, traj_y, found V"
    ));
    let none = Given { no_inputs: true, ..all.clone() };
    assert_eq!(refused(&none), "--no-inputs: expected a file without input weights, found array B");
    let path = write(folder.path(), "b.npz", &[("X", array(&[2, 2], |_| 0.5))]);
    for given in [&all, &Given::default()] {
        let message = read(&path, given).unwrap_err().to_string();
        assert!(message.contains("--map NAME=W") && message.contains("found arrays X"), "{message}");
    }
    let path =
        write(folder.path(), "c.npz", &[("W", array(&[2, 3], |_| 0.5)), ("B", array(&[2, 1], |_| 1.0))]);
    assert!(read(&path, &all).unwrap_err().to_string().ends_with("expected shape [2, 2] as W, found [2, 3]"));
}

#[test]
fn an_equation_that_names_two_activations_names_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = meta(&folder, "ring_tanh_n64", r#"{"eq": "x' = -x + J tanh(x), z = relu(x)"}"#);
    assert!(read(&path, &Given::default()).unwrap_err().to_string().contains("--activation"));
    // tanh must be a word of its own.
    let path = meta(&folder, "ring_tanh_n64", r#"{"eq": "x' = -x + J mytanhlike(x)"}"#);
    assert!(read(&path, &Given::default()).unwrap_err().to_string().contains("--activation"));
}

#[test]
fn integers_are_refused_with_their_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("integers.safetensors");
    let bytes: Vec<u8> = [1_i64, 2, 3, 4].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![2, 2], &bytes).unwrap();
    std::fs::write(&path, safetensors::serialize([("W", view)], None).unwrap()).unwrap();
    assert!(ArrayFile::open(&path).is_ok());
    let message = read(&path, &given(&[])).unwrap_err().to_string();
    assert!(message.contains("array W: expected number type F64, F32, F16 or BF16, found I64"), "{message}");
}

/// The bytes of a number in a type.
type Encode<'a> = &'a dyn Fn(f64) -> Vec<u8>;

/// A file of the small network whose numbers are stored in another type.
fn typed(folder: &Path, name: &str, dtype: Dtype, encode: Encode<'_>) -> PathBuf {
    let path = folder.join(name);
    let encoded: Vec<(&str, Vec<usize>, Vec<u8>)> = small(false)
        .into_iter()
        .map(|(name, array)| (name, array.shape, array.values.iter().flat_map(|&x| encode(x)).collect()))
        .collect();
    let views = encoded
        .iter()
        .map(|(name, shape, bytes)| (*name, TensorView::new(dtype, shape.clone(), bytes).expect("fits")));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}

/// The bits of a number that an IEEE half holds exactly.
fn half(x: f64) -> u16 {
    if x == 0.0 {
        return 0;
    }
    let exponent = x.abs().log2().floor();
    let fraction = (x.abs() / exponent.exp2() - 1.0) * 1024.0;
    assert_eq!(fraction.fract(), 0.0, "{x} is no half");
    (u16::from(x < 0.0) << 15) | ((exponent as i32 + 15) as u16) << 10 | fraction as u16
}

#[test]
fn every_float_type_is_read_to_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let map = given(&[("recurrent", "W"), ("in", "B")]);
    let wide = read(&write(folder.path(), "f64.safetensors", &small(false)), &map).unwrap();
    let f32s = |x: f64| (x as f32).to_le_bytes().to_vec();
    let halves = |x: f64| half(x).to_le_bytes().to_vec();
    let bf16s = |x: f64| (((x as f32).to_bits() >> 16) as u16).to_le_bytes().to_vec();
    let types: [(&str, Dtype, Encode<'_>, i32); 3] =
        [("f32", Dtype::F32, &f32s, 24), ("f16", Dtype::F16, &halves, 11), ("bf16", Dtype::BF16, &bf16s, 8)];
    for (name, dtype, encode, rounding) in types {
        let path = typed(folder.path(), &format!("{name}.safetensors"), dtype, encode);
        let found = read(&path, &map).unwrap();
        assert_eq!(found.network, wide.network, "{name}");
        let comparison = found.comparison.unwrap();
        assert_eq!((comparison.steps, comparison.step), (3, 0.0), "{name}");
        // The bound grows with the rounding of the type the file has.
        let unit = 0.5_f64.powi(rounding);
        assert!((unit..100.0 * unit).contains(&comparison.bound), "{name}: {}", comparison.bound);
    }
    let file = ArrayFile::open(&typed(folder.path(), "least.safetensors", Dtype::F16, &|x| {
        // The least subnormal, the least normal, the largest half, and minus 1/3 rounded.
        [1_u16, 0x0400, 0x7bff, 0xb555][(4.0 * x) as usize % 4].to_le_bytes().to_vec()
    }));
    let values = file.unwrap().array("recurrent").unwrap().values;
    let known = [0.5_f64.powi(24), 0.5_f64.powi(14), 65504.0, -0.333_251_953_125];
    assert!(values.iter().all(|x| known.contains(x)), "{values:?}");
}

#[test]
fn stored_outputs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = small(false);
    let states = all[2].1.clone();
    all.push(("Wout", array(&[1, 2], |k| [3.0, -1.0][k])));
    all.push(("y", array(&[1, 3, 1], |t| 3.0 * states.values[2 * t] - states.values[2 * t + 1])));
    let map = given(&[("recurrent", "W"), ("in", "B"), ("y", "traj_y")]);
    let found = read(&write(folder.path(), "a.npz", &all), &map).unwrap();
    assert_eq!(found.comparison.unwrap().output.map(|[off, bound]| (off, bound > 0.0)), Some((0.0, true)));
    all[5].1.values[2] += 0.1;
    let message = read(&write(folder.path(), "b.npz", &all), &map).unwrap_err().to_string();
    assert!(message.contains("array y: expected outputs of the network"), "{message}");
    assert!(message.ends_with("found an output off by 1.0e-1; are C and c right?"), "{message}");
}

fn single(value: f64) -> Array {
    Array { shape: vec![], values: vec![value] }
}

#[test]
fn arrays_that_are_no_texts_are_no_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = small(false);
    all.extend([("alpha", single(0.25)), ("inputs", array(&[2, 2], |_| 0.5)), ("form", single(1.0))]);
    all.retain(|(name, _)| !name.starts_with("traj"));
    let path = write(folder.path(), "a.npz", &all);
    let map = [("recurrent", "W"), ("in", "B")];
    let given = Given { alpha: None, ..given(&map) };
    let imported = read(&path, &given).unwrap();
    assert_eq!((imported.network.alpha, imported.network.inputs.len()), (0.25, 1));
    // Python's alpha=1, and an f32 as it is written.
    for (name, integer, alpha) in [("i.npz", true, 1.0), ("f.npz", false, 0.2)] {
        let path = folder.path().join(name);
        let mut archive = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).unwrap());
        archive.add_array("recurrent", &ndarray::arr2(&[[0.5, -0.5], [0.25, 0.5]])).unwrap();
        archive.add_array("in", &ndarray::arr2(&[[1.0], [2.0]])).unwrap();
        if integer {
            archive.add_array("alpha", &ndarray::arr0(1_i64)).unwrap();
        } else {
            archive.add_array("alpha", &ndarray::arr0(0.2_f32)).unwrap();
        }
        archive.finish().unwrap();
        assert_eq!(read(&path, &given).unwrap().network.alpha, alpha, "{name}");
    }
    let nobody = read(&path, &Given { form: None, ..given }).unwrap_err().to_string();
    assert!(
        nobody.contains("--form") && nobody.contains("the array form of the file is no text"),
        "{nobody}"
    );
}

#[test]
fn outputs_alone_are_compared_of_torch_files_too() {
    let folder = tempfile::tempdir().unwrap();
    // Without a readout the outputs are the states.
    let names = |turned| -> Vec<(&'static str, Array)> {
        let theirs = ["weight_hh_l0", "weight_ih_l0", "traj_y", "traj_u"];
        std::iter::zip(theirs, small(turned)).map(|(name, (_, array))| (name, array)).collect()
    };
    let relu = |form: Option<&str>, alpha| Given {
        form: form.map(str::to_owned),
        alpha,
        activation: Some(Activation::Relu),
        ..Given::default()
    };
    let path = write(folder.path(), "t.safetensors", &names(false));
    let Imported { outputs, comparison, sources, .. } = read(&path, &relu(Some("rate"), Some(1.0))).unwrap();
    let outputs = outputs.unwrap();
    assert_eq!((outputs.steps, outputs.off, comparison), (3, 0.0, None));
    assert!(outputs.bound > 0.0 && outputs.bound < 1e-5, "{outputs:?}");
    for part in ["form", "alpha"] {
        assert!(sources.iter().any(|[ours, ..]| ours == part), "{sources:?}");
    }
    let refused = |path: &Path, given: &Given| read(path, given).unwrap_err().to_string();
    let told = refused(&path, &relu(Some("current"), None));
    assert!(told.contains("--form") && told.contains("expected rate") && told.contains("current"), "{told}");
    let told = refused(&path, &relu(None, Some(0.5)));
    assert!(told.contains("--alpha") && told.contains("expected 1") && told.contains("0.5"), "{told}");
    let turned = refused(&write(folder.path(), "turned.safetensors", &names(true)), &relu(None, None));
    assert!(turned.contains("transposed W"), "{turned}");
    let mut wrong = names(false);
    wrong[2].1.values[5] += 1e-3;
    let wrong = refused(&write(folder.path(), "wrong.safetensors", &wrong), &relu(None, None));
    assert!(wrong.contains("traj_y") && wrong.contains("an output off by 1.0e-3"), "{wrong}");
}

/// A network of a known tool says by itself what its arrays mean, and is compared with the runs beside it.
#[test]
fn networks_of_known_tools_need_no_options_and_are_compared() {
    let reference = |name: &str| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{name}.safetensors"))
    };
    for name in [
        "paper_a_linear_D1_T3_sgd_n256",
        "paper_d_dale_D2_T10_adam_fast_n256",
        "paper_f_relu_D5_avg_adam_n256",
        "paper_g_sigmoid_D1_avg_train_d_n256",
        "torch_nn_rnn_relu_h64",
        "torch_nn_rnn_tanh_h64",
    ] {
        let path = reference(name);
        let found = read(&path, &Given::default()).unwrap();
        let loaded = network::load(&path).unwrap();
        assert_eq!(
            (found.network.weights(), &found.network.input, &found.network.bias, &found.network.task),
            (loaded.weights(), &loaded.input, &loaded.bias, &loaded.task),
            "{name}"
        );
        let outputs = found.outputs.expect("runs beside it");
        println!("{name}: {outputs:?}");
        assert!(found.known && outputs.steps > 5 && outputs.off <= outputs.bound, "{name}: {outputs:?}");
    }
    let path = reference("paper_f_relu_D5_avg_adam_n256");
    let told = read(&path, &given(&[])).unwrap_err().to_string();
    assert!(told.starts_with("--map, --form, ") && told.contains("expected none beside"), "{told}");

    // Runs in the file itself, which are of other weights.
    let folder = tempfile::tempdir().unwrap();
    let names = ["weight_hh_l0", "weight_ih_l0", "test_outputs", "test_inputs"];
    let mut all: Vec<(&'static str, Array)> =
        std::iter::zip(names, small(false)).map(|(name, (_, array))| (name, array)).collect();
    let relu = Given { activation: Some(Activation::Relu), ..Given::default() };
    let path = write(folder.path(), "with.npz", &all);
    assert_eq!(read(&path, &relu).unwrap().outputs.unwrap().steps, 3);
    all[2].1.values[5] += 1e-3;
    let told = read(&write(folder.path(), "off.npz", &all), &relu).unwrap_err().to_string();
    assert!(told.contains("array test_outputs") && told.contains("an output off by 1.0e-3"), "{told}");
}

#[test]
fn one_trial_needs_no_dimension_of_trials_and_no_inputs_have_an_option() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = small(false);
    for (_, array) in &mut all[2..] {
        array.shape.remove(0);
    }
    let map = [("recurrent", "W"), ("in", "B")];
    let path = write(folder.path(), "one.safetensors", &all);
    assert_eq!(read(&path, &given(&map)).unwrap().comparison.unwrap().steps, 3);
    let empty = [("recurrent", all[0].1.clone()), ("in", array(&[2, 0], |_| 0.0))];
    let path = write(folder.path(), "empty.npz", &empty);
    let told = read(&path, &given(&map)).unwrap_err().to_string();
    assert!(told.contains("--no-inputs") && told.contains("[2, 0]"), "{told}");
    let network = read(&path, &Given { no_inputs: true, ..given(&map) }).unwrap().network;
    assert_eq!(network.input, faer::Mat::<f64>::zeros(2, 1));
}

/// A text of numpy's str, filled up to N letters.
#[derive(Clone)]
struct Letters<const N: usize>(&'static str);

/// A number of numpy's float16.
#[derive(Clone)]
struct Halved(f64);

impl<const N: usize> ndarray_npy::WritableElement for Letters<N> {
    fn type_descriptor() -> py_literal::Value {
        py_literal::Value::String(format!("<U{N}"))
    }

    fn write<W: std::io::Write>(&self, mut writer: W) -> Result<(), ndarray_npy::WriteDataError> {
        for letter in self.0.chars().map(u32::from).chain(std::iter::repeat(0)).take(N) {
            writer.write_all(&letter.to_le_bytes())?;
        }
        Ok(())
    }

    fn write_slice<W: std::io::Write>(
        slice: &[Self],
        mut writer: W,
    ) -> Result<(), ndarray_npy::WriteDataError> {
        slice.iter().try_for_each(|text| text.write(&mut writer))
    }
}

impl ndarray_npy::WritableElement for Halved {
    fn type_descriptor() -> py_literal::Value {
        py_literal::Value::String("<f2".into())
    }

    fn write<W: std::io::Write>(&self, mut writer: W) -> Result<(), ndarray_npy::WriteDataError> {
        Ok(writer.write_all(&half(self.0).to_le_bytes())?)
    }

    fn write_slice<W: std::io::Write>(
        slice: &[Self],
        mut writer: W,
    ) -> Result<(), ndarray_npy::WriteDataError> {
        slice.iter().try_for_each(|number| number.write(&mut writer))
    }
}

/// What `np.savez(path, W=W.astype("f2"), form="rate", ..)` writes is read: numbers of float16, settings in str.
#[test]
fn numpy_texts_and_halves_are_read() {
    use ndarray::{ArrayD, IxDyn, arr0, arr1};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numpy.npz");
    let mut archive = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).unwrap());
    for (name, Array { shape, values }) in small(false) {
        let halves: Vec<Halved> = values.into_iter().map(Halved).collect();
        archive.add_array(name, &ArrayD::from_shape_vec(IxDyn(&shape), halves).unwrap()).unwrap();
    }
    for (field, text) in
        [("form", "rate"), ("activation", "relu"), ("map", r#"{"recurrent": "W", "in": "B"}"#)]
    {
        archive.add_array(field, &arr0(Letters::<32>(text))).unwrap();
    }
    archive.add_array("inputs", &arr1(&[Letters::<9>("Größe ∂u")])).unwrap();
    archive.add_array("alpha", &arr0(Halved(1.0))).unwrap();
    archive.finish().unwrap();
    let found = read(&path, &Given::default()).unwrap();
    let wide = write(folder.path(), "wide.npz", &small(false));
    let expected = read(&wide, &given(&[("recurrent", "W"), ("in", "B")])).unwrap().network;
    assert_eq!(found.network.inputs[0].name, "Größe ∂u");
    assert_eq!((found.network.weights(), found.network.input.clone()), (expected.weights(), expected.input));
    let comparison = found.comparison.unwrap();
    assert_eq!((comparison.steps, comparison.step), (3, 0.0));
    // The bound is that of float16.
    assert!((1e-3..1e-1).contains(&comparison.bound), "{}", comparison.bound);

    // A text where a number belongs is told as such.
    let mut archive = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).unwrap());
    archive.add_array("W", &arr1(&[Letters::<3>("abc")])).unwrap();
    archive.finish().unwrap();
    let message = read(&path, &given(&[])).unwrap_err().to_string();
    assert!(
        message.ends_with("expected number type float16, float32 or float64, found text (<U3)"),
        "{message}"
    );
}
