//! Groups of neurons in which the even part |U zeta| of a ReLU cancels.

use faer::Mat;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::least_norm;
use super::nnls::nnls;

/// kappa within a group is at least this, where its mean is about 1: smaller ones waste a neuron. The
/// later ones serve only when neurons are scarce.
const LEAST_KAPPA: [f64; 3] = [0.1, 0.01, 0.001];
/// Random groups that may fail in a row before the rest is made of simplices.
const PATIENCE: usize = 100;

/// Neurons in groups, each with its kappa and signs.
pub(super) struct Groups {
    /// G × n: kappa_k where neuron k is in group g, else 0.
    pub(super) even: Mat<f64>,
    /// G × n: sigma_k kappa_k where neuron k is in group g, else 0.
    pub(super) odd: Mat<f64>,
}

impl Groups {
    /// A random partition of the neurons into at least D groups whose decoder columns have 0 strictly
    /// inside their convex hull, with random signs; `None` when it does not come about.
    ///
    /// Where neurons are plenty, groups are random ones of 2 D + 1 (half of all then work: small
    /// weights); the rest, and scarce neurons, give groups of D + 1 that non-negative least squares
    /// finds; what is left over joins the groups.
    pub(super) fn find(c: &Mat<f64>, rng: &mut ChaCha8Rng) -> Option<Self> {
        let (channels, neurons) = (c.nrows(), c.ncols());
        // V has n unknowns a channel: one equation a group, and 2 D others.
        let most = neurons.saturating_sub(2 * channels);
        let mut free: Vec<usize> = (0..neurons).collect();
        free.shuffle(rng);
        let mut members: Vec<Vec<usize>> = Vec::new();
        let size = 2 * channels + 1;
        if neurons >= channels * size {
            let mut failures = 0;
            while free.len() >= size && failures < PATIENCE && members.len() < most {
                if kappa(c, &free[..size]).is_some() {
                    members.push(free.drain(..size).collect());
                    failures = 0;
                } else {
                    free.shuffle(rng);
                    failures += 1;
                }
            }
        }
        let mut lone = Vec::new();
        while members.len() < most
            && let Some(pivot) = free.pop()
        {
            match simplex(c, pivot, &free) {
                Some(group) => {
                    free.retain(|k| !group.contains(k));
                    members.push(group);
                }
                None => lone.push(pivot),
            }
        }
        if members.len() < channels {
            return None;
        }
        free.extend(lone);
        Self::of(members, free, c, rng)
    }

    /// The same with neurons of both signs in every group: at least `size`, of both signs in the proportion that they have
    /// among all, and one at least.
    pub(super) fn mixed(c: &Mat<f64>, signs: &[f64], size: usize, rng: &mut ChaCha8Rng) -> Option<Self> {
        let of = |sign: f64| (0..signs.len()).filter(|&k| signs[k] == sign).collect::<Vec<usize>>();
        let (mut positive, mut negative) = (of(1.0), of(-1.0));
        let share = (size as f64 * negative.len() as f64 / signs.len() as f64).round() as usize;
        let share = share.clamp(1, size - 1);
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut failures = 0;
        positive.shuffle(rng);
        negative.shuffle(rng);
        while positive.len() >= size - share && negative.len() >= share && failures < PATIENCE {
            let group = [&positive[..size - share], &negative[..share]].concat();
            if kappa(c, &group).is_some() {
                positive.drain(..size - share);
                negative.drain(..share);
                members.push(group);
                failures = 0;
            } else {
                positive.shuffle(rng);
                negative.shuffle(rng);
                failures += 1;
            }
        }
        positive.append(&mut negative);
        (members.len() >= c.nrows()).then(|| Self::of(members, positive, c, rng))?
    }

    /// Groups of `members`, which `left` joins, with random signs.
    fn of(
        mut members: Vec<Vec<usize>>,
        left: Vec<usize>,
        c: &Mat<f64>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let (channels, neurons) = (c.nrows(), c.ncols());
        let first = rng.random_range(0..members.len());
        for (k, neuron) in left.into_iter().enumerate() {
            let group = (first + k) % members.len();
            members[group].push(neuron);
        }
        let mut even = Mat::zeros(members.len(), neurons);
        let mut odd = Mat::zeros(members.len(), neurons);
        for (g, group) in members.iter().enumerate() {
            // Signs sigma_k = sign(C_k · w), w random, make the group's sum_k sigma_k kappa_k C_k large, so that
            // small rows of U suffice.
            let toward: Vec<f64> = (0..channels).map(|_| rng.random_range(-1.0..1.0)).collect();
            for (&k, kappa) in group.iter().zip(kappa(c, group)?) {
                even[(g, k)] = kappa;
                let along: f64 = (0..channels).map(|i| c[(i, k)] * toward[i]).sum();
                odd[(g, k)] = kappa.copysign(along);
            }
        }
        Some(Self { even, odd })
    }

    /// U: rows sigma_k kappa_k u_g, with the u_g of least sum of squares of U for which C U = `read`.
    pub(super) fn directions(&self, c: &Mat<f64>, read: &Mat<f64>) -> Option<Mat<f64>> {
        let groups = self.odd.nrows();
        let norms: Vec<f64> = (0..groups).map(|g| self.odd.row(g).norm_l2()).collect();
        // With w_g = |kappa|_g u_g the sum of squares of U is that of w, and C U = sum_g c_g w_gᵀ / |kappa|_g.
        let scaled = c * self.odd.transpose();
        let scaled = Mat::from_fn(scaled.nrows(), groups, |i, g| scaled[(i, g)] / norms[g]);
        let w = least_norm(&scaled, read)?;
        let directions = Mat::from_fn(groups, w.ncols(), |g, r| w[(g, r)] / norms[g]);
        Some(self.odd.transpose() * directions)
    }
}

/// `pivot` and those D of `free` whose decoder columns hold -C_pivot in their cone.
fn simplex(c: &Mat<f64>, pivot: usize, free: &[usize]) -> Option<Vec<usize>> {
    let a = Mat::from_fn(c.nrows(), free.len(), |i, k| c[(i, free[k])]);
    let opposite: Vec<f64> = (0..c.nrows()).map(|i| -c[(i, pivot)]).collect();
    let (x, distance) = nnls(&a, &opposite);
    let group: Vec<usize> =
        std::iter::once(pivot).chain((0..free.len()).filter(|&k| x[k] > 0.0).map(|k| free[k])).collect();
    let reached = distance <= 1e-9 * c.col(pivot).norm_l2() && group.len() == c.nrows() + 1;
    (reached && kappa(c, &group).is_some()).then_some(group)
}

/// kappa as near to 1 as the first bound of [`LEAST_KAPPA`] that can be met allows, with
/// sum_k kappa_k C_k = 0; `None` if 0 is not (well) inside the hull of the columns.
fn kappa(c: &Mat<f64>, group: &[usize]) -> Option<Vec<f64>> {
    let columns = Mat::from_fn(c.nrows(), group.len(), |i, k| c[(i, group[k])]);
    let ones = vec![1.0; group.len()];
    LEAST_KAPPA.iter().find_map(|&least| nearest(&columns, &ones, least, 1))
}

/// Near `start`, an x >= `least` with A x = 0: least change; what falls below is fixed there, at most `together` of the
/// lowest at a time, and the rest solved again.
pub(super) fn nearest(a: &Mat<f64>, start: &[f64], least: f64, together: usize) -> Option<Vec<f64>> {
    let mut bound = vec![false; start.len()];
    loop {
        let free: Vec<usize> = (0..start.len()).filter(|&k| !bound[k]).collect();
        if free.len() <= a.nrows() {
            return None;
        }
        let mut x: Vec<f64> = (0..start.len()).map(|k| if bound[k] { least } else { start[k] }).collect();
        let part = Mat::from_fn(a.nrows(), free.len(), |i, k| a[(i, free[k])]);
        let violation =
            Mat::from_fn(a.nrows(), 1, |i, _| -(0..x.len()).map(|k| x[k] * a[(i, k)]).sum::<f64>());
        let change = least_norm(&part, &violation)?;
        for (row, &k) in free.iter().enumerate() {
            x[k] += change[(row, 0)];
        }
        let mut below: Vec<usize> = free.into_iter().filter(|&k| x[k] < least).collect();
        if below.is_empty() {
            return Some(x);
        }
        below.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
        below.into_iter().take(together).for_each(|k| bound[k] = true);
    }
}
