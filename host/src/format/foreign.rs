//! Networks of other people's tools: any safetensors or npz file with the matrices of a recurrent network.
//!
//! Which array is what, and form, leak and activation, are taken from the first of these that says it: what is given;
//! `NAME.json`, then `NAME.meta.json` beside the file; the file's metadata; at last from usual names and from an
//! equation.
//!
//! | ours | what | usual names |
//! |---|---|---|
//! | W | n × n, `W[i][j]` from neuron j to neuron i; required | W, J |
//! | B | n × I; required | B, Win |
//! | b | n; else 0 | b; c where there is no b |
//! | C | O × n; else y = h, or phi(a) | C, Wout |
//! | c | O; else 0 | bout; c where there is a b |
//! | initial | n; else at rest | initial, x0, h0 |
//!
//! `NAME.T` stands for an array transposed. The fields of the JSON and of the metadata are `form` (`rate`, `current`),
//! `alpha`, `activation` (or `nonlinearity`), `map` (their names to ours), `inputs` (their names), `kind` (`map`: rate form
//! of alpha = 1; `ctrnn_euler`: current form) and `eq`, an equation that names the activation.

use std::collections::BTreeMap;
use std::iter::zip;
use std::path::Path;

use faer::Mat;
use serde::Serialize;
use serde_json::{Map, Value};

use super::arrays::{Array, ArrayFile, list};
use super::network::{load_torch, names};
use crate::network::{Activation, Channel, Form, Network, Recurrence};
use crate::simulate;
use crate::{Error, Result};

/// Our names of the arrays.
const OURS: [&str; 6] = ["W", "B", "b", "C", "c", "initial"];
/// Fields that are looked for in a file's metadata.
const FIELDS: [&str; 8] = ["form", "alpha", "activation", "nonlinearity", "map", "inputs", "kind", "eq"];

/// What is known of a file beforehand: it goes before what the file says.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Our names of arrays by theirs.
    pub map: BTreeMap<String, String>,
    /// Rate or current.
    pub form: Option<Form>,
    /// Leak, above 0 and at most 1.
    pub alpha: Option<f64>,
    /// phi.
    pub activation: Option<Activation<f64>>,
}

/// Steps of stored trajectories against those of the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Steps compared.
    pub steps: usize,
    /// Largest difference of a step of the network from a stored state and the stored next state.
    pub step: f64,
    /// What rounding can make of a step, in the number type of the file: gamma_{n + I + 3} of the sums of absolute values.
    pub bound: f64,
    /// Largest difference when the network runs on its own from its initial state: what steps add up to.
    pub run: f64,
}

/// A foreign network and where its parts come from.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub network: Network,
    /// Our names of parts and settings, their value or their name in the file, and who says so.
    pub sources: Vec<[String; 3]>,
    /// Of the arrays `traj` (trials × steps × n) and `traj_u` (trials × steps × I), if the file has both.
    pub comparison: Option<Comparison>,
}

/// A file and all that says something of it.
struct Reader {
    file: ArrayFile,
    /// Fields by who says them, the most important first.
    facts: Vec<(String, Map<String, Value>)>,
    given: Given,
    sources: Vec<[String; 3]>,
}

/// Reads a foreign network.
///
/// # Errors
/// A file that cannot be read; an array that is missing, of another shape (a transposed one is told as such) or number
/// type; a setting that nobody says: the message names the option that gives it. Stored trajectories that the network
/// does not follow.
///
/// ```
/// use std::collections::BTreeMap;
/// use tinyfold::format::{arrays, foreign};
/// use tinyfold::network::{Activation, Form};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("theirs.npz");
/// let matrix = |rows, columns| arrays::Array { shape: vec![rows, columns], values: vec![0.5; rows * columns] };
/// arrays::write(&path, &BTreeMap::from([("J", matrix(3, 3)), ("Win", matrix(3, 1))]), "eq", "x' = -x + J tanh(x) + Win u")?;
/// let given = foreign::Given { form: Some(Form::Current), alpha: Some(0.1), ..Default::default() };
/// let network = foreign::read(&path, &given)?.network;
/// assert_eq!((network.neurons(), network.activation), (3, Activation::Tanh));
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn read(path: &Path, given: &Given) -> Result<Imported> {
    let file = ArrayFile::open(path)?;
    if file.text("tinyfold")?.is_some() {
        return Err(Error::input(path.display().to_string(), "a network of another tool", "one of tinyfold"));
    }
    let mut facts = Vec::new();
    for ending in ["json", "meta.json"] {
        let beside = path.with_extension(ending);
        if beside.exists() {
            facts.push((beside.display().to_string(), super::read_json(&beside)?));
        }
    }
    let mut metadata = Map::new();
    for field in FIELDS {
        if let Some(text) = file.text(field)? {
            metadata.insert(field.into(), serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
    }
    facts.push((file.place("metadata"), metadata));
    let mut reader = Reader { file, facts, given: given.clone(), sources: Vec::new() };
    let activation = reader.activation()?;
    if reader.file.names().iter().any(|name| name.ends_with("weight_hh_l0")) {
        let network = load_torch(path, activation)?;
        return Ok(Imported { network, sources: reader.sources, comparison: None });
    }
    let (form, alpha) = reader.form()?;
    let network = reader.network(form, alpha, activation)?;
    let comparison = reader.compare(&network)?;
    Ok(Imported { network, sources: reader.sources, comparison })
}

impl Reader {
    /// Who says something of a field first, and what.
    fn said(&self, field: &str) -> Option<(String, Value)> {
        let mut all = self.facts.iter();
        all.find_map(|(place, fields)| Some((format!("{place}: {field}"), fields.get(field)?.clone())))
    }

    fn note(&mut self, ours: &str, found: impl Into<String>, source: impl Into<String>) {
        self.sources.push([ours.into(), found.into(), source.into()]);
    }

    fn activation(&mut self) -> Result<Activation<f64>> {
        const KNOWN: &str = "linear, relu, tanh, sigmoid";
        if let Some(activation) = self.given.activation {
            self.note("activation", names::activation(activation).0, "option --activation");
            return Ok(activation);
        }
        if let Some((place, value)) = self.said("activation").or_else(|| self.said("nonlinearity")) {
            let name = text(&value);
            let activation = names::parse_activation(&name.to_lowercase(), &[])
                .ok_or_else(|| Error::input(&place, KNOWN, name.as_str()))?;
            self.note("activation", name, place);
            return Ok(activation);
        }
        if let Some((place, value)) = self.said("eq") {
            let equation = text(&value).to_lowercase();
            let words = || equation.split(|c: char| !c.is_alphanumeric());
            let named: Vec<&str> = ["tanh", "relu", "sigmoid"]
                .into_iter()
                .filter(|name| words().any(|word| word == *name))
                .collect();
            if let &[name] = named.as_slice() {
                self.note("activation", name, place);
                return Ok(names::parse_activation(name, &[]).expect("a known name"));
            }
        }
        let place = self.file.place("activation");
        Err(Error::input(
            place,
            format!("--activation ({KNOWN}), or `activation` in a JSON file beside it"),
            "neither",
        ))
    }

    fn form(&mut self) -> Result<(Form, f64)> {
        let kind = self.said("kind");
        let of_kind = kind.as_ref().and_then(|(_, kind)| match text(kind).as_str() {
            "map" => Some(Form::Rate),
            "ctrnn_euler" => Some(Form::Current),
            _ => None,
        });
        let by_kind = kind.map_or_else(String::new, |(place, _)| place);
        let (form, source) = if let Some(form) = self.given.form {
            (form, "option --form".into())
        } else if let Some((place, value)) = self.said("form") {
            let form = match text(&value).as_str() {
                "rate" => Form::Rate,
                "current" => Form::Current,
                other => return Err(Error::input(place, "rate or current", other)),
            };
            (form, place)
        } else if let Some(form) = of_kind {
            (form, by_kind.clone())
        } else {
            let expected = "--form rate (h' = (1 - alpha) h + alpha phi(W h + B u + b)) or --form current (a' = (1 - alpha) a + alpha (W phi(a) + B u + b)), or `form` in a JSON file beside it";
            return Err(Error::input(self.file.place("form"), expected, "neither"));
        };
        self.note("form", names::form(form), source);
        let (alpha, source) = if let Some(alpha) = self.given.alpha {
            (alpha, "option --alpha".into())
        } else if let Some((place, value)) = self.said("alpha") {
            let number = value.as_f64().or_else(|| text(&value).parse().ok());
            (number.ok_or_else(|| Error::input(&place, "a number", text(&value)))?, place)
        } else if of_kind == Some(Form::Rate) && form == Form::Rate {
            (1.0, by_kind)
        } else {
            let expected =
                "--alpha (step by time constant, 1 for a plain map), or `alpha` in a JSON file beside it";
            return Err(Error::input(self.file.place("alpha"), expected, "neither"));
        };
        crate::error::require(alpha > 0.0 && alpha <= 1.0, &source, "a leak above 0 and at most 1", alpha)?;
        self.note("alpha", alpha.to_string(), source);
        Ok((form, alpha))
    }

    /// Their name of an array of ours, with who says so.
    fn name(&self, ours: &str) -> Result<Option<(String, String)>> {
        let known = |place: &str, name: &str| {
            let right = OURS.contains(&name);
            crate::error::require(right, place, format!("one of ours: {}", OURS.join(", ")), name)
        };
        for name in self.given.map.values() {
            known("--map THEIRS=OURS", name)?;
        }
        if let Some((theirs, _)) = self.given.map.iter().find(|(_, name)| *name == ours) {
            return Ok(Some((theirs.clone(), "option --map".into())));
        }
        if let Some((place, Value::Object(map))) = self.said("map") {
            for name in map.values() {
                known(&place, &text(name))?;
            }
            if let Some((theirs, _)) = map.iter().find(|(_, name)| text(name) == ours) {
                return Ok(Some((theirs.clone(), place)));
            }
        }
        let has = |name: &str| self.file.has(name);
        let bias_is_b = has("b") || self.given.map.values().any(|name| name == "b");
        let usual: &[&str] = match ours {
            "W" => &["W", "J"],
            "B" => &["B", "Win"],
            "b" if has("b") => &["b"],
            "b" => &["c"],
            "C" => &["C", "Wout"],
            "c" if bias_is_b && !has("bout") => &["c"],
            "c" => &["bout"],
            _ => &["initial", "x0", "h0"],
        };
        let taken = |name: &str| self.given.map.contains_key(name);
        let found = usual.iter().find(|name| has(name) && !taken(name));
        Ok(found.map(|name| ((*name).to_owned(), "a usual name".to_owned())))
    }

    /// The array of ours, transposed if its name says so.
    fn array(&mut self, ours: &str) -> Result<Option<(String, Array)>> {
        let Some((theirs, source)) = self.name(ours)? else { return Ok(None) };
        let array = match theirs.strip_suffix(".T") {
            Some(name) if !self.file.has(&theirs) => transposed(&self.file.array(name)?),
            _ => self.file.array(&theirs)?,
        };
        self.note(ours, theirs.as_str(), source);
        Ok(Some((theirs, array)))
    }

    fn required(&mut self, ours: &str, what: &str) -> Result<(String, Array)> {
        let found = self.array(ours)?;
        found.ok_or_else(|| {
            let names = list(self.file.names().iter().map(String::as_str));
            let expected = format!("{what}: --map NAME={ours}, or `map` in a JSON file beside it");
            Error::input(self.file.place(&format!("array {ours}")), expected, format!("arrays {names}"))
        })
    }

    fn matrix(&self, ours: &str, (theirs, array): (String, Array), shape: [usize; 2]) -> Result<Mat<f64>> {
        let fits = |found: &[usize]| {
            found.len() == 2 && zip(found, shape).all(|(&f, s)| f > 0 && (s == 0 || f == s))
        };
        if fits(&array.shape) {
            return Ok(Mat::from_fn(array.shape[0], array.shape[1], |i, j| {
                array.values[i * array.shape[1] + j]
            }));
        }
        let mut found = format!("{:?}", array.shape);
        if array.shape.len() == 2 && fits(&[array.shape[1], array.shape[0]]) {
            found += &format!(", which is transposed: --map {theirs}.T={ours}");
        }
        let size = |size: usize| if size == 0 { "any".into() } else { size.to_string() };
        let expected = format!("shape [{}, {}] as {ours}", size(shape[0]), size(shape[1]));
        Err(Error::input(self.file.place(&format!("array {theirs}")), expected, found))
    }

    fn vector(&mut self, ours: &str, length: usize) -> Result<Option<Vec<f64>>> {
        let Some((theirs, array)) = self.array(ours)? else { return Ok(None) };
        // A column or a row is a list all the same.
        if array.values.len() == length && array.shape.iter().filter(|&&size| size != 1).count() <= 1 {
            return Ok(Some(array.values));
        }
        let place = self.file.place(&format!("array {theirs}"));
        Err(Error::input(place, format!("shape [{length}] as {ours}"), format!("{:?}", array.shape)))
    }

    fn network(&mut self, form: Form, alpha: f64, activation: Activation<f64>) -> Result<Network> {
        let (theirs, w) = self.required("W", "the recurrent weights, n × n")?;
        let n = w.shape.first().copied().unwrap_or(0);
        let w = self.matrix("W", (theirs, w), [n, n])?;
        let input = self.required("B", "the input weights, n × I")?;
        let input = self.matrix("B", input, [n, 0])?;
        let readout = match self.array("C")? {
            Some(readout) => self.matrix("C", readout, [0, n])?,
            None => Mat::identity(n, n),
        };
        let outputs = readout.nrows();
        let mut network = Network::plain(activation, Recurrence::Dense(w), input, readout);
        network.form = form;
        network.alpha = alpha;
        network.bias = self.vector("b", n)?.unwrap_or(vec![0.0; n]);
        network.output_bias = self.vector("c", outputs)?.unwrap_or(vec![0.0; outputs]);
        network.initial = self.vector("initial", n)?.unwrap_or(network.rest());
        if let Some(names) = self.said("inputs").and_then(|(_, value)| channel_names(&value))
            && names.len() == network.inputs.len()
        {
            network.inputs = names.into_iter().map(Channel::plain).collect();
        }
        Ok(network)
    }

    /// Compares the network with stored trajectories, where state t is the one after input t.
    fn compare(&self, network: &Network) -> Result<Option<Comparison>> {
        if !(self.file.has("traj") && self.file.has("traj_u")) {
            return Ok(None);
        }
        let (n, inputs) = (network.neurons(), network.input.ncols());
        let states = self.file.shaped("traj", &[0, 0, n])?;
        let u = self.file.shaped("traj_u", &[states.shape[0], states.shape[1], inputs])?;
        let comparison = follow(network, &states, &u);
        if comparison.step <= comparison.bound {
            return Ok(Some(comparison));
        }
        let mut turned = network.clone();
        turned.recurrence = Recurrence::Dense(network.weights().transpose().to_owned());
        let other = follow(&turned, &states, &u);
        let hint = if other.step <= other.bound {
            "; they are those of the transposed W: give --map NAME.T=W"
        } else {
            "; are form, alpha and activation right?"
        };
        let found = format!("a step off by {:.1e}{hint}", comparison.step);
        let expected =
            format!("states that the network goes through, to {:.1e} of rounding", comparison.bound);
        Err(Error::input(self.file.place("arrays traj, traj_u"), expected, found))
    }
}

/// Compares all steps of trajectories: trials × steps × n, and their inputs.
fn follow(network: &Network, states: &Array, u: &Array) -> Comparison {
    let (n, inputs, length) = (states.shape[2], u.shape[2], states.shape[1]);
    let single = |values: &[f64]| values.iter().all(|&x| f64::from(x as f32) == x);
    let unit = if single(&states.values) { f64::from(f32::EPSILON) / 2.0 } else { f64::EPSILON / 2.0 };
    let terms = (n + inputs + 3) as f64 * unit;
    let gamma = terms / (1.0 - terms);
    let absolute = |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)].abs());
    let (w, b) = (absolute(&network.weights()), absolute(&network.input));
    // The logistic function may be steeper than 1.
    let steepness = match network.activation {
        Activation::Sigmoid { slope, .. } => (slope.abs() / 4.0).max(1.0),
        _ => 1.0,
    };
    let apart = |a: &[f64], b: &[f64]| zip(a, b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let mut comparison = Comparison { steps: 0, step: 0.0, bound: 0.0, run: 0.0 };
    let trials = zip(states.values.chunks_exact(length * n), u.values.chunks_exact(length * inputs));
    for (states, u) in trials {
        comparison.run = comparison.run.max(apart(&simulate::run(network, u, false).carried, states));
        let mut from = network.clone();
        for (state, u) in zip(states.chunks_exact(n), u.chunks_exact(inputs)) {
            let next = simulate::run(&from, u, false).carried;
            let rate = |&x: &f64| match network.form {
                Form::Rate => x.abs(),
                Form::Current => simulate::activate(network.activation, x).abs(),
            };
            let rates: Vec<f64> = from.initial.iter().map(rate).collect();
            let sum = |i: usize| -> f64 {
                let recurrent: f64 = (0..n).map(|j| w[(i, j)] * rates[j]).sum();
                recurrent + (0..inputs).map(|k| b[(i, k)] * u[k].abs()).sum::<f64>() + network.bias[i].abs()
            };
            let rounding =
                (0..n).map(|i| gamma * (steepness * sum(i) + from.initial[i].abs() + state[i].abs()));
            comparison.bound = comparison.bound.max(rounding.fold(0.0, f64::max));
            // The first step starts from where the network says, which the file need not share.
            comparison.step = comparison.step.max(apart(&next, state));
            comparison.steps += 1;
            from.initial.copy_from_slice(state);
        }
    }
    comparison
}

fn transposed(array: &Array) -> Array {
    let &[rows, columns] = array.shape.as_slice() else { return array.clone() };
    let values = (0..columns).flat_map(|j| (0..rows).map(move |i| array.values[i * columns + j])).collect();
    Array { shape: vec![columns, rows], values }
}

/// A JSON value as people write it: a text without its quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Names from a list, or from a text that begins with `[a, b, c]`.
fn channel_names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(names) => Some(names.iter().map(text).collect()),
        Value::String(list) => {
            let (inside, _) = list.strip_prefix('[')?.split_once(']')?;
            Some(inside.split(',').map(|name| name.trim().to_owned()).collect())
        }
        _ => None,
    }
}
