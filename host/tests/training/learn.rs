//! The rules of core against gradients by other people's code: `reference/online_learning.npz`.

use std::io::Cursor;
use std::path::Path;

use ndarray::{Array1, Array2, Array3, ArrayD, Axis};
use ndarray_npy::NpzReader;
use tinyfold_core::learn::{
    Diagonal, Eprop, Groups, KfRtrl, Learner, Lms, Loss, Online, Params, Rls, Rtrl, Rule, Sgd, Tape, Tbptt,
    Uoro,
};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::{Activation, Scalar, Settings, Shape, Variant};

/// (name, activation, loss, alpha, outputs).
const CASES: [(&str, Activation<f64>, Loss, f64); 5] = [
    ("tanh_n8", Activation::Tanh, Loss::Square, 1.0),
    ("relu_n8", Activation::Relu, Loss::Square, 1.0),
    ("tanh_leaky_n8", Activation::Tanh, Loss::Square, 0.3),
    ("tanh_ce_n8", Activation::Tanh, Loss::CrossEntropy, 0.5),
    ("tanh_sparse_n8", Activation::Tanh, Loss::Square, 0.5),
];

struct Case {
    name: &'static str,
    activation: Activation<f64>,
    loss: Loss,
    alpha: f64,
    bytes: &'static [u8],
}

static BYTES: &[u8] = include_bytes!("../reference/online_learning.npz");

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        CASES.into_iter().map(|(name, activation, loss, alpha)| Self {
            name,
            activation,
            loss,
            alpha,
            bytes: BYTES,
        })
    }

    fn array(&self, name: &str) -> ArrayD<f64> {
        let mut file = NpzReader::new(Cursor::new(self.bytes)).expect("an npz file");
        file.by_name(&format!("{}.{name}", self.name)).expect("in the file")
    }

    fn shape(&self) -> Shape {
        let [neurons, inputs, outputs] =
            [self.array("b").len(), self.array("X").shape()[1], self.array("bout").len()];
        Shape { neurons, rank: 0, inputs, outputs }
    }

    fn settings<T: Scalar>(&self) -> Settings<T> {
        let [alpha, keep] = [self.alpha, 1.0 - self.alpha].map(T::from_f64);
        Settings { variant: Variant::Libm, alpha, keep, ..Settings::new(self.activation.cast()) }
    }

    /// Packed words of matrices; with `marks` instead of numbers, where each is.
    fn words<T: Scalar>(&self, [w, win, b, wout, bout, a0]: &[ArrayD<f64>; 6]) -> Vec<T> {
        let shape = self.shape();
        let flat = |a: &ArrayD<f64>| a.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
        let matrices = Matrices {
            weights: Weights::Dense(&flat(w)),
            input: &flat(win),
            bias: &flat(b),
            readout: &flat(wout),
            output_bias: &flat(bout),
            scaling: &vec![[T::ZERO, T::ONE]; shape.inputs + shape.outputs],
            initial: &flat(a0),
        };
        let mut words = vec![T::ZERO; shape.parameter_len()];
        pack(&shape, &matrices, &mut words).expect("right sizes");
        words
    }

    fn matrices(&self) -> [ArrayD<f64>; 6] {
        ["W", "Win", "b", "Wout", "bout", "a0"].map(|name| self.array(name))
    }

    /// Where the words of [W | Win | b] (n × m) and of [Wout | bout] (O × (n + 1)) are, both row-major.
    fn places(&self) -> [Array2<usize>; 2] {
        let mut count = 0.0;
        let mut marked = self.matrices();
        for matrix in &mut marked[..5] {
            matrix.mapv_inplace(|_| {
                count += 1.0;
                count
            });
        }
        marked[5].fill(0.0);
        let words: Vec<f64> = self.words(&marked);
        let place = |mark: f64| words.iter().position(|&word| word == mark).expect("packed");
        let join = |parts: &[&ArrayD<f64>]| {
            let columns: Vec<Array2<f64>> = parts
                .iter()
                .map(|part| {
                    let rows = part.shape()[0];
                    let columns = part.len() / rows;
                    part.to_shape((rows, columns)).expect("a matrix").to_owned()
                })
                .collect();
            let views: Vec<_> = columns.iter().map(|c| c.view()).collect();
            ndarray::concatenate(Axis(1), &views).expect("equal rows").mapv(place)
        };
        [join(&[&marked[0], &marked[1], &marked[2]]), join(&[&marked[3], &marked[4]])]
    }

    /// B = [W | Win | b]-shaped matrix packed like the layer.
    fn layer(&self, name: &str) -> Vec<f64> {
        let (matrix, places) = (self.array(name), self.places());
        let mut layer = vec![0.0; self.shape().layer_len()];
        for (&place, &value) in places[0].iter().zip(&matrix) {
            layer[place] = value;
        }
        layer
    }
}

/// What a run gives at every step: the gradient of all packed words, the loss, the state, the outputs.
struct Run {
    gradients: Vec<Vec<f64>>,
    losses: Vec<f64>,
    states: Vec<Vec<f64>>,
    outputs: Vec<Vec<f64>>,
}

/// Runs a rule over a case with frozen parameters. `each` sees the rule before every step.
fn run<T: Scalar, R: Rule<T>>(
    case: &Case,
    words: usize,
    make: impl FnOnce(&Params<'_, T>, &'static mut [T]) -> Result<R, tinyfold_core::Error>,
    mut each: impl FnMut(&mut R, usize),
) -> Run {
    let shape = case.shape();
    let mut parameters: Vec<T> = case.words(&case.matrices());
    let before = parameters.clone();
    let mut params = Params::new(shape, case.settings(), &mut parameters).expect("checked");
    let mut state_memory = vec![T::ZERO; shape.state_len()];
    let mut state = params.view().state(&mut state_memory).expect("enough");
    let rule = make(&params, Box::leak(vec![T::ZERO; words].into_boxed_slice())).expect("exactly enough");
    let mut gradient = vec![T::ZERO; shape.parameter_len()];
    let tape: &'static mut [T] = Box::leak(gradient.clone().into_boxed_slice());
    let mut learner = Online::new(rule, Tape(tape), case.loss);
    let number = |x: f64| T::from_f64(x);
    let (inputs, targets) = (case.array("X"), case.array("Y"));
    let mut result = Run { gradients: vec![], losses: vec![], states: vec![], outputs: vec![] };
    for (t, (x, y)) in inputs.axis_iter(Axis(0)).zip(targets.axis_iter(Axis(0))).enumerate() {
        each(learner.rule_mut(), t);
        let x: Vec<T> = x.iter().copied().map(number).collect();
        let y: Vec<T> = y.iter().copied().map(number).collect();
        let outcome = learner.step(&mut params, &mut state, &x, Some(&y));
        gradient.copy_from_slice(learner.optimiser().0);
        let wide = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        result.gradients.push(wide(&gradient));
        result.losses.push(outcome.loss.to_f64());
        result.states.push(wide(state.carried()));
        result.outputs.push(wide(state.output()));
    }
    assert!(params.words().iter().zip(&before).all(|(a, b)| a.to_f64().to_bits() == b.to_f64().to_bits()));
    result
}

/// Largest difference over the largest entry.
fn relative<'a>(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = &'a f64>) -> f64 {
    let (mut difference, mut size) = (0.0_f64, 0.0_f64);
    for (found, expected) in found.into_iter().zip(expected) {
        difference = difference.max((found - expected).abs());
        size = size.max(expected.abs());
    }
    // All are 0 where nothing learns.
    if difference == 0.0 { 0.0 } else { difference / size }
}

/// Compares every step's gradient with the array `name` of the file, and the readout's; the worst.
fn worst(case: &Case, run: &Run, name: &str) -> f64 {
    let expected: Array3<f64> = case.array(name).into_dimensionality().expect("T × n × m");
    worst_of(case, run, &expected)
}

fn worst_of(case: &Case, run: &Run, expected: &Array3<f64>) -> f64 {
    let readout: Array3<f64> = case.array("out_step").into_dimensionality().expect("T × O × (n + 1)");
    let [layer, out] = case.places();
    let mut worst = 0.0_f64;
    assert_eq!(run.gradients.len(), expected.shape()[0]);
    for (t, gradient) in run.gradients.iter().enumerate() {
        worst = worst.max(relative(layer.iter().map(|&at| gradient[at]), expected.index_axis(Axis(0), t)));
        worst = worst.max(relative(out.iter().map(|&at| gradient[at]), readout.index_axis(Axis(0), t)));
    }
    for (found, name) in [
        (&run.losses.iter().map(|&l| vec![l]).collect::<Vec<_>>(), "loss"),
        (&run.states, "a"),
        (&run.outputs, "z"),
    ] {
        worst = worst.max(relative(found.concat(), &case.array(name)));
    }
    worst
}

fn rtrl<T: Scalar>(case: &Case) -> Run {
    let words = Rtrl::<T>::memory_len(&case.shape());
    run::<T, _>(case, words, |params, memory| Rtrl::new(params, Groups::ALL, memory), |_, _| {})
}

fn eprop<T: Scalar>(case: &Case) -> Run {
    let words = Eprop::<T>::memory_len(&case.shape());
    run::<T, _>(case, words, |params, memory| Eprop::new(params, Groups::ALL, memory), |_, _| {})
}

fn lms<T: Scalar>(case: &Case) -> Run {
    let words = Lms::<T>::memory_len(&case.shape());
    run::<T, _>(case, words, |params, memory| Lms::new(params, Groups::ALL, memory), |_, _| {})
}

/// The directions of recursive least squares.
fn rls<T: Scalar>(case: &Case) -> Run {
    let words = Rls::<T>::memory_len(&case.shape());
    let one = T::from_f64(1.0);
    run::<T, _>(case, words, |params, memory| Rls::new(params, Groups::ALL, one, one, memory), |_, _| {})
}

/// (name, array of the truth, run), all rules that have one.
fn rules<T: Scalar>(case: &Case) -> Vec<(&'static str, &'static str, Run)> {
    let shape = case.shape();
    let all = Groups::ALL;
    let diagonal = Diagonal::<T>::memory_len(&shape);
    let uoro = Uoro::<T>::memory_len(&shape);
    let one = Tbptt::<T>::memory_len(&shape, 1);
    let whole = Tbptt::<T>::memory_len(&shape, 32);
    let signs: Array2<f64> = case.array("nu").into_dimensionality().expect("T × n");
    let number = |x: &f64| T::from_f64(*x);
    let a0: Vec<T> = case.array("uoro_A0").iter().map(number).collect();
    let b0: Vec<T> = case.layer("uoro_B0").iter().map(number).collect();
    let kf_signs: Array2<f64> = case.array("nu_kf").into_dimensionality().expect("T × 2");
    // (h, x, 1) in the file, (1, h, x) in a layer.
    let mut kf_a0: Vec<T> = case.array("kf_A0").iter().map(number).collect();
    kf_a0.rotate_right(1);
    let kf_b0: Vec<T> = case.array("kf_B0").iter().map(number).collect();
    vec![
        ("RTRL", "rtrl_step", rtrl::<T>(case)),
        ("SnAp-1", "snap1_step", run::<T, _>(case, diagonal, |p, m| Diagonal::snap1(p, all, m), |_, _| {})),
        ("RFLO", "rflo_step", run::<T, _>(case, diagonal, |p, m| Diagonal::rflo(p, all, m), |_, _| {})),
        (
            "UORO",
            "uoro_step",
            run(
                case,
                uoro,
                |p, m| Uoro::new(p, all, 1, m),
                |rule: &mut Uoro<'static, T>, t| {
                    if t == 0 {
                        rule.set_influence(&a0, &b0);
                    }
                    rule.set_signs(&signs.row(t).iter().map(number).collect::<Vec<T>>());
                },
            ),
        ),
        (
            "KF-RTRL",
            "kfrtrl_step",
            run(
                case,
                KfRtrl::<T>::memory_len(&shape),
                |p, m| KfRtrl::new(p, all, 1, m),
                |rule: &mut KfRtrl<'static, T>, t| {
                    if t == 0 {
                        rule.set_influence(&kf_a0, &kf_b0);
                    }
                    rule.set_signs([kf_signs[(t, 0)], kf_signs[(t, 1)]].map(T::from_f64));
                },
            ),
        ),
        (
            "BPTT over 1 step",
            "bptt_trunc1_step",
            run::<T, _>(case, one, |p, m| Tbptt::new(p, all, 1, m), |_, _| {}),
        ),
        (
            "BPTT over all steps",
            "rtrl_step",
            run::<T, _>(case, whole, |p, m| Tbptt::new(p, all, 32, m), |_, _| {}),
        ),
    ]
}

/// Of a reference in f64 that sums in another order: some hundred roundings of 1e-16, and what T steps make of them.
const WORST: f64 = 1e-13;

#[test]
fn gradients_of_every_rule_at_every_step_are_those_of_the_reference() {
    for case in Case::all() {
        for (rule, truth, run) in rules::<f64>(&case) {
            let worst = worst(&case, &run, truth);
            println!("{}: {rule}: {worst:.1e}", case.name);
            assert!(worst <= WORST, "{}: {rule}: {worst:e}", case.name);
        }
        let truth: Array3<f64> = case.array("rtrl_step").into_dimensionality().expect("T × n × m");
        let zero = Array3::zeros(truth.dim());
        let worst = worst_of(&case, &lms::<f64>(&case), &zero);
        println!("{}: LMS: {worst:.1e}", case.name);
        assert!(worst <= WORST, "{}: LMS: {worst:e}", case.name);
    }
}

/// Each of T steps carries an influence through a product of n terms: T (n + 2) roundings of 2^-24, of numbers as
/// large as the largest of any step, or 1.2e-5. They seldom add up: [`SINGLE`] is what these cases need. The inverse of
/// recursive least squares is a second recursion of as many steps.
const SINGLE: f64 = 3e-7;

#[test]
fn gradients_in_f32_are_within_their_bound() {
    for case in Case::all() {
        let others = [
            ("e-prop", eprop::<f64>(&case), eprop::<f32>(&case)),
            ("LMS", lms::<f64>(&case), lms::<f32>(&case)),
            ("RLS", rls::<f64>(&case), rls::<f32>(&case)),
        ];
        let pairs = rules::<f64>(&case).into_iter().zip(rules::<f32>(&case));
        let pairs = pairs.map(|((rule, _, exact), (_, _, single))| (rule, exact, single));
        for (rule, exact, single) in pairs.chain(others) {
            let size = exact.gradients.iter().flatten().fold(0.0_f64, |most, g| most.max(g.abs()));
            let steps = exact.gradients.len() as f64;
            let bound = steps * 10.0 * (-24.0_f64).exp2();
            let pairs = exact.gradients.iter().flatten().zip(single.gradients.iter().flatten());
            let worst = pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / size;
            println!("{}: {rule}: {worst:.1e} of {bound:.1e}", case.name);
            let least = if rule == "RLS" { 2.0 * SINGLE } else { SINGLE };
            assert!(worst <= bound.min(least), "{}: {rule}: {worst:e}", case.name);
        }
    }
}

/// e-prop from its definition and the reference's states: q_i phi'_i times the trace of (a, x, 1).
#[test]
fn e_prop_is_the_error_times_a_presynaptic_trace() {
    for case in Case::all() {
        let shape = case.shape();
        let run = eprop::<f64>(&case);
        let array2 = |name: &str| -> Array2<f64> { case.array(name).into_dimensionality().expect("2-D") };
        let (a, q, x) = (array2("a"), array2("q"), array2("X"));
        let a0: Array1<f64> = case.array("a0").into_dimensionality().expect("1-D");
        let columns = shape.neurons + shape.inputs + 1;
        let mut trace = vec![0.0; columns];
        let mut expected = Array3::zeros((a.nrows(), shape.neurons, columns));
        for t in 0..a.nrows() {
            let before = if t == 0 { a0.view() } else { a.row(t - 1) };
            let presynaptic = before.iter().chain(x.row(t)).copied().chain([1.0]).collect::<Vec<f64>>();
            for (trace, now) in trace.iter_mut().zip(presynaptic) {
                *trace = (1.0 - case.alpha) * *trace + now;
            }
            for i in 0..shape.neurons {
                let phi = (a[(t, i)] - (1.0 - case.alpha) * before[i]) / case.alpha;
                let slope = match case.activation {
                    Activation::Tanh => 1.0 - phi * phi,
                    _ => f64::from(u8::from(phi > 0.0)),
                };
                for (j, trace) in trace.iter().enumerate() {
                    expected[(t, i, j)] = q[(t, i)] * case.alpha * slope * trace;
                }
            }
        }
        let worst = worst_of(&case, &run, &expected);
        println!("{}: e-prop: {worst:.1e}", case.name);
        assert!(worst <= WORST, "{}: {worst:e}", case.name);
    }
}

/// After T steps, the readout of recursive least squares is that of the normal equations.
#[test]
fn rls_solves_the_normal_equations() {
    for case in Case::all().filter(|case| case.loss == Loss::Square) {
        let (shape, ridge) = (case.shape(), 0.3);
        let mut words: Vec<f64> = case.words(&case.matrices());
        let mut params = Params::new(shape, case.settings(), &mut words).expect("checked");
        let mut state_memory = vec![0.0; shape.state_len()];
        let mut state = params.view().state(&mut state_memory).expect("enough");
        let mut memory = vec![0.0; Rls::<f64>::memory_len(&shape)];
        let rule = Rls::new(&params, Groups::READOUT, ridge, 1.0, &mut memory).expect("enough");
        let mut learner = Online::new(rule, Sgd::new(1.0).expect("in range"), Loss::Square);
        let (x, y) = (case.array("X"), case.array("Y"));
        for (x, y) in x.axis_iter(Axis(0)).zip(y.axis_iter(Axis(0))) {
            let (x, y): (Vec<f64>, Vec<f64>) = (x.iter().copied().collect(), y.iter().copied().collect());
            learner.step(&mut params, &mut state, &x, Some(&y));
        }
        // (Rᵀ R + ridge 1) w = Rᵀ y + ridge w_0, R having rows (a, 1).
        let a: Array2<f64> = case.array("a").into_dimensionality().expect("T × n");
        let (steps, n) = a.dim();
        let r = faer::Mat::from_fn(steps, n + 1, |t, j| if j < n { a[(t, j)] } else { 1.0 });
        let (wout, bout) = (case.array("Wout"), case.array("bout"));
        let start =
            faer::Mat::from_fn(n + 1, shape.outputs, |j, o| if j < n { wout[[o, j]] } else { bout[[o]] });
        let wanted = faer::Mat::from_fn(steps, shape.outputs, |t, o| y[[t, o]]);
        let system = r.transpose() * &r + faer::Scale(ridge) * faer::Mat::<f64>::identity(n + 1, n + 1);
        let right = r.transpose() * &wanted + faer::Scale(ridge) * &start;
        let solution = faer::linalg::solvers::Solve::solve(&system.partial_piv_lu(), &right);
        let [_, places] = case.places();
        let found = places.indexed_iter().map(|((o, j), &at)| (params.words()[at] - solution[(j, o)]).abs());
        let worst = found.fold(0.0, f64::max);
        println!("{}: RLS: {worst:.1e}", case.name);
        assert!(worst < 1e-10, "{}: {worst:e}", case.name);
    }
}

#[test]
fn the_oracle_is_what_its_readme_says() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/README.md"));
    let readme = readme.expect("a README");
    let row = readme.lines().find(|line| line.starts_with("| `online_learning.npz`")).expect("a row");
    assert!(row.contains("five networks of 8 neurons over 20 steps"), "{row}");
    let cases: Vec<Case> = Case::all().collect();
    assert_eq!(cases.len(), 5);
    for case in cases {
        assert_eq!((case.array("W").shape(), case.array("X").shape()[0]), (&[8, 8][..], 20), "{}", case.name);
    }
}
