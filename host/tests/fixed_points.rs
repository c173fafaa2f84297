//! Fixed points.
mod dynamics;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tinyfold::dynamics::{Kind, fixed_points};

#[test]
fn flipflop() {
    let network = dynamics::network("flipflop_tanh_n64");
    for seed in 0..10 {
        let options = fixed_points::Options { seed, ..Default::default() };
        let t = Instant::now();
        let f = fixed_points::of_network(&network, &[0.0; 3], Kind::Map, &options, &AtomicBool::new(false)).unwrap();
        println!("{:?} {:?} sum {} slow {} rounds {} starts {} worst {:.1e}", t.elapsed(), f.histogram(), f.index_sum, f.slow.len(), f.rounds, f.starts,
            f.points.iter().map(|p| p.residual).fold(0.0, f64::max));
    }
}
#[test]
fn mante() {
    let network = dynamics::network("mante_tanh_n100_graded");
    for u in [[0.0,0.0,0.0,0.0],[0.0,0.0,1.0,0.0],[0.0,0.0,0.0,1.0],[0.0014,0.0,1.0,0.0],[0.06,0.0,1.0,0.0],[0.0,-0.06,0.0,1.0]] {
    for seed in 0..3 {
        for kind in [Kind::Map, Kind::Flow] {
        let options = fixed_points::Options { seed, ..Default::default() };
        let t = Instant::now();
        let f = fixed_points::of_network(&network, &u, kind, &options, &AtomicBool::new(false)).unwrap();
        println!("{u:?} {:?} {:?} sum {} slow {:?} rounds {} starts {} worst {:.1e}", t.elapsed(), f.histogram(), f.index_sum, f.slow.iter().map(|s| s.q).collect::<Vec<_>>(), f.rounds, f.starts,
            f.points.iter().map(|p| p.residual).fold(0.0, f64::max));
    } }}
}
#[test]
fn others() {
    for (name, i) in [("relu_integrator_n64", 2), ("ring_tanh_n64", 2)] {
    let network = dynamics::network(name);
    for seed in 0..3 {
        let options = fixed_points::Options { seed, ..Default::default() };
        let t = Instant::now();
        let f = fixed_points::of_network(&network, &vec![0.0; i], Kind::Map, &options, &AtomicBool::new(false)).unwrap();
        println!("{name} {:?} {:?} sum {} slow {:?} rounds {} starts {} worst {:.1e} {:?}", t.elapsed(), f.histogram(), f.index_sum, f.slow.iter().map(|s| s.q).collect::<Vec<_>>(), f.rounds, f.starts,
            f.points.iter().map(|p| p.residual).fold(0.0, f64::max), f.continuum.map(|c| (c.dimension, c.reached, c.states.len())));
    } }
}
