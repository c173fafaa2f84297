//! Marraffa, Krause, Mante & Haller 2025: the dynamics of networks of neuroscience on spectral submanifolds.
//!
//! Two networks: one that integrates motion or colour, as its context says (bundled, or of the reader's own), and a ring
//! network, made from its equation. [`claims`](mod@claims) are tested on the whole network and on its reduced dynamics.
//!
//! Source: arXiv 2510.13519, "Data-Driven Reduced Modeling of Recurrent Neural Networks".

pub mod claims;

use std::iter::zip;
use std::path::Path as File;
use std::sync::atomic::AtomicBool;

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;
use tinyfold_core::Form;

use crate::dynamics::continuation::{Bifurcation, Branch, Diagram, Settings, Start, continuation};
use crate::dynamics::fixed_points::{self, FixedPoints};
use crate::dynamics::lyapunov::{AttractingSet, Basins, Field, Plane, Watch, basins, field};
use crate::dynamics::slow_manifold::{
    Attractor, Bounds, DataManifold, Driven, Fit, Frame, Options, Projection, Psychometric, Ring,
    RingOptions, SlowManifold, Target, Trials, nmte, psychometric,
};
use crate::dynamics::{Kind, Path, Rnn, System, spectrum, ssm};
use crate::network::{Activation, Channel, Network, Recurrence};
use crate::{Error, Result, format};

/// The network of a context task that comes with tinyfold: 100 tanh neurons in current form, inputs motion, colour and
/// the two contexts.
const BUNDLED: &[u8] = include_bytes!("../../../data/mante_tanh_n100.safetensors");

/// What is asked of the inputs of a context network, in this order.
const INPUTS: [&str; 4] = ["motion", "colour", "context motion", "context colour"];

/// The bundled context network.
///
/// # Errors
/// The temporary file that it is read from cannot be written.
pub fn bundled() -> Result<Network> {
    let folder = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir(), "create folder"))?;
    let path = folder.path().join("mante_tanh_n100.safetensors");
    format::write_atomic(&path, BUNDLED)?;
    named(format::foreign::read(&path, &format::foreign::Given::default())?.network, &path)
}

/// A context network with its inputs named.
///
/// # Errors
/// Other than four inputs and one output.
pub fn named(mut network: Network, path: &File) -> Result<Network> {
    let (inputs, outputs) = (network.input.ncols(), network.readout.nrows());
    if (inputs, outputs) != (4, 1) {
        let expected = format!("four inputs ({}) and one output", INPUTS.join(", "));
        return Err(Error::input(path.display().to_string(), expected, format!("{inputs} and {outputs}")));
    }
    network.inputs = INPUTS.map(Channel::plain).to_vec();
    Ok(network)
}

/// A ring network: da/dt = -a + (2 J1 / n) sum_j cos(theta_i - theta_j) phi(a_j), theta_i = 2 pi i / n, phi = tanh.
///
/// Every angle is a fixed point a_i = A cos(theta_i - angle) for J1 > 1. size: that of a perturbation of every weight,
/// Gaussian with standard deviation size / sqrt(n).
#[must_use]
pub fn ring(n: usize, strength: f64, size: f64, seed: u64) -> Network {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let w = Mat::from_fn(n, n, |i, j| {
        let angle = std::f64::consts::TAU * (i as f64 - j as f64) / n as f64;
        let noise: f64 = random.sample(StandardNormal);
        2.0 * strength / n as f64 * angle.cos() + size / (n as f64).sqrt() * noise
    });
    let mut network =
        Network::plain(Activation::Tanh, Recurrence::Dense(w), Mat::zeros(n, 0), Mat::zeros(0, n));
    network.form = Form::Current;
    network.alpha = 0.1;
    network.initial = network.rest();
    network
}

/// How much work is done.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Points along each side of the plane of finite-time Lyapunov exponents.
    pub grid: usize,
    /// Trials a strength of the psychometric curve.
    pub trials: usize,
}

impl Size {
    /// The whole of it, or what takes seconds.
    #[must_use]
    pub fn new(quick: bool) -> Self {
        if quick { Self { grid: 60, trials: 50 } } else { Self { grid: 200, trials: 400 } }
    }
}

/// What was found in one context.
#[derive(Debug, Serialize)]
pub struct Context {
    /// "motion" or "colour".
    pub name: &'static str,
    /// Fixed points without evidence.
    pub points: FixedPoints,
    /// The slow manifold through them, with inputs and outputs.
    pub driven: Driven,
    /// What it is.
    pub verdict: Attractor,
    /// NMTE of a manifold learnt from 40 trajectories on 20 others.
    pub nmte: f64,
    /// Branches of fixed points over the evidence that counts in this context.
    pub diagram: Diagram,
    /// Where along the branches there is a slow direction.
    pub persistence: Persistence,
    /// Folds that a reduced model over (p, mu) predicts from a saddle: (predicted, of the network).
    pub folds: Vec<(f64, f64)>,
    /// The reduced model's choices beside the network's.
    pub choices: Psychometric,
}

/// Where fixed points have one slow direction: a real eigenvalue that leads, all others decaying.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Persistence {
    /// The evidence around 0 over which all have.
    pub range: (f64, f64),
    /// The least ratio of the next growth rate to the leading one there, in size.
    pub ratio: f64,
}

/// What was found on the plane.
#[derive(Debug, Serialize)]
pub struct Ridges {
    /// The plane of the two leading principal components of task states.
    pub plane: Plane,
    /// Finite-time Lyapunov exponents.
    pub field: Field,
    /// Which stable point is reached; `None` when it was stopped before.
    pub basins: Option<Basins>,
    /// Part of the boundary among the top 5 % of the exponents.
    pub on_ridges: Option<f64>,
}

/// A ring network and what it is.
#[derive(Debug, Serialize)]
pub struct Ringed {
    /// Size of the perturbation of the weights.
    pub size: f64,
    /// The closed curve of its states.
    pub ring: Ring,
    /// What it is.
    pub verdict: Attractor,
}

/// Everything that was found; less of it when it was stopped.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// Without and with a perturbation.
    pub rings: Vec<Ringed>,
    /// Motion, then colour.
    pub contexts: Vec<Context>,
    /// In the context of colour.
    pub ridges: Option<Ridges>,
}

/// Strengths of evidence of the task.
const STRENGTHS: [f64; 6] = [-0.2, -0.06, -0.02, 0.02, 0.06, 0.2];
/// Standard deviation of the noise on evidence, anew each step.
const NOISE: f64 = 0.5;
/// Steps of a trial.
const STEPS: usize = 250;

/// Time constants over which neighbours part: as long as states drift along the slow line.
const TIME: f64 = 200.0;

/// Trajectories without evidence from states of noisy trials: every fourth of 800 steps, n × 201.
fn relaxing(network: &Network, held: &[f64], count: usize, seed: u64) -> Result<Vec<Mat<f64>>> {
    let rnn = Rnn::new(network, held, Kind::Map)?;
    let n = rnn.dimension();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut next = vec![0.0; n];
    let mut trajectory = || {
        let evidence = [0, 1].map(|_| STRENGTHS[random.random_range(0..STRENGTHS.len())]);
        let mut x = network.initial.clone();
        let mut driven = rnn.clone();
        for _ in 0..random.random_range(1..=STEPS) {
            driven.drive.clone_from(&rnn.drive);
            for (k, evidence) in evidence.iter().enumerate() {
                let u = evidence + NOISE * random.sample::<f64, _>(StandardNormal);
                zip(&mut driven.drive, network.input.col_as_slice(k)).for_each(|(g, b)| *g += b * u);
            }
            driven.value(&x, &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        let mut states = Mat::zeros(n, 201);
        for t in 0..=800 {
            if t % 4 == 0 {
                states.col_as_slice_mut(t / 4).copy_from_slice(&x);
            }
            rnn.value(&x, &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        states
    };
    Ok((0..count).map(|_| trajectory()).collect())
}

/// NMTE of a line learnt from the first 40 trajectories on the others, after 30 time constants.
fn learnt(network: &Network, trajectories: &[Mat<f64>], frame: &Frame) -> Result<f64> {
    let cut = (30.0 / network.alpha / 4.0).round() as usize;
    let fit = Fit { degree: 11, cut, interval: 4.0 * network.alpha, target: Target::Map };
    let projection = Projection::from(frame);
    let (train, test) = trajectories.split_at(40);
    let model = DataManifold::fit(train, &projection, &fit)?;
    Ok(nmte(&model.predict(test, cut), test, cut, &projection.origin))
}

/// The evidence around 0 over which one real eigenvalue leads at every fixed point and the others decay, and the least
/// ratio of the next growth rate to the leading one there, in size.
fn persistence(path: &Path, branches: &[Branch]) -> Result<Persistence> {
    let mut points = Vec::new();
    for point in branches.iter().flat_map(|branch| &branch.points) {
        let values = spectrum::eigenvalues(&path.at(point.mu), &point.x)?;
        let [first, second] = [values[0], values[1]];
        let slow = first.im == 0.0 && second.re < 0.0 && first.re > second.re;
        points.push((point.mu, slow, second.re.abs() / first.re.abs().max(1e-12)));
    }
    let without = || points.iter().filter(|point| !point.1).map(|point| point.0);
    let low = without().filter(|mu| *mu < 0.0).fold(f64::NEG_INFINITY, f64::max);
    let high = without().filter(|mu| *mu >= 0.0).fold(f64::INFINITY, f64::min);
    let ends = points.iter().map(|point| point.0).filter(|mu| low < *mu && *mu < high);
    let range = ends.clone().fold((0.0, 0.0), |(low, high): (f64, f64), mu| (low.min(mu), high.max(mu)));
    let inside = points.iter().filter(|point| (range.0..=range.1).contains(&point.0));
    Ok(Persistence { range, ratio: inside.map(|point| point.2).fold(f64::MAX, f64::min) })
}

/// The folds nearest to saddles without evidence, as reduced models over (p, mu) tell them, beside those of the network.
fn folds(path: &Path, points: &FixedPoints, diagram: &Diagram) -> Result<Vec<(f64, f64)>> {
    let known: Vec<f64> = diagram
        .branches
        .iter()
        .flat_map(|branch| &branch.special)
        .filter(|special| special.kind == Bifurcation::Fold)
        .map(|special| special.mu)
        .collect();
    let mut found = Vec::new();
    for saddle in points.points.iter().filter(|point| point.index == 1) {
        let spectrum = ssm::Spectrum::new(path, &saddle.state, 0.0)?;
        let model = ssm::with_parameter(path, &spectrum, 0, 13)?;
        for fold in model.folds(path, 2.0 * model.radius())?.into_iter().filter(|fold| fold.change < 1e-5) {
            let near =
                known.iter().copied().min_by(|a, b| (a - fold.mu).abs().total_cmp(&(b - fold.mu).abs()));
            found.extend(near.map(|near| (fold.mu, near)));
        }
    }
    Ok(found)
}

fn context(network: &Network, name: &'static str, size: &Size, stop: &AtomicBool) -> Result<Context> {
    let counts = INPUTS.iter().position(|input| *input == name).unwrap_or(0);
    let unit = |k: usize| -> Vec<f64> { (0..4).map(|i| f64::from(u8::from(i == k))).collect() };
    let held = unit(2 + counts);
    let rnn = Rnn::new(network, &held, Kind::Flow)?;
    let points =
        fixed_points::of_network(network, &held, Kind::Flow, &fixed_points::Options::default(), stop)?;
    let on_line: Vec<Vec<f64>> =
        points.points.iter().filter(|point| point.index <= 1).map(|point| point.state.clone()).collect();
    let frame = Frame::choose(&rnn, &on_line)?;
    let trajectories = relaxing(network, &held, 60, 0)?;
    let nmte = learnt(network, &trajectories, &frame)?;
    let line = SlowManifold::find(&rnn, &on_line, frame, &Options::of(Kind::Flow, network.alpha), stop)?;
    let verdict = Attractor::of_line(&rnn, &line, &Bounds::default())?;
    let evidence = zip(&held, unit(counts)).map(|(held, one)| held + one).collect::<Vec<f64>>();
    let path = Path::between(network, &held, &evidence, Kind::Flow)?;
    let starts: Vec<Start> =
        points.points.iter().map(|point| Start { mu: 0.0, x: point.state.clone() }).collect();
    let diagram = continuation(&path, &starts, &Settings::new(-0.4, 0.4), stop)?;
    let persistence = persistence(&path, &diagram.branches)?;
    let folds = folds(&path, &points, &diagram)?;
    let driven = Driven::new(network, &line, &held)?;
    let trials = Trials {
        channel: counts,
        distractor: Some(1 - counts),
        strengths: STRENGTHS.to_vec(),
        noise: NOISE,
        each: size.trials,
        steps: STEPS,
        seed: 1,
    };
    let choices = psychometric(network, &driven, &trials, &network.initial, stop)?;
    Ok(Context { name, points, driven, verdict, nmte, diagram, persistence, folds, choices })
}

fn ridges(network: &Network, points: &FixedPoints, size: &Size, watch: &Watch) -> Result<Ridges> {
    let held = [0.0, 0.0, 0.0, 1.0];
    let rnn = Rnn::new(network, &held, Kind::Map)?;
    let trajectories = relaxing(network, &held, 20, 2)?;
    let n = rnn.dimension();
    let states = Mat::from_fn(n, 20 * 40, |i, k| trajectories[k / 40][(i, k % 40)]);
    let plane = Plane::through(&states, [size.grid; 2])?;
    let stable = points.points.iter().filter(|point| point.stable);
    let stable: Vec<AttractingSet> =
        stable.map(|point| AttractingSet::point(point.state.clone(), 1e-2)).collect();
    let steps = (TIME / network.alpha).round() as usize;
    let field = field(&rnn, &plane, steps, network.alpha, watch)?;
    let mut ridges = Ridges { plane, field, basins: None, on_ridges: None };
    if !watch.stopped() {
        let reached = basins(&rnn, &ridges.plane, &stable, 20_000, network.alpha, f64::INFINITY, watch);
        // One that was cut short says nothing.
        if !watch.stopped() {
            let basins = reached?;
            ridges.on_ridges = basins.boundary_in_top(&ridges.field, 0.05);
            ridges.basins = Some(basins);
        }
    }
    Ok(ridges)
}

fn ringed(size: f64, stop: &AtomicBool) -> Result<Ringed> {
    let network = ring(64, 1.8, size, 3);
    let rnn = Rnn::new(&network, &[], Kind::Flow)?;
    let points =
        fixed_points::of_network(&network, &[], Kind::Flow, &fixed_points::Options::default(), stop)?;
    // The point in the middle; the origin where the whole ring is fixed and no point of it is listed.
    let centre = points.points.iter().max_by_key(|point| point.index).map(|point| point.state.clone());
    let centre = centre.unwrap_or_else(|| vec![0.0; rnn.dimension()]);
    let found = Ring::find(&rnn, &centre, &RingOptions::of(Kind::Flow, network.alpha), stop)?;
    let verdict = Attractor::of_ring(&rnn, &found, &Bounds::default())?;
    Ok(Ringed { size, ring: found, verdict })
}

/// Finds everything; what was found until then when it is stopped.
///
/// # Errors
/// A network of other inputs than a context network has, without fixed points on a line, or one whose lines do not
/// converge.
pub fn findings(network: &Network, size: &Size, watch: &Watch) -> Result<Findings> {
    let mut found = Findings::default();
    match find(network, size, watch, &mut found) {
        // Whatever was cut short failed for that.
        Err(_) if watch.stopped() => Ok(found),
        ended => ended.map(|()| found),
    }
}

fn find(network: &Network, size: &Size, watch: &Watch, found: &mut Findings) -> Result<()> {
    for size in [0.0, 0.05] {
        let ringed = ringed(size, &watch.stop)?;
        if watch.stopped() {
            return Ok(());
        }
        found.rings.push(ringed);
    }
    for name in ["motion", "colour"] {
        let context = context(network, name, size, &watch.stop)?;
        if watch.stopped() {
            return Ok(());
        }
        found.contexts.push(context);
    }
    found.ridges = Some(ridges(network, &found.contexts[1].points, size, watch)?);
    Ok(())
}

/// Whose networks these are, for the head of results.
#[must_use]
pub fn whose(file: Option<&File>, network: &Network) -> String {
    let n = network.neurons();
    let context = match file {
        Some(path) => format!("the context network is {} ({n} neurons)", path.display()),
        None => format!(
            "the context network is bundled ({n} tanh neurons after Mante et al. 2013, trained in NumPy for this project)"
        ),
    };
    format!(
        "None of these networks is of the paper: {context}, the ring networks are made from an equation. What is compared is \
         which structures are there, not their numbers."
    )
}
