//! The host's own simulation in f64, written from the equations and sharing no code with core's
//! kernels: the truth that `verify` compares every backend with.

use faer::Mat;
use tinyfold_core::Activation;

use crate::network::{Form, Network, Recurrence};

/// What a network did, step by step.
#[derive(Clone, Debug, Default)]
pub struct Trajectory {
    /// Outputs in network units, row-major T × O.
    pub outputs: Vec<f64>,
    /// Carried words in the order of [`Network::carried`], row-major T × carried.
    pub carried: Vec<f64>,
    /// Pre-activations that phi was applied to (the currents a in current form), row-major T × n;
    /// empty unless asked for.
    pub pre_activations: Vec<f64>,
}

/// phi(p) by the functions of std.
#[must_use]
pub fn activate(activation: Activation<f64>, p: f64) -> f64 {
    match activation {
        Activation::Relu if p <= 0.0 => 0.0,
        Activation::Linear | Activation::Relu => p,
        Activation::Clipped { lo, hi } => p.clamp(lo, hi),
        Activation::Tanh => p.tanh(),
        Activation::Sigmoid { slope, threshold } => 1.0 / (1.0 + (-slope * (p - threshold)).exp()),
    }
}

/// sums += M x.
fn add_product(sums: &mut [f64], matrix: &Mat<f64>, x: &[f64]) {
    for (j, &x) in x.iter().enumerate() {
        for (sum, &weight) in sums.iter_mut().zip(matrix.col_as_slice(j)) {
            *sum += weight * x;
        }
    }
}

/// sums += Mᵀ x.
fn add_transposed(sums: &mut [f64], matrix: &Mat<f64>, x: &[f64]) {
    for (j, sum) in sums.iter_mut().enumerate() {
        *sum += matrix.col_as_slice(j).iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    }
}

/// Runs `network` from its initial state on inputs `x` in network units, row-major T × I.
///
/// Dense: the equations of [`Network`]. Low rank: rate form with alpha = 1, p = b + U z + B x,
/// z' = Vᵀ phi(p), y = C phi(p) + c; with alpha < 1 both z and y are leaky. Current form:
/// a = b + U kappa + B nu, kappa' = (1 - alpha) kappa + alpha Vᵀ phi(a), nu' = (1 - alpha) nu + alpha x.
#[must_use]
pub fn run(network: &Network, x: &[f64], keep_pre_activations: bool) -> Trajectory {
    let inputs = network.input.ncols().max(1);
    let mut trajectory = Trajectory::default();
    let mut carried = network.initial.clone();
    for x in x.chunks_exact(inputs) {
        let (mut y, p) = step(network, &mut carried, x);
        if network.nonlinear_decoder {
            for y in &mut y {
                *y = activate(network.activation, *y);
            }
        }
        trajectory.outputs.extend(y);
        trajectory.carried.extend(&carried);
        if keep_pre_activations {
            trajectory.pre_activations.extend(p);
        }
    }
    trajectory
}

/// One step: changes `carried`, returns y and the pre-activations.
fn step(network: &Network, carried: &mut [f64], x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let alpha = network.alpha;
    let rates = |p: &[f64]| p.iter().map(|&p| activate(network.activation, p)).collect::<Vec<f64>>();
    let leak = |old: &mut [f64], new: &[f64]| {
        for (old, new) in old.iter_mut().zip(new) {
            *old = if alpha < 1.0 { (1.0 - alpha) * *old + alpha * new } else { *new };
        }
    };
    let read = |phi: &[f64]| {
        let mut y = network.output_bias.clone();
        add_product(&mut y, &network.readout, phi);
        y
    };
    let mut p = network.bias.clone();
    match (&network.recurrence, network.form) {
        (Recurrence::Dense(w), Form::Rate) => {
            add_product(&mut p, w, carried);
            add_product(&mut p, &network.input, x);
            leak(carried, &rates(&p));
            (read(carried), p)
        }
        (Recurrence::Dense(w), Form::Current) => {
            add_product(&mut p, w, &rates(carried));
            add_product(&mut p, &network.input, x);
            leak(carried, &p);
            (read(&rates(carried)), carried.to_vec())
        }
        (Recurrence::LowRank { u, v }, Form::Rate) => {
            let (z, carried_y) = carried.split_at_mut(u.ncols());
            add_product(&mut p, u, z);
            add_product(&mut p, &network.input, x);
            let phi = rates(&p);
            let mut projected = vec![0.0; v.ncols()];
            add_transposed(&mut projected, v, &phi);
            leak(z, &projected);
            let y = read(&phi);
            if alpha < 1.0 {
                leak(carried_y, &y);
                (carried_y.to_vec(), p)
            } else {
                (y, p)
            }
        }
        (Recurrence::LowRank { u, v }, Form::Current) => {
            let (kappa, nu) = carried.split_at_mut(u.ncols());
            let mut a = p.clone();
            add_product(&mut a, u, kappa);
            add_product(&mut a, &network.input, nu);
            let mut projected = vec![0.0; v.ncols()];
            add_transposed(&mut projected, v, &rates(&a));
            leak(kappa, &projected);
            leak(nu, x);
            add_product(&mut p, u, kappa);
            add_product(&mut p, &network.input, nu);
            (read(&rates(&p)), p)
        }
    }
}
