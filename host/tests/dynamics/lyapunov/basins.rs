//! Attracting sets and their basins, and the dimension of what is visited.

use faer::Mat;
use tinyfold::dynamics::lyapunov::{
    Plane, Recurrence, Watch, attractors, basins, intrinsic, spread, visited,
};
use tinyfold::dynamics::{Kind, Rnn};

use super::systems::Small;
use crate::references;

/// dx/dt = (1 - r) (r - 1/2) x - y and so on: the circle r = 1 attracts, and the origin from within r = 1/2.
const RIM: Small<2> = Small {
    kind: Kind::Flow,
    value: |[x, y]| {
        let r = x.hypot(y);
        let k = (1.0 - r) * (r - 0.5);
        [k * x - y, k * y + x]
    },
    jacobian: |[x, y]| {
        let r = x.hypot(y).max(1e-300);
        let (k, slope) = ((1.0 - r) * (r - 0.5), 1.5 - 2.0 * r);
        [[k + slope * x * x / r, slope * x * y / r - 1.0], [slope * x * y / r + 1.0, k + slope * y * y / r]]
    },
};

/// z -> (1.5 - |z|²) e^i z: an invariant circle of radius sqrt(1/2), turned by one radian a step.
const TURN: Small<2> = Small {
    kind: Kind::Map,
    value: |[x, y]| {
        let (s, c) = 1.0_f64.sin_cos();
        let k = 1.5 - x * x - y * y;
        [k * (c * x - s * y), k * (s * x + c * y)]
    },
    jacobian: |_| [[0.0; 2]; 2],
};

#[test]
fn cycles_and_circles_have_basins() {
    let plane = |half: f64| {
        let axes = [vec![1.0, 0.0], vec![0.0, 1.0]];
        Plane::new(vec![0.0; 2], axes, [(-half, half); 2], [25; 2]).unwrap()
    };
    let search = |system: &Small<2>, dt: f64| {
        let starts = spread(&[0.0; 2], 0.5, 40, 3);
        attractors(system, &starts, 4000, dt, 1e-8, &Watch::default()).unwrap()
    };
    // A flow: the point within r = 1/2, the closed orbit of period 2 pi outside.
    let found = search(&RIM, 0.05);
    assert_eq!((found.len(), found[0].recurrence), (2, Recurrence::Point));
    let Recurrence::Cycle { period } = found[1].recurrence else { panic!("{:?}", found[1].recurrence) };
    assert!((period - std::f64::consts::TAU).abs() < 1e-4, "{period}");
    assert!(found[1].states.iter().all(|x| (x[0].hypot(x[1]) - 1.0).abs() < 1e-6));
    let rim = plane(1.5);
    let reached = basins(&RIM, &rim, &found, 4000, 0.05, 1e6, &Watch::default()).unwrap();
    for k in 0..rim.count() {
        let [x, y] = [0, 1].map(|i| rim.point(k)[i]);
        assert_eq!(reached.labels[k], Some(usize::from(x.hypot(y) > 0.5)), "{x} {y}");
    }
    // A map: a set that the orbit fills; from far away states leave.
    let found = search(&TURN, 1.0);
    assert_eq!((found.len(), found[0].recurrence), (1, Recurrence::Set));
    assert!(found[0].states.iter().all(|x| (x[0].hypot(x[1]) - 0.5_f64.sqrt()).abs() < 1e-9));
    let far = plane(2.2);
    let reached = basins(&TURN, &far, &found, 4000, 1.0, 1e6, &Watch::default()).unwrap();
    for k in 0..far.count() {
        let r = far.point(k)[0].hypot(far.point(k)[1]);
        // r (1.5 - r²) = -r at sqrt(5/2); the origin is a fixed point.
        let stays = r < 2.5_f64.sqrt();
        if r > 1e-9 {
            assert_eq!((reached.labels[k], reached.escaped[k]), (stays.then_some(0), !stays), "{r}");
        }
    }
    // The logistic map: its cycle of period 4, and its chaos.
    for (r, expected) in [(3.5, Recurrence::Cycle { period: 4.0 }), (3.9, Recurrence::Set)] {
        let logistic: Small<1> = Small {
            kind: Kind::Map,
            value: if r < 3.6 { |[x]| [3.5 * x * (1.0 - x)] } else { |[x]| [3.9 * x * (1.0 - x)] },
            jacobian: |_| [[0.0]],
        };
        let starts = Mat::from_fn(1, 20, |_, k| (k as f64 + 0.5) / 20.0);
        let found = attractors(&logistic, &starts, 4000, 1.0, 1e-8, &Watch::default()).unwrap();
        assert_eq!(found.iter().map(|set| set.recurrence).collect::<Vec<_>>(), [expected]);
    }
    // What only approaches a point slowly is no set: x' = x - x³ comes near 0 as 1 / sqrt(2 t).
    let slow = Small { kind: Kind::Map, value: |[x]: [f64; 1]| [x - x * x * x], jacobian: |_| [[0.0]] };
    let starts = Mat::from_fn(1, 3, |_, k| 0.3 + 0.1 * k as f64);
    assert!(attractors(&slow, &starts, 2000, 1.0, 1e-12, &Watch::default()).unwrap().is_empty());
}

#[test]
fn rings_fill_two_directions() {
    let network = references::network("ring_tanh_n64");
    let rnn = Rnn::new(&network, &vec![0.0; network.input.ncols()], Kind::Flow).unwrap();
    let states = visited(&rnn, &spread(&[0.0; 64], 1.0, 300, 0), 100, 100, 0.2).unwrap();
    let found = intrinsic(&states).unwrap();
    println!("ring: participation ratio {:.3}, local dimension {:?}", found.participation_ratio, found.local);
    assert!((found.participation_ratio - 2.0).abs() < 0.02);
    assert_eq!(found.local.map(|local| local.median), Some(1));
}
