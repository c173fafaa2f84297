//! Training steps beside PyTorch and JAX: CPU time and wall time of one step, interleaved in one run.
//!
//! `benches/training/compare` installs the frameworks into a scratch environment and runs this.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tinyfold::task::Integration;
use tinyfold::train::bptt::{Batch, Fixed, Workspace, loss_and_gradient};
use tinyfold::train::optimiser::{Method, Optimiser};
use tinyfold::train::parameters::{Parameters, Weights};
use tinyfold::train::sequences::Source;
use tinyfold::train::{in_parts, parts_of};

/// CPU time of all threads of this process in milliseconds.
fn cpu_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(nanoseconds).sum::<f64>() / 1e6
}

/// A training step of ours on given data.
struct Ours {
    fixed: Fixed<f32>,
    parameters: Parameters<f32>,
    optimiser: Optimiser<f32>,
    parts: Vec<(Batch<f32>, Workspace<f32>)>,
    batch: usize,
}

impl Ours {
    fn new(n: usize, steps: usize, batch: usize) -> Self {
        let task = Integration { decays: vec![0.9, 0.85], scales: vec![1.0; 2] };
        let (encoder, decoder) = tinyfold::design::random_frozen(n, 2, 0);
        let narrow = |m: &faer::Mat<f64>| faer::Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] as f32);
        let (w, _) = tinyfold::design::random_frozen(n, n, 1);
        let parameters = Parameters {
            weights: Weights::Dense(narrow(&(faer::Scale(0.1) * w))),
            input: None,
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
            signs: None,
            weight: vec![1.0; 2],
        };
        let optimiser = Optimiser::new(Method::Adam, &parameters);
        let task = task.into();
        let source = Source::new(&task, steps, None);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let parts = parts_of(batch, n)
            .into_iter()
            .map(|count| (source.draw(count, 0, &mut rng), Workspace::default()))
            .collect();
        Self { fixed, parameters, optimiser, parts, batch }
    }

    fn step(&mut self) {
        let Self { fixed, parameters, optimiser, parts, batch } = self;
        let (loss, gradient) = in_parts(parts, |(data, workspace)| {
            loss_and_gradient(fixed, parameters, data, *batch, workspace)
        });
        assert!(loss.is_finite());
        optimiser.update(parameters, &gradient, 3e-4, f64::INFINITY, 0.0);
    }
}

/// Rounds that a median is taken over.
const ROUNDS: usize = 7;

/// A process that answers requests for times.
struct Framework {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Framework {
    fn new(python: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/training/frameworks.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, answers }
    }

    fn ask(&mut self, request: &str) -> [f64; 2] {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{request}").expect("asked");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answered");
        let numbers: Vec<f64> = line.split(' ').map(|x| x.trim().parse().expect("a number")).collect();
        [numbers[0], numbers[1]]
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let python = std::env::var("PYTHON").ok();
    let names: &[&str] = if python.is_some() { &["torch", "lean", "jax"] } else { &[] };
    // JAX keeps its threads' affinity to itself: a process each.
    let mut frameworks: Vec<Framework> =
        names.iter().map(|_| Framework::new(python.as_deref().expect("named"))).collect();
    println!(
        "training step, batch 256, D = 2, ReLU, Adam, f32; median of {ROUNDS} rounds; one thread: CPU ms, two: wall ms"
    );
    println!("{:>5} {:>3} {:>7} {:>9}  others, in multiples of ours", "n", "T", "threads", "ours");
    for (n, steps, repeat) in [(64, 10, 60), (256, 10, 15), (1024, 10, 3), (256, 3, 40), (1024, 3, 6)] {
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut ours = Ours::new(n, steps, 256);
            pool.install(|| (0..3).for_each(|_| ours.step()));
            let mut times = vec![Vec::new(); 1 + names.len()];
            for _ in 0..ROUNDS {
                let (cpu, wall) = (cpu_ms(), Instant::now());
                pool.install(|| (0..repeat).for_each(|_| ours.step()));
                let found = if threads == 1 { cpu_ms() - cpu } else { 1e3 * wall.elapsed().as_secs_f64() };
                times[0].push(found / repeat as f64);
                for (k, (name, framework)) in names.iter().zip(&mut frameworks).enumerate() {
                    let both = framework.ask(&format!("{name} {n} {steps} 256 2 {threads} {repeat}"));
                    times[k + 1].push(both[threads - 1]);
                }
            }
            let times: Vec<f64> = times.into_iter().map(median).collect();
            let others: Vec<String> = names
                .iter()
                .zip(&times[1..])
                .map(|(name, time)| format!("{name} {:.2}", time / times[0]))
                .collect();
            println!("{n:>5} {steps:>3} {threads:>7} {:>9.3}  {}", times[0], others.join("  "));
        }
    }
    for framework in &mut frameworks {
        drop(framework.child.stdin.take());
        framework.child.wait().expect("ends");
    }
}
