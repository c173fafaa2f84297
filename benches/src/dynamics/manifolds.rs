//! Spectral submanifolds, slow manifolds, manifolds learnt from trajectories.

use std::iter::zip;

use serde_json::{Value, json};
use tinyfold::dynamics::slow_manifold::{
    DataManifold, Fit, Frame, Options, Projection, SlowManifold, Target, nmte,
};
use tinyfold::dynamics::ssm::{self, Spectrum};
use tinyfold::dynamics::{Kind, Path};

use super::{Bench, known, number};

const NETWORK: &str = "mante_tanh_n100_graded";
/// The input held where colour counts.
const COLOUR: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

pub(super) fn rows(bench: &mut Bench) {
    spectral(bench);
    slow(bench);
    learnt(bench);
}

fn spectral(bench: &mut Bench) {
    bench.head(
        "Spectral submanifolds at a saddle, n = 100, ms beyond the eigen-decomposition",
        "the same equations in NumPy",
    );
    let network = known::network(NETWORK);
    let family = Path::between(&network, &COLOUR, &[0.0, 1.0, 0.0, 1.0], Kind::Flow).expect("a path");
    let cases = known::json("ssm_taylor_flow.json")["cases"].take();
    let cases = cases.as_array().expect("cases");
    let at = cases.iter().position(|case| case["lam"].as_f64() > Some(0.0)).expect("a saddle");
    let x = known::polished(&family, &known::numbers(&cases[at]["W"][0]), 0.0).expect("a fixed point");
    let spectrum = Spectrum::new(&family, &x, 0.0).expect("a spectrum");
    let second = (1..100).find(|&k| spectrum.eigenvalues[k].im == 0.0).expect("a real eigenvalue");
    let values = [0, second].map(|k| spectrum.eigenvalues[k].re);
    let request = |method: &str, order: usize| json!({ "method": method, "network": NETWORK, "u": COLOUR, "x": x, "order": order });
    let with = |mut request: Value, name: &str, value: Value| {
        request[name] = value;
        request
    };

    let asked = with(with(request("ssm_line", 9), "value", json!(values[0])), "case", json!(at));
    let timed = bench.time(1, || ssm::line(&family, &spectrum, 0, 9).expect("a line"), asked);
    let (mut error, rates) = (0.0_f64, known::numbers(&cases[at]["R"]));
    for k in 0..=9 {
        let expected = known::numbers(&cases[at]["W"][k]);
        let size = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
        let differences =
            zip(timed.found.manifold.column(k, 0), &expected).map(|(a, b)| (a - b).abs() / size);
        error = differences.fold(error, f64::max);
        error = error.max((timed.found.rates[0].get(k, 0, 0) - rates[k]).abs() / rates[k].abs().max(1.0));
    }
    assert!(error <= 1e-10, "line: {error}");
    let coefficients = |error: f64| format!("coefficients off the reference by {error:.0e}");
    bench.row("one coordinate, order 9", Some(1.0), 1.0, &timed, &coefficients(error), |answer| {
        coefficients(number(answer, "error"))
    });

    let place = [0.02, 0.01];
    let asked = with(with(request("ssm_plane", 9), "values", json!(values)), "at", json!(place));
    let timed = bench.time(1, || ssm::plane(&family, &spectrum, [0, second], 9).expect("a plane"), asked);
    let residual = timed.found.residual(&family, &place);
    assert!(residual < 1e-12, "plane: {residual}");
    let text = |residual: f64| format!("residual {residual:.0e} at (0.02, 0.01)");
    bench.row("two coordinates, order 9", Some(5.0), 1.0, &timed, &text(residual), |answer| {
        text(number(answer, "residual"))
    });

    let asked = with(with(request("ssm_parameter", 13), "value", json!(values[0])), "parameter", json!(1));
    let timed = bench.time(1, || ssm::with_parameter(&family, &spectrum, 0, 13).expect("a family"), asked);
    let folds = known::json("ssm_folds.json");
    let folds: Vec<f64> =
        folds["folds"].as_array().expect("folds").iter().filter_map(|fold| fold["mu"].as_f64()).collect();
    let predicted = timed.found.folds(&family, 2.0 * timed.found.radius()).expect("folds");
    let errors = predicted.iter().flat_map(|fold| folds.iter().map(|mu| (mu - fold.mu).abs()));
    let error = errors.fold(f64::INFINITY, f64::min);
    assert!(error <= 1e-8, "fold: {error}");
    let text = |error: f64| format!("nearest fold of the network predicted to {error:.0e}");
    bench.row("coordinate and parameter, order 13", Some(5.0), 1.0, &timed, &text(error), |answer| {
        text(number(answer, "error"))
    });
}

fn slow(bench: &mut Bench) {
    bench.head("Slow manifold between fixed points, K = 64, n = 100, ms", "the graph transform in NumPy");
    for (context, file, u) in [
        ("colour", "mante_slow_manifold_ctxC", COLOUR),
        ("motion", "mante_slow_manifold_ctxM", [0.0, 0.0, 1.0, 0.0]),
    ] {
        let reference = known::json(&format!("{file}.json"));
        let (rnn, points) = known::mante(&format!("ctx_{context}"));
        let given = Frame {
            anchor: known::numbers(&reference["anchor"]),
            left: known::numbers(&reference["l"]),
            right: known::numbers(&reference["v"]),
        };
        let nearest = |x: &&Vec<f64>| given.coordinate(x).abs();
        let anchor = points.iter().min_by(|a, b| nearest(a).total_cmp(&nearest(b))).expect("points");
        let mut frame = Frame::at(&rnn, anchor).expect("a slow direction");
        if zip(&frame.left, &given.left).map(|(a, b)| a * b).sum::<f64>() < 0.0 {
            frame.left.iter_mut().chain(&mut frame.right).for_each(|x| *x = -*x);
        }
        let options = Options { degree: 64, ..Options::default() };
        let request = json!({
            "method": "graph_transform", "network": NETWORK, "u": u, "points": points, "degree": 64,
            "anchor": frame.anchor, "left": frame.left, "file": file,
        });
        let find = || SlowManifold::find(&rnn, &points, frame.clone(), &options, &false.into());
        let timed = bench.time(1, || find().expect("a manifold"), request);
        let mut truth = timed.found.clone();
        truth.curve = reference["cheb_curve"].as_array().expect("rows").iter().map(known::numbers).collect();
        let mut error = 0.0_f64;
        for p in timed.found.range.even(401) {
            let differences = zip(timed.found.state(p), truth.state(p)).map(|(a, b)| (a - b).abs());
            error = differences.fold(error, f64::max);
        }
        assert!(error <= 1e-7, "{context}: {error}");
        let transforms: Vec<String> =
            timed.found.transforms.iter().map(|(degree, count)| format!("{count} of K = {degree}")).collect();
        let found = format!("states off the reference by {error:.0e}; transforms: {}", transforms.join(", "));
        bench.row(&format!("{context} counts"), Some(60.0), 1.0, &timed, &found, |answer| {
            format!(
                "states off the reference by {:.0e}; transforms: {}",
                number(answer, "error"),
                number(answer, "transforms")
            )
        });
    }
}

fn learnt(bench: &mut Bench) {
    bench.head(
        "Manifold learnt from 40 trajectories, degree 11, n = 100, ms",
        "the method of SSMLearn: regression by scikit-learn, solve_ivp by SciPy",
    );
    let (rnn, points) = known::mante("ctx_colour");
    let frame = Frame::choose(&rnn, &points).expect("a slow direction");
    let projection = Projection::from(&frame);
    let trajectories = known::relaxing(60, 800, 7);
    let file = bench.folder.path().join("trajectories");
    let columns = trajectories.iter().flat_map(|x| (0..x.ncols()).flat_map(|t| x.col_as_slice(t)));
    let bytes: Vec<u8> = columns.flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(&file, bytes).expect("writable");
    let (train, test) = trajectories.split_at(40);
    let fit = Fit { degree: 11, cut: 38, interval: 0.8, target: Target::Map };
    let request = |method: &str| {
        json!({
            "method": method, "file": file, "shape": [60, test[0].ncols(), 100], "anchor": frame.anchor,
            "train": 40, "cut": fit.cut, "degree": fit.degree, "interval": fit.interval,
        })
    };
    let learn = || DataManifold::fit(train, &projection, &fit).expect("a manifold");
    let fitted = bench.time(1, learn, request("manifold_fit"));
    let model = &fitted.found;
    let rolled = bench.time(1, || model.predict(test, fit.cut), request("manifold_roll_out"));
    let error = nmte(&rolled.found, test, fit.cut, &frame.anchor);
    assert!(error <= 2e-3, "NMTE {error}");
    let roots = format!("{} roots of the reduced speed, {} fixed points", model.roots().len(), points.len());
    bench.row("fit", Some(2.0), 1.0, &fitted, &roots, |_| "-".into());
    bench.row(
        "roll-out of 20 trajectories",
        Some(2.0),
        1.0,
        &rolled,
        &format!("NMTE {error:.2e}"),
        |answer| format!("NMTE {:.2e}", number(answer, "nmte")),
    );
}
