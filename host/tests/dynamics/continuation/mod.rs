//! Continuation of fixed points and cycles against closed forms and against reference folds of trained
//! networks.

mod curves;
mod maps;
mod networks;
mod parameters;
mod refusals;
mod scales;
mod textbook;
mod trained;

use std::sync::atomic::AtomicBool;

use faer::MatMut;
use tinyfold::dynamics::continuation::{
    Bifurcation, Diagram, Settings, Special, Start, continuation, starts,
};
use tinyfold::dynamics::{Family, Kind, Path};
use tinyfold::network::{Activation, Network};

use crate::references;

type Values = fn(&[f64], f64) -> Vec<f64>;

/// A family by closed forms: value, Jacobian by rows, derivative by mu.
#[derive(Debug)]
struct Formula {
    kind: Kind,
    n: usize,
    value: Values,
    jacobian: Values,
    derivative: Values,
}

impl Family for Formula {
    fn dimension(&self) -> usize {
        self.n
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn value(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(&(self.value)(x, mu));
    }

    fn jacobian(&self, x: &[f64], mu: f64, mut out: MatMut<'_, f64>) {
        let values = (self.jacobian)(x, mu);
        (0..self.n * self.n).for_each(|k| out[(k / self.n, k % self.n)] = values[k]);
    }

    fn derivative(&self, x: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(&(self.derivative)(x, mu));
    }
}

fn family(kind: Kind, n: usize, value: Values, jacobian: Values, derivative: Values) -> Formula {
    Formula { kind, n, value, jacobian, derivative }
}

/// r x (1 - x).
const LOGISTIC: Formula = Formula {
    kind: Kind::Map,
    n: 1,
    value: |x, r| vec![r * x[0] * (1.0 - x[0])],
    jacobian: |x, r| vec![r * (1.0 - 2.0 * x[0])],
    derivative: |x, _| vec![x[0] * (1.0 - x[0])],
};

fn run<F: Family>(family: &F, starts: &[(f64, &[f64])], low: f64, high: f64) -> Diagram {
    let starts: Vec<Start> = starts.iter().map(|(mu, x)| Start { mu: *mu, x: x.to_vec() }).collect();
    continuation(family, &starts, &Settings::new(low, high), &AtomicBool::new(false)).unwrap()
}

/// Fixed points to start from.
fn found(path: &Path, mus: &[f64]) -> Vec<Start> {
    starts(path, mus, 0, &AtomicBool::new(false)).unwrap().0
}

fn all(diagram: &Diagram, kind: Bifurcation) -> Vec<&Special> {
    diagram
        .branches
        .iter()
        .flat_map(|branch| &branch.special)
        .filter(|special| special.kind == kind)
        .collect()
}

/// The only bifurcation of a diagram's branches of that kind.
fn only(diagram: &Diagram, kind: Bifurcation) -> &Special {
    let found = all(diagram, kind);
    assert_eq!(found.len(), 1, "{kind:?}: {:?}", found.iter().map(|s| s.mu).collect::<Vec<f64>>());
    found[0]
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-8, "{found} instead of {expected}");
}

/// The index of every point is that of the eigenvalues where they are known, and of branches of a small
/// system all are.
fn check_index(family: &impl Family, diagram: &Diagram) {
    for point in diagram.branches.iter().flat_map(|branch| &branch.points) {
        let n = family.dimension();
        let mut jacobian = faer::Mat::zeros(n, n);
        family.jacobian(&point.x, point.mu, jacobian.as_mut());
        let unstable = jacobian.eigenvalues().unwrap().into_iter().filter(|value| match family.kind() {
            Kind::Flow => value.re > 0.0,
            Kind::Map => value.norm() > 1.0,
        });
        assert_eq!(point.index, unstable.count(), "mu = {}", point.mu);
    }
}

fn textbook() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(references::path("textbook_bifurcations.json")).unwrap()).unwrap()
}

/// A network of rate form with a plain first input.
fn plain(w: faer::Mat<f64>) -> Network {
    let n = w.nrows();
    let input = faer::Mat::from_fn(n, 1, |_, _| 1.0);
    let recurrence = tinyfold::network::Recurrence::Dense(w);
    Network::plain(Activation::Tanh, recurrence, input, faer::Mat::zeros(0, n))
}

fn mante(from: [f64; 4], to: [f64; 4]) -> (Network, Path) {
    let network = references::network("mante_tanh_n100_graded");
    let path = Path::between(&network, &from, &to, Kind::Flow).unwrap();
    (network, path)
}

fn cpu_seconds() -> f64 {
    // utime and stime in ticks of 10 ms would be coarse: schedstat counts nanoseconds on the processor.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0) * 1e-9
}
