//! Maps and flows whose exponents are known.

use faer::MatMut;
use tinyfold::dynamics::{Kind, System};

/// A system by its value and its Jacobian, by rows.
pub(crate) struct Small<const N: usize> {
    pub(crate) kind: Kind,
    pub(crate) value: fn([f64; N]) -> [f64; N],
    pub(crate) jacobian: fn([f64; N]) -> [[f64; N]; N],
}

impl<const N: usize> System for Small<N> {
    fn dimension(&self) -> usize {
        N
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn value(&self, x: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&(self.value)(std::array::from_fn(|i| x[i])));
    }

    fn jacobian(&self, x: &[f64], mut out: MatMut<'_, f64>) {
        for (i, row) in (self.jacobian)(std::array::from_fn(|i| x[i])).iter().enumerate() {
            for (j, entry) in row.iter().enumerate() {
                out[(i, j)] = *entry;
            }
        }
    }
}

pub(crate) const HENON: Small<2> = Small {
    kind: Kind::Map,
    value: |[x, y]| [1.0 - 1.4 * x * x + y, 0.3 * x],
    jacobian: |[x, _]| [[-2.8 * x, 1.0], [0.3, 0.0]],
};
pub(crate) const LOGISTIC: Small<1> =
    Small { kind: Kind::Map, value: |[x]| [4.0 * x * (1.0 - x)], jacobian: |[x]| [[4.0 - 8.0 * x]] };
pub(crate) const CAT: Small<2> = Small {
    kind: Kind::Map,
    value: |[x, y]| [(2.0 * x + y).rem_euclid(1.0), (x + y).rem_euclid(1.0)],
    jacobian: |_| [[2.0, 1.0], [1.0, 1.0]],
};
pub(crate) const LOZI: Small<2> = Small {
    kind: Kind::Map,
    value: |[x, y]| [1.0 - 1.7 * x.abs() + y, 0.5 * x],
    jacobian: |[x, _]| [[-1.7 * x.signum(), 1.0], [0.5, 0.0]],
};
pub(crate) const ROSSLER: Small<3> = Small {
    kind: Kind::Flow,
    value: |[x, y, z]| [-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)],
    jacobian: |[x, _, z]| [[0.0, -1.0, -1.0], [1.0, 0.2, 0.0], [z, 0.0, x - 5.7]],
};
/// dr/dt = r (mu - r²), mu = 0.3, turning at rate 1.
pub(crate) const STUART_LANDAU: Small<2> = Small {
    kind: Kind::Flow,
    value: |[x, y]| {
        let s = 0.3 - x * x - y * y;
        [s * x - y, x + s * y]
    },
    jacobian: |[x, y]| {
        let s = 0.3 - x * x - y * y;
        [[s - 2.0 * x * x, -1.0 - 2.0 * x * y], [1.0 - 2.0 * x * y, s - 2.0 * y * y]]
    },
};
