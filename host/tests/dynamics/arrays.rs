//! `tinyfold dynamics ... --save`: what is in the files, that it is what was printed, and that the documentation lists it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use faer::{Mat, c64};
use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use serde_json::Value;
use tinyfold::format::results::About;
use tinyfold::network::{Activation, Network, Recurrence};

use crate::references;

fn tinyfold(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyfold")).args(args).current_dir(folder).output().expect("runs")
}

fn ran(folder: &Path, args: &[&str]) -> String {
    let output = tinyfold(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("letters")
}

/// The JSON of a `dynamics` command that also saves arrays to a file.
fn saved(folder: &Path, args: &[&str], file: &str) -> Value {
    let text = ran(folder, &[&["dynamics"], args, &["--save", file, "--json"]].concat());
    serde_json::from_str(&text).expect("JSON")
}

fn imported(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = references::path(&format!("{name}.safetensors"));
    ran(folder.path(), &["import", file.to_str().expect("letters"), "-o", "net.safetensors"]);
    folder
}

fn array<T: ReadableElement>(folder: &Path, file: &str, name: &str) -> ArrayD<T> {
    let mut npz = NpzReader::new(std::fs::File::open(folder.join(file)).expect("a file")).expect("npz");
    npz.by_name::<OwnedRepr<T>, _>(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn about(folder: &Path, file: &str) -> About {
    About::of(&folder.join(file)).expect("readable").expect("a result")
}

#[test]
fn fixed_points_come_with_jacobians_and_eigenvectors() {
    let folder = imported("flipflop_tanh_n64");
    let folder = folder.path();
    let found = saved(folder, &["fixed-points", "net.safetensors"], "points.npz");
    let real = |name: &str| array::<f64>(folder, "points.npz", name);
    let complex = |name: &str| array::<c64>(folder, "points.npz", name);
    let (k, n) = (27, 64);
    let states = real("states");
    assert_eq!(states.shape(), [k, n]);
    let points = found["points"].as_array().expect("points");
    let listed: Vec<f64> = points.iter().flat_map(|point| references::numbers(&point["x"])).collect();
    assert!(states.iter().eq(&listed), "the same states, in the same order");
    let (jacobian, values) = (real("jacobian"), complex("eigenvalues"));
    assert_eq!((jacobian.shape(), values.shape()), (&[k, n, n][..], &[k, n][..]));
    let network = references::network("flipflop_tanh_n64");
    let w = network.weights();
    let (right, left) = (complex("right"), complex("left"));
    for p in 0..k {
        // h' = tanh(W h + b): row i of W times 1 - h_i².
        for (i, j) in [(0, 0), (3, 17), (63, 2)] {
            let exact = (1.0 - states[[p, i]].powi(2)) * w[(i, j)];
            assert!((jacobian[[p, i, j]] - exact).abs() < 1e-12);
        }
        // J r = lambda r and lᴴ J = lambda lᴴ, lᴴ r = 1.
        for m in [0, 1, 40] {
            let sum = |of: &dyn Fn(usize) -> c64| (0..n).map(of).sum::<c64>();
            for i in 0..n {
                let pushed = sum(&|j| right[[p, j, m]] * jacobian[[p, i, j]]);
                assert!((pushed - values[[p, m]] * right[[p, i, m]]).norm() < 1e-9);
                let pulled = sum(&|j| left[[p, j, m]].conj() * jacobian[[p, j, i]]);
                assert!(
                    (pulled - values[[p, m]] * left[[p, i, m]].conj()).norm()
                        < 1e-9 * left[[p, 0, m]].norm().max(1.0) * 1e2
                );
            }
            assert!((sum(&|i| left[[p, i, m]].conj() * right[[p, i, m]]) - 1.0).norm() < 1e-9);
        }
        let slowest = -1.0 / values[[p, 0]].norm().ln();
        assert!((real("time_constants")[[p, 0]] - slowest).abs() < 1e-9 * slowest.abs());
    }
    let index = array::<i64>(folder, "points.npz", "index");
    let count = |wanted: i64| index.iter().filter(|&&index| index == wanted).count();
    assert_eq!([count(0), count(1), count(2), count(3)], [8, 12, 6, 1]);
    let stable = array::<bool>(folder, "points.npz", "stable");
    assert!(stable.iter().zip(&index).all(|(stable, index)| *stable == (*index == 0)));
    assert!(real("residual").iter().all(|residual| *residual <= 1e-12));
    assert!(real("q").iter().all(|q| *q < 1e-22));
    let told = about(folder, "points.npz");
    assert!(told.complete && told.command == "dynamics fixed-points");
    let inspected = ran(folder, &["inspect", "points.npz"]);
    assert!(inspected.contains("jacobian") && inspected.contains("27 point × 64 neuron i × 64 neuron j"));
}

#[test]
fn submanifolds_come_with_their_coefficients() {
    let line = small(Activation::Tanh, 2, |i, j| [[1.05, 0.0], [0.5, 0.2]][i][j]);
    let folder = line.path();
    for extra in [&[][..], &["--parameter", "1"]] {
        saved(folder, &[&["ssm", "net.safetensors", "--order", "7"], extra].concat(), "ssm.npz");
        let real = |name: &str| array::<f64>(folder, "ssm.npz", name);
        let complex = |name: &str| array::<c64>(folder, "ssm.npz", name);
        let (powers, anchor) = (array::<i64>(folder, "ssm.npz", "powers"), real("anchor"));
        let (manifold, dynamics) = (complex("manifold"), complex("dynamics"));
        let (roots, states) = (real("root_p"), real("root_states"));
        assert!(roots.shape()[0] > 0 && dynamics.shape()[0] == powers.shape()[0]);
        assert_eq!(powers.shape()[1], 1 + usize::from(!extra.is_empty()));
        for root in 0..roots.shape()[0] {
            // With a parameter, where it does not change.
            let monomial = |term: usize| {
                let powers = powers.rows().into_iter().nth(term).expect("a term").to_vec();
                let factor = |(k, &power): (usize, &i64)| {
                    let at = if k == 0 { roots[[root, 0]] } else { 0.0 };
                    at.powi(power as i32)
                };
                powers.iter().enumerate().map(factor).product::<f64>()
            };
            let sum = |of: &dyn Fn(usize) -> c64| -> c64 {
                (0..powers.shape()[0]).map(|term| of(term) * monomial(term)).sum()
            };
            for i in 0..2 {
                let x = sum(&|term| manifold[[term, i]]) + anchor[i];
                assert!((x - states[[root, i]]).norm() < 1e-12);
            }
            assert!(sum(&|term| dynamics[[term, 0]]).norm() < 1e-12, "at rest");
        }
    }
}

#[test]
fn another_ending_is_refused_before_work_begins() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in
        ["fixed-points", "cycles", "ssm", "fit", "slow-manifold", "continue", "lyapunov", "ftle", "attractor"]
    {
        let args = ["dynamics", command, "none.safetensors", "--save", "points.npy"];
        let output = tinyfold(folder.path(), &args);
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!(text, "tinyfold: --save: expected a file name ending in .npz, found points.npy");
        assert_eq!(output.status.code(), Some(2));
    }
}

/// A network with these weights, an input and an output, a flow, as net.safetensors.
fn small(
    activation: Activation<f64>,
    n: usize,
    weight: impl FnMut(usize, usize) -> f64,
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ones = Mat::from_fn(n, 1, |_, _| 1.0);
    let w = Recurrence::Dense(Mat::from_fn(n, n, weight));
    let mut network = Network::plain(activation, w, ones.clone(), ones.transpose().to_owned());
    network.alpha = 0.2;
    tinyfold::format::network::save(&folder.path().join("net.safetensors"), &network).expect("writable");
    folder
}

/// The page that lists what every command saves is what they save.
#[test]
fn the_documentation_lists_every_array() {
    // Two nodes and a saddle on a line.
    let line = small(Activation::Tanh, 2, |i, j| [[1.05, 0.0], [0.5, 0.2]][i][j]);
    let line = line.path();
    let n = 16;
    let angle = |i: usize| std::f64::consts::TAU * i as f64 / n as f64;
    let ring = small(Activation::Tanh, n, |i, j| 3.6 / n as f64 * (angle(i) - angle(j)).cos());
    let plane = small(Activation::Tanh, 3, |i, j| if i == j { [0.95, 0.9, 0.1][i] } else { 0.0 });
    let clipped = small(Activation::Clipped { lo: -1.0, hi: 1.0 }, 2, |i, j| [[2.0, 0.0], [0.5, 0.2]][i][j]);
    let net = "net.safetensors";
    let mut page = String::from(HEAD);
    let mut list = |folder: &Path, args: &[&str], file: &str| {
        saved(folder, args, file);
        let told = about(folder, file);
        let _ = write!(page, "\n## `{}`", told.command);
        let at = args.iter().position(|arg| ["--shape", "--dimension"].contains(arg));
        let option = at.map(|at| format!(", `{} {}`", args[at], args[at + 1]));
        let _ = writeln!(page, "{}\n", option.unwrap_or_default());
        page += "| array | type | axes | unit | what |\n|---|---|---|---|---|\n";
        for array in told.arrays {
            let axes = if array.axes.is_empty() { "one number".into() } else { array.axes.join(", ") };
            let _ = writeln!(
                page,
                "| `{}` | {} | {axes} | {} | {} |",
                array.name, array.number, array.unit, array.meaning
            );
        }
    };
    list(line, &["fixed-points", net], "points.npz");
    list(line, &["slow-manifold", net, "--evidence", "1", "--trials", "4"], "slow.npz");
    list(line, &["attractor", net], "line.npz");
    list(ring.path(), &["attractor", net, "--shape", "ring"], "ring.npz");
    list(plane.path(), &["attractor", net, "--shape", "plane"], "plane.npz");
    list(line, &["continue", net, "--parameter", "1", "--values", "1"], "continue.npz");
    list(line, &["ssm", net, "--parameter", "1", "--order", "5"], "ssm.npz");
    list(line, &["ssm", net, "--dimension", "2", "--parameter", "1", "--order", "5"], "ssm2.npz");
    list(line, &["fit", net, "--count", "12", "--samples", "60"], "fit.npz");
    list(line, &["lyapunov", net, "--steps", "100", "--transient", "20"], "exponents.npz");
    list(line, &["ftle", net, "--steps", "10", "--size", "8", "--basin-steps", "2000"], "ftle.npz");
    list(clipped.path(), &["cycles", net, "--period", "2"], "cycles.npz");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dynamics-arrays.md");
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(&file, &page).expect("writable");
    }
    let known = std::fs::read_to_string(&file).expect("docs/dynamics-arrays.md");
    let other = known.lines().zip(page.lines()).find(|(known, found)| known != found);
    assert_eq!(other, None, "left documented, right saved; ACCEPT=1 writes docs/dynamics-arrays.md");
    assert_eq!(known.lines().count(), page.lines().count());
}

const HEAD: &str = "# What `tinyfold dynamics ... --save FILE.npz` writes

Every command of `tinyfold dynamics` writes what it found as arrays for other programs, what is behind its figures among
them. The file is written whole or not at all, also after Ctrl-C, with what was found until then.

```python
import json, numpy
points = numpy.load(\"points.npz\")
points[\"jacobian\"].shape                     # (points, n, n)
about = json.loads(bytes(points[\"about\"]))   # what every array is; about[\"complete\"] is False where something is missing, as after Ctrl-C
```

`tinyfold inspect points.npz` prints the same. Axes are given outermost first; n neurons. Numbers count from 0. What is not
known is NaN, of whole numbers -1. Time is in steps of a map, in time constants of a neuron of a flow; units
below are those of flows. Rows of several branches, cycles or curves stand one below the other, with a column that says which one a row is of.
With `slow-manifold --contexts`, the name of a context and a point come before the names of its arrays.
";
