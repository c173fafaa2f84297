//! Lyapunov exponents and fields of finite-time exponents.

use serde_json::{Value, json};
use tinyfold::dynamics::lyapunov::{Plane, Settings, Spectrum, Watch, field, spectrum, spread};
use tinyfold::dynamics::{Kind, Rnn};
use tinyfold::network::Form;

use super::{Bench, known};

pub(super) fn rows(bench: &mut Bench) {
    bench.head("Lyapunov exponents", "NumPy, QR every so many steps as ours");
    lorenz(bench);
    network(bench);
    bench.head(
        "Finite-time Lyapunov exponents on a plane, processor time of two threads, s (limit: 5 s on two cores)",
        "the same in PyTorch, f64, blocks of 400 points",
    );
    ftle(bench);
}

/// The first exponent beside the reference.
fn first(exponent: f64, error: Option<f64>, reference: &Value) -> String {
    let [value, uncertain] = ["spectrum", "stderr"].map(|name| known::numbers(&reference[name])[0]);
    let error = error.map_or(String::new(), |error| format!(" ± {error:.4}"));
    format!("first exponent {exponent:.4}{error}, reference {value:.4} ± {uncertain:.4}")
}

/// The first exponent is within four joint standard errors of the reference.
fn check(found: &Spectrum, reference: &Value) {
    let [value, error] = ["spectrum", "stderr"].map(|name| known::numbers(&reference[name])[0]);
    let joint = error.hypot(found.errors[0]);
    assert!((found.exponents[0] - value).abs() < 4.0 * joint, "{} {joint}", found.exponents[0]);
}

fn lorenz(bench: &mut Bench) {
    let steps = if bench.quick { 20_000 } else { 200_000 };
    let settings = Settings { transient: 1000, steps: steps - 1000, dt: 0.005, ..Settings::default() };
    let start = [1.0, 1.0, 20.0];
    let ours = || spectrum(&known::Lorenz, &start, &settings, &Watch::default()).expect("a spectrum");
    let request = json!({
        "method": "lorenz", "transient": settings.transient, "steps": settings.steps, "dt": settings.dt,
        "every": ours().every,
    });
    let timed = bench.time(1, ours, request);
    let reference = &known::json("lyapunov_reference.json")["lorenz63"];
    check(&timed.found, reference);
    let found = first(timed.found.exponents[0], Some(timed.found.errors[0]), reference);
    let quantity = format!("Lorenz, {steps} RK4 steps, ms");
    let limit = (!bench.quick).then_some(100.0);
    bench.row(&quantity, limit, 1.0, &timed, &found, |answer| {
        first(known::numbers(&answer["exponents"])[0], None, reference)
    });
}

fn network(bench: &mut Bench) {
    let steps = if bench.quick { 200 } else { 4000 };
    let rnn = known::chaotic(Form::Current);
    let start = spread(&[0.0; 100], 1.0, 1, 0).col_as_slice(0).to_vec();
    let settings = Settings { transient: 1000, steps, dt: rnn.alpha, ..Settings::default() };
    let ours = || spectrum(&rnn, &start, &settings, &Watch::default()).expect("a spectrum");
    let once = ours();
    let request = json!({
        "method": "lyapunov", "file": "chaotic_rnn_g3_n100", "alpha": rnn.alpha, "start": start,
        "transient": settings.transient, "steps": once.steps, "every": once.every,
    });
    let timed = bench.time(1, ours, request);
    let reference = &known::json("lyapunov_reference.json")["chaotic_rnn_g3_n100_map(alpha=.1)_per_tau"];
    check(&timed.found, reference);
    let found = format!(
        "{}; QR every {} steps",
        first(timed.found.exponents[0], Some(timed.found.errors[0]), reference),
        once.every
    );
    let all = (settings.transient + once.steps) as f64;
    bench.row(
        "network, n = 100, all exponents, µs a step",
        Some(150.0),
        all / 1e3,
        &timed,
        &found,
        |answer| first(known::numbers(&answer["exponents"])[0], None, reference),
    );
}

fn ftle(bench: &mut Bench) {
    let (name, u, steps) = ("mante_tanh_n100_graded", [0.0, 0.0, 0.0, 1.0], 100);
    let size = if bench.quick { 20 } else { 200 };
    let rnn = Rnn::new(&known::network(name), &u, Kind::Map).expect("a map");
    // The plane of the three stable points.
    let (_, points) = known::mante("ctx_colour");
    let along = [0, 2].map(|k| std::iter::zip(&points[k], &points[1]).map(|(a, b)| a - b).collect());
    let ranges = [(-6.0, 6.0); 2];
    let plane = Plane::new(points[1].clone(), along, ranges, [size; 2]).expect("a plane");
    let output = bench.folder.path().join("field");
    let request = json!({
        "method": "ftle", "network": name, "u": u, "origin": plane.origin, "axes": plane.axes, "ranges": ranges,
        "size": size, "steps": steps, "threads": 2, "output": output,
    });
    let ours = || field(&rnn, &plane, steps, rnn.alpha, &Watch::default()).expect("a field");
    let timed = bench.time(2, ours, request);
    let values = &timed.found.values;
    assert!(values.iter().all(|value| value.is_finite()));
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let found = format!("largest exponent {most:.4}");
    let theirs = |_: &Value| {
        let bytes = std::fs::read(&output).expect("the field");
        let numbers = bytes.chunks_exact(8).map(|x| f64::from_le_bytes(x.try_into().expect("eight")));
        let apart = numbers.zip(values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        format!("no point differs by more than {apart:.0e}")
    };
    let quantity = format!("decisions, n = 100, {size} x {size} points, {steps} steps");
    let limit = (!bench.quick).then_some(10.0);
    bench.row(&quantity, limit, 1e3, &timed, &found, theirs);
}
