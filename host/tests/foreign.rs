//! Networks of other tools.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tinyfold::format::arrays::{self, Array, ArrayFile};
use tinyfold::format::foreign::{Given, Imported, read};
use tinyfold::network::{Activation, Form};

mod dynamics;

fn meta(folder: &TempDir, network: &str, text: &str) -> PathBuf {
    let to = folder.path().join(format!("{network}.safetensors"));
    std::fs::copy(dynamics::path(&format!("{network}.safetensors")), &to).unwrap();
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
            read(&dynamics::path(&format!("{name}.safetensors")), &Given::default()).unwrap();
        let other = dynamics::network(name);
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
        read(&dynamics::path("mante_tanh_n100_graded.safetensors"), &Given::default()).unwrap().network;
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
        form: Some(Form::Rate),
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
    assert!(refused(&given(&[("W", "V")])).contains("one of ours: W, B, b, C, c, initial, found V"));
    let path = write(folder.path(), "b.npz", &[("X", array(&[2, 2], |_| 0.5))]);
    let message = read(&path, &all).unwrap_err().to_string();
    assert!(message.contains("--map NAME=W") && message.contains("found arrays X"), "{message}");
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
    assert!(message.contains("array W: expected number type F32 or F64, found I64"), "{message}");
}
