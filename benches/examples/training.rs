//! Training beside PyTorch and JAX: CPU time and wall time of one step, interleaved in one run; Dale's law beside the
//! loop of the authors of the paper; peak memory; the time of a network of rank 2 to the error of a dense one.
//!
//! `benches/training/compare` installs the frameworks into a scratch environment and runs this; a size n as argument
//! picks one.

use std::process::Command;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tinyfold::memory::LargePages;
use tinyfold::task::{Integration, Task};
use tinyfold::train::bptt::{Batch, Fixed, Prepared, Workspace};
use tinyfold::train::optimiser::{Method, Optimiser};
use tinyfold::train::parameters::{Parameters, Weights};
use tinyfold::train::sequences::Source;
use tinyfold::train::settings::Schedule;
use tinyfold::train::{Control, Progress, Settings, in_parts, parts_of, train};
use tinyfold_benches::measure::{Python, cpu_ms, median};

#[global_allocator]
static MEMORY: LargePages = LargePages;

/// A training step of ours on given data.
#[derive(Clone)]
struct Ours {
    fixed: Fixed<f32>,
    parameters: Parameters<f32>,
    optimiser: Optimiser<f32>,
    parts: Vec<(Batch<f32>, Workspace<f32>)>,
    batch: usize,
    rng: ChaCha8Rng,
}

fn task() -> Task {
    Integration { decays: vec![0.9, 0.85], scales: vec![1.0; 2] }.into()
}

fn sequences(count: usize, steps: usize, rng: &mut ChaCha8Rng) -> Batch<f32> {
    Source::new(&task(), steps, None).draw(count, 0, rng)
}

impl Ours {
    fn new(n: usize, steps: usize, batch: usize, dale: bool) -> Self {
        let (encoder, decoder) = tinyfold::design::random_frozen(n, 2, 0);
        let narrow = |m: &faer::Mat<f64>| faer::Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] as f32);
        let (w, _) = tinyfold::design::random_frozen(n, n, 1);
        let parameters = Parameters {
            weights: Weights::Dense(narrow(&(faer::Scale(0.1) * w))),
            input: None,
            encoder: None,
            bias: None,
            readout: None,
            output_bias: None,
        };
        let fixed = Fixed {
            activation: tinyfold::network::Activation::Relu,
            alpha: 1.0,
            encoder: narrow(&encoder),
            decoder: narrow(&decoder),
            bias: None,
            current: None,
            nonlinear_decoder: false,
            signs: dale.then(|| (0..n).map(|j| if j < n / 4 { -1.0 } else { 1.0 }).collect()),
            weight: vec![1.0; 2],
        };
        let optimiser = Optimiser::new(Method::Adam, &parameters);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let parts = parts_of(batch, n)
            .into_iter()
            .map(|count| (sequences(count, steps, &mut rng), Workspace::default()))
            .collect();
        Self { fixed, parameters, optimiser, parts, batch, rng }
    }

    /// Trains on fresh data.
    fn train(&mut self, updates: usize) {
        for _ in 0..updates {
            for (data, _) in &mut self.parts {
                *data = sequences(data.count(), data.steps, &mut self.rng);
            }
            self.step();
        }
    }

    /// An update on the data at hand.
    fn step(&mut self) {
        let Self { fixed, parameters, optimiser, parts, batch, .. } = self;
        let prepared = Prepared::new(fixed, parameters, parts[0].0.count());
        let (loss, gradient) =
            in_parts(parts, |data, workspace| prepared.loss_and_gradient(data, *batch, workspace));
        let norm = gradient.norm();
        assert!(loss.is_finite() && norm.is_finite());
        optimiser.update(parameters, &gradient, norm, 3e-4, 1e9, 0.0);
        parts[0].1.recycle(gradient);
        if let Some(signs) = &fixed.signs {
            parameters.weights.keep_signs(signs);
        }
    }
}

/// Rounds that a median is taken over.
const ROUNDS: usize = 7;
/// Steps before every measurement, ours and theirs: threads of the process before stop waiting awake for more to do, and
/// two that were woken on one core come to run on two.
const WARM_UP: Duration = Duration::from_millis(200);
/// What answers with the times of others.
const SCRIPT: &str = "training/frameworks.py";

/// CPU and wall milliseconds of a step.
fn ask(framework: &mut Python, request: &str) -> [f64; 2] {
    let line = framework.ask(request);
    let numbers: Vec<f64> = line.split(' ').map(|x| x.parse().expect("a number")).collect();
    [numbers[0], numbers[1]]
}

/// Peak resident memory of a process in MB.
fn peak_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).expect("kB").parse::<f64>().expect("a number") / 1024.0
}

/// A row of the table.
struct Row {
    n: usize,
    /// T.
    steps: usize,
    /// Steps of a round.
    repeat: usize,
    /// Whether Dale's law holds.
    dale: bool,
    /// Updates before all measurements: what a step takes depends on how many neurons are silent.
    before: usize,
    /// How many times faster than the loop in PyTorch is asked for, with one thread and with two.
    asked: [Option<f64>; 2],
}

/// How many times faster than JAX is asked for, with one thread.
const ASKED_OF_JAX: f64 = 1.2;

/// Times of all at one size, for one thread and for two; says what is below what is asked. frameworks: one process for
/// each number of threads.
fn compare(row: &Row, names: &[&str], frameworks: &mut [[Python; 2]]) -> Vec<String> {
    let Row { n, steps, repeat, dale, before, asked } = *row;
    let names = if dale { &["dale"][..names.len().min(1)] } else { names };
    let mut below = Vec::new();
    let mut start = Ours::new(n, steps, 256, dale);
    start.train(before);
    for threads in [1, 2] {
        let mut ours = start.clone();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        // With two threads as `tinyfold train` does it, from outside of the pool: within it none waits awake.
        let mut go = |repeat| {
            let mut steps = || (0..repeat).for_each(|_| ours.step());
            if threads == 1 { alone.install(steps) } else { steps() }
        };
        let mut times = vec![Vec::new(); 1 + names.len()];
        for _ in 0..ROUNDS {
            let began = Instant::now();
            while began.elapsed() < WARM_UP {
                go(1);
            }
            let (cpu, wall) = (cpu_ms(), Instant::now());
            go(repeat);
            let found = if threads == 1 { cpu_ms() - cpu } else { 1e3 * wall.elapsed().as_secs_f64() };
            times[0].push(found / repeat as f64);
            for (k, (name, framework)) in names.iter().zip(&mut *frameworks).enumerate() {
                let both =
                    ask(&mut framework[threads - 1], &format!("{name} {n} {steps} 256 2 {threads} {repeat}"));
                times[k + 1].push(both[threads - 1]);
            }
        }
        let times: Vec<f64> = times.into_iter().map(median).collect();
        let law = if dale { "Dale" } else { "" };
        let mut line = format!("{n:>5} {steps:>3} {law:>5} {before:>6} {threads:>7} {:>9.3} ", times[0]);
        for (name, time) in names.iter().zip(&times[1..]) {
            let ratio = time / times[0];
            let asked = match *name {
                "torch" | "dale" => asked[threads - 1],
                "jax" => (threads == 1).then_some(ASKED_OF_JAX),
                _ => None,
            };
            line += &format!(
                " {name} {ratio:.2}{:<7}",
                asked.map_or(String::new(), |asked| format!(" ({asked})"))
            );
            if let Some(asked) = asked.filter(|asked| ratio < *asked) {
                below.push(format!(
                    "n = {n}, T = {steps}, after {before} updates, {threads} threads: {name} {ratio:.2} of {asked}"
                ));
            }
        }
        println!("{}", line.trim_end());
    }
    below
}

/// Peak memory of a process that does three steps, ours and PyTorch's.
fn memory(n: usize, python: &str) {
    let itself = std::env::current_exe().expect("running");
    let ours = Command::new(itself).args(["peak", &n.to_string()]).output().expect("runs");
    let ours = String::from_utf8_lossy(&ours.stdout).trim().to_owned();
    let mut torch = Python::new(python, SCRIPT);
    ask(&mut torch, &format!("torch {n} 10 256 2 1 3"));
    println!("peak memory, n = {n}, T = 10: ours {ours} MB, torch {:.0} MB", peak_mb(torch.id()));
}

/// CPU seconds of a dense network of n = 1024 and of one of rank 2 to the error that the dense one has after 400 updates.
fn rank_against_dense() {
    let dense = Settings {
        neurons: 1024,
        task: task(),
        batch: 256,
        steps: 400,
        learning_rate: 3e-4,
        schedule: Schedule::Constant,
        clip: 1e9,
        weight_decay: 0.0,
        interval: 100,
        ..Settings::default()
    };
    let low = Settings {
        rank: 2,
        batch: 64,
        steps: 400,
        interval: 80,
        learning_rate: 5e-3,
        schedule: Schedule::Cosine,
        ..dense.clone()
    };
    let until = |settings: &Settings, enough: f64| {
        let (began, mut error) = (cpu_ms(), f64::INFINITY);
        train(settings, None, &mut |progress| match progress {
            Progress::Interval { metrics, .. } => {
                error = metrics.error();
                if error <= enough { Control::Stop } else { Control::Continue }
            }
            Progress::Step { .. } => Control::Continue,
        })
        .expect("stable");
        (error, (cpu_ms() - began) / 1e3)
    };
    let (error, seconds) = until(&dense, 0.0);
    let (reached, quick) = until(&low, error);
    assert!(reached <= error, "rank 2 ends at {reached:.1e}, dense at {error:.1e}");
    println!(
        "n = 1024, D = 2, error over 2000 steps: dense {error:.1e} after {seconds:.1} CPU s; rank 2 {reached:.1e} after {quick:.2} CPU s: {:.0} times sooner",
        seconds / quick
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, n] = &arguments[..] {
        assert_eq!(command, "peak", "training [n]");
        let mut ours = Ours::new(n.parse().expect("a number"), 10, 256, false);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
        alone.install(|| (0..3).for_each(|_| ours.step()));
        println!("{:.0}", peak_mb(std::process::id()));
        return;
    }
    rayon::ThreadPoolBuilder::new().num_threads(2).build_global().expect("the first of its kind");
    let wanted: Option<usize> = arguments.first().map(|n| n.parse().expect("a number"));
    let python = std::env::var("PYTHON").ok();
    let names: &[&str] = if python.is_some() { &["torch", "lean", "jax"] } else { &[] };
    // JAX keeps its threads' affinity to itself: a process each.
    let mut frameworks: Vec<[Python; 2]> = names
        .iter()
        .map(|_| [1, 2].map(|_| Python::new(python.as_deref().expect("named"), SCRIPT)))
        .collect();
    for (name, processes) in names.iter().zip(&mut frameworks).filter(|(name, _)| **name != "lean") {
        println!("{name} {}", processes[0].ask(&format!("version {name}")));
    }
    println!(
        "training step, batch 256, D = 2, ReLU, Adam, f32; median of {ROUNDS} rounds; one thread: CPU ms, two: wall ms"
    );
    println!(
        "{:>5} {:>3} {:>5} {:>6} {:>7} {:>9}  others, in multiples of ours (asked)",
        "n", "T", "", "after", "threads", "ours"
    );
    let row = |n, steps, repeat, asked| Row { n, steps, repeat, dale: false, before: 0, asked };
    let dale = |before| Row { dale: true, before, ..row(1024, 10, 2, [Some(5.0), None]) };
    let rows = [
        row(64, 10, 60, [Some(5.5), Some(10.0)]),
        row(256, 10, 15, [Some(2.0), Some(2.7)]),
        row(1024, 10, 3, [Some(1.4), Some(1.5)]),
        row(256, 3, 40, [Some(3.0), None]),
        row(1024, 3, 6, [Some(1.6), None]),
        dale(0),
        dale(1000),
    ];
    let rows = rows.iter().filter(|row| wanted.is_none_or(|n| n == row.n));
    let below: Vec<String> = rows.flat_map(|row| compare(row, names, &mut frameworks)).collect();
    if !below.is_empty() {
        println!("below what was asked: {}", below.join("; "));
    }
    drop(frameworks);
    if wanted.is_none_or(|n| n == 1024) {
        if let Some(python) = &python {
            memory(1024, python);
        }
        rank_against_dense();
    }
}
