//! Piecewise-linear networks of other tools: PLRNNs, shallow and dendritic ones.

use std::sync::atomic::AtomicBool;

use tinyfold::dynamics::cycles::{Options, Piecewise, Region, find};
use tinyfold::dynamics::{Kind, Rnn};
use tinyfold::format::arrays::{Array, ArrayFile};
use tinyfold::format::foreign::{Given, read};
use tinyfold::format::network;

use super::{array, given, write};
use crate::references;

/// Piecewise-linear networks of every form, imported, saved and loaded: the same cycles as brute force found.
#[test]
fn piecewise_linear_networks_keep_all_their_cycles() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(references::path("plrnn_small_reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut forms = [0; 3];
    for (name, net) in reference.as_object().unwrap() {
        let path = references::path("plrnn_small.safetensors");
        let file = ArrayFile::open(&path).unwrap();
        let parts: Vec<&str> =
            file.names().iter().filter_map(|array| array.strip_prefix(&format!("{name}/"))).collect();
        let relu = !parts.contains(&"A");
        forms[usize::from(relu) + 2 * usize::from(parts.contains(&"W1"))] += 1;
        let map = parts.iter().map(|part| (format!("{name}/{part}"), (*part).to_owned())).collect();
        let plain = Given { no_inputs: true, ..given(&[]) };
        let given = if relu { Given { map, ..plain } } else { Given { map, ..Given::default() } };
        let saved = folder.path().join("network.safetensors");
        network::save(&saved, &read(&path, &given).unwrap().network).unwrap();
        let network = network::load(&saved).unwrap();
        let map = Piecewise::of_rnn(&Rnn::new(&network, &[0.0], Kind::Map).unwrap()).unwrap();
        let brute = net["brute"].as_object().unwrap();
        let n = net["n"].as_u64().unwrap() as usize;
        let options = Options { period: brute.len(), ..Options::default() };
        let found = find(&map, &options, &AtomicBool::new(false)).unwrap();
        for (coverage, k) in found.coverage.iter().zip(1..) {
            let known = &brute[&k.to_string()];
            assert_eq!(found.of_period(k).count() as u64, known["n"].as_u64().unwrap(), "{name} {k}");
            assert_eq!(coverage.candidates, known["candidates"].as_f64().unwrap(), "{name} {k}");
            assert!(coverage.complete, "{name} {k}");
        }
        for known in net["cycles"].as_array().unwrap() {
            let masks: Vec<u64> =
                known["masks"].as_array().unwrap().iter().map(|mask| mask.as_u64().unwrap()).collect();
            let same = |regions: &[Region]| regions.iter().map(Region::mask).eq(masks.iter().copied());
            let cycle = found.cycles.iter().find(|cycle| same(&cycle.regions)).expect(name);
            let orbit = cycle.orbit.iter().flat_map(|state| &state[..n]);
            for (ours, theirs) in orbit.zip(references::numbers(&known["orbit"])) {
                assert!((ours - theirs).abs() < 1e-9 * theirs.abs().max(1.0), "{name}: {ours} {theirs}");
            }
            let radius = known["rho"].as_f64().unwrap();
            assert!((cycle.spectral_radius - radius).abs() < 1e-9 * radius.max(1.0), "{name}");
        }
    }
    assert!(forms.iter().all(|&count| count > 1), "PLRNN, ReLU, shallow: {forms:?}");
}

#[test]
fn what_a_piecewise_linear_network_lacks_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |all: &[(&'static str, Array)]| {
        read(&write(folder.path(), "a.npz", all), &Given::default()).unwrap_err().to_string()
    };
    let diagonal = || ("A", array(&[2], |_| 0.5));
    let message = refused(&[diagonal(), ("V", array(&[2, 2], |_| 1.0))]);
    assert!(message.contains("array W: expected the weights of relu: --map NAME=W"), "{message}");
    assert!(message.ends_with("found arrays A, V, note"), "{message}");
    let message = refused(&[diagonal(), ("W", array(&[2, 3], |_| 1.0))]);
    assert!(message.ends_with("expected shape [2, 2] as W, found [2, 3]"), "{message}");
    let shallow = [diagonal(), ("W1", array(&[2, 3], |_| 1.0)), ("W2", array(&[2, 3], |_| 1.0))];
    let message = refused(&shallow);
    assert!(message.ends_with("found [2, 3], which is transposed: --map W2.T=W2"), "{message}");
    let message = refused(&[diagonal(), ("W", array(&[2, 2], |_| 1.0)), ("h", array(&[3], |_| 1.0))]);
    assert!(message.ends_with("expected shape [2] as h, found [3]"), "{message}");
}

/// z' = A z + W sum_k alpha_k relu(z - h_k) + h + C u, written out, is what the imported network does; in both signs of the
/// thresholds that the authors' programs use, and with A and W in one array.
#[test]
fn dendritic_networks_are_imported_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let (n, bases, steps) = (3, 4, 30);
    let number = |k: usize| (((37 * k + 11) % 64) as f64 - 31.5) / 64.0;
    let (a, w, h) = (
        array(&[n], |k| 0.6 * number(k)),
        array(&[n, n], |k| number(k + 5)),
        array(&[n], |k| number(k + 20)),
    );
    let (alphas, thresholds) =
        (array(&[bases], |k| number(k + 30)), array(&[n, bases], |k| 2.0 * number(k + 40)));
    let input = array(&[n, 1], |k| number(k + 60));
    let u = array(&[1, steps, 1], |t| number(3 * t));
    let (mut z, mut states) = (vec![0.0; n], Vec::new());
    let off_diagonal = |i: usize, j: usize| if i == j { 0.0 } else { w.values[i * n + j] };
    for t in 0..steps {
        let dendrite = |j: usize| -> f64 {
            (0..bases)
                .map(|k| alphas.values[k] * f64::max(z[j] - thresholds.values[j * bases + k], 0.0))
                .sum()
        };
        let next = |i: usize| {
            let recurrent: f64 = (0..n).map(|j| off_diagonal(i, j) * dendrite(j)).sum();
            a.values[i] * z[i] + recurrent + h.values[i] + input.values[i] * u.values[t]
        };
        z = (0..n).map(next).collect();
        states.extend(z.clone());
    }
    let stored = [
        ("h", h),
        ("alphas", alphas.clone()),
        ("C", array(&[1, n], |k| number(k + 70))),
        ("B", input),
        ("traj", array(&[1, steps, n], |k| states[k])),
        ("traj_u", u),
    ];
    let apart = [("A", a.clone()), ("W", array(&[n, n], |k| off_diagonal(k / n, k % n)))];
    let together = [("AW", array(&[n, n], |k| if k % (n + 1) == 0 { a.values[k / n] } else { w.values[k] }))];
    let minus = array(&[n, bases], |k| -thresholds.values[k]);
    for (name, weights, threshold) in [
        ("a.npz", &apart[..], ("H", thresholds.clone())),
        ("b.safetensors", &apart[..], ("thetas", minus.clone())),
        ("c.safetensors", &together[..], ("thetas", minus)),
    ] {
        let all = [weights, &[threshold], &stored[..]].concat();
        let found = read(&write(folder.path(), name, &all), &Given::default()).unwrap();
        assert_eq!(found.network.neurons(), 2 * n + n * bases);
        let comparison = found.comparison.unwrap();
        assert!(
            comparison.steps == steps && comparison.step < 1e-14 && comparison.run < 1e-13,
            "{comparison:?}"
        );
    }
    let refused = |all: &[(&'static str, Array)]| {
        read(&write(folder.path(), "wrong.npz", all), &Given::default()).unwrap_err().to_string()
    };
    let message = refused(&[&apart[..], &stored[..]].concat());
    assert!(message.contains("the thresholds of relu(z - H), n × K (or thetas"), "{message}");
    let message = refused(&[&apart[..], &[("H", array(&[bases, n], |_| 0.0))], &stored[..]].concat());
    assert!(
        message.ends_with("expected shape [3, 4] as H, found [4, 3], which is transposed: --map H.T=H"),
        "{message}"
    );
}
