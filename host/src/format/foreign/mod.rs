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
//! | traj, traj_u, traj_y | states, inputs, outputs, trials × steps × n, I, O (one trial: steps × ..), to compare with | the same |
//!
//! A file with an array A, or of form `plrnn`, holds a piecewise-linear network ([`Plrnn`](super::plrnn::Plrnn)): A (n × n, or its diagonal), W
//! and h (n) of z' = A z + W relu(z) + h + B u; or A, W1 (n × g), W2 (g × n), h1 (n) and h2 (g) of the shallow form
//! z' = A z + W1 relu(W2 z + h2) + h1 + B u; or A, W and h with alphas (K) and H (n × K) of the dendritic form
//! z' = A z + W sum_k alphas_k relu(z - H_k) + h + B u, where thetas stand for -H. In place of A and W there may be AW, A
//! on its diagonal and W off it. Its inputs B may be missing; y = C z + c, z where there is no C.
//!
//! A `torch.nn.RNN` state dict and a network that Fanthomme & Monasson's code trained ([`paper`]) say by themselves
//! which array is what. Runs stored beside the weights or in NAME_io beside the file, `inputs` or `test_inputs` with
//! `outputs_f64`, `outputs` or `test_outputs`, are compared where they fit (trials × steps × I, O).
//!
//! `NAME.T` stands for an array transposed. The fields of the JSON and of the metadata are `form` (`rate`, `current`, `plrnn`),
//! `alpha`, `activation` (or `nonlinearity`), `map` (their names to ours), `inputs` (their names), `kind` (`map`: rate form
//! of alpha = 1; `ctrnn_euler`: current form) and `eq`, an equation that names the activation.

mod named;
mod piecewise;
mod stored;

use std::collections::BTreeMap;
use std::path::Path;

use faer::Mat;
use serde_json::{Map, Value};

use super::arrays::ArrayFile;
pub use super::compare::{Comparison, Outputs};
use super::network::{load_torch, names};
use super::paper;
use crate::network::{Activation, Channel, Form, Network, Recurrence};
use crate::{Error, Result};

/// Our names of the arrays.
const OURS: [&str; 19] = [
    "W", "B", "b", "C", "c", "initial", "A", "AW", "h", "W1", "W2", "h1", "h2", "alphas", "H", "thetas",
    "traj", "traj_u", "traj_y",
];
/// What W is, in words.
const RECURRENT: &str = "the recurrent weights, n × n";
/// Fields that are looked for in a file's metadata.
const FIELDS: [&str; 8] = ["form", "alpha", "activation", "nonlinearity", "map", "inputs", "kind", "eq"];

/// What is known of a file beforehand: it goes before what the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Our names of arrays by theirs.
    pub map: BTreeMap<String, String>,
    /// `rate`, `current` or `plrnn`.
    pub form: Option<String>,
    /// Whether there are no input weights.
    pub no_inputs: bool,
    /// Leak, above 0 and at most 1.
    pub alpha: Option<f64>,
    /// phi.
    pub activation: Option<Activation<f64>>,
}

/// A foreign network and where its parts come from.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub network: Network,
    /// Our names of parts and settings, their value or their name in the file, and who says so.
    pub sources: Vec<[String; 3]>,
    /// Of the arrays `traj` (trials × steps × n) and `traj_u` (trials × steps × I), if the file has both, and `traj_y`
    /// (trials × steps × O).
    pub comparison: Option<Comparison>,
    /// Of `traj_u` and `traj_y`, if the file has both and no `traj`; else of the runs that a known tool stored.
    pub outputs: Option<Outputs>,
    /// Whether the file is of a known tool, which fixes what its arrays mean.
    pub known: bool,
}

/// A file and all that says something of it.
struct Reader {
    file: ArrayFile,
    /// Fields by who says them, the most important first.
    facts: Vec<(String, Map<String, Value>)>,
    given: Given,
    sources: Vec<[String; 3]>,
    /// Of a known tool: the file with its runs, if any.
    runs: Option<ArrayFile>,
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
/// use tinyfold::network::Activation;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("theirs.npz");
/// let matrix = |rows, columns| arrays::Array { shape: vec![rows, columns], values: vec![0.5; rows * columns] };
/// arrays::write(&path, &BTreeMap::from([("J", matrix(3, 3)), ("Win", matrix(3, 1))]), "eq", "x' = -x + J tanh(x) + Win u")?;
/// let given = foreign::Given { form: Some("current".into()), alpha: Some(0.1), ..Default::default() };
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
        if field == "alpha"
            && let Some(number) = file.number(field)
        {
            metadata.insert(field.into(), number.into());
        } else if let Some(text) = file.text_if_any(field)? {
            metadata.insert(field.into(), serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
    }
    facts.push((file.place("metadata"), metadata));
    let mut reader = Reader { file, facts, given: given.clone(), sources: Vec::new(), runs: None };
    if paper::is_paper(&reader.file) {
        let expected = "none beside a network of Fanthomme & Monasson's code, which says all of it";
        let options = "--map, --form, --alpha, --activation, --no-inputs";
        crate::error::require(*given == Given::default(), options, expected, "one of them")?;
        let network = paper::read(path, &reader.file)?;
        reader.note_paper(&network);
        reader.runs = Some(runs_of(path)?);
        return reader.compared(network, &<[f64]>::to_vec);
    }
    if reader.is_plrnn()? {
        let plrnn = reader.plrnn()?;
        let network = reader.piecewise(&plrnn)?;
        return reader.compared(network, &|z| plrnn.state(z));
    }
    let torch = reader.file.names().iter().any(|name| name.ends_with("weight_hh_l0"));
    if !torch && reader.name("W")?.is_none() {
        // Without a network there is nothing to ask for.
        reader.required("W", RECURRENT)?;
    }
    let activation = reader.activation()?;
    if torch {
        reader.torch_form()?;
        reader.runs = Some(runs_of(path)?);
        let mut network = load_torch(path, activation)?;
        reader.name_inputs(&mut network);
        return reader.compared(network, &<[f64]>::to_vec);
    }
    let (form, alpha) = reader.form()?;
    let network = reader.network(form, alpha, activation)?;
    reader.compared(network, &<[f64]>::to_vec)
}

/// The file that may hold runs of the network of this one: NAME_io beside it, else itself.
fn runs_of(path: &Path) -> Result<ArrayFile> {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!("{}_io.{}", part(path.file_stem()), part(path.extension())));
    ArrayFile::open(if beside.exists() { &beside } else { path })
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
            self.neither("activation"),
        ))
    }

    /// What is found where nobody says a field.
    fn neither(&self, field: &str) -> String {
        if self.file.has(field) {
            format!(
                "neither; the array {field} of the file is no text that is read (uint8, str and bytes are), nor a number"
            )
        } else {
            "neither".into()
        }
    }

    /// What the parts of a network of the paper's code are made of.
    fn note_paper(&mut self, network: &Network) {
        let signs = if self.file.has("synapse_signs") { " · synapse_signs" } else { "" };
        let source = "Fanthomme & Monasson's code";
        for (ours, theirs) in [("form", "rate"), ("alpha", "1"), ("C", "decoders"), ("B", "W encoders")] {
            self.note(ours, theirs, source);
        }
        self.note("W", format!("W{signs}"), source);
        if self.file.has("thresholds") {
            self.note("b", "-thresholds", source);
        }
        for ours in ["decays", "scales"] {
            self.note(ours, ours, "its config");
        }
        self.note("activation", names::activation(network.activation).0, "its config");
    }

    /// A `torch.nn.RNN` is of rate form with alpha = 1: whoever says otherwise means another network.
    fn torch_form(&mut self) -> Result<()> {
        let source = "weight_hh_l0, a torch.nn.RNN";
        if let Some((place, form)) = self.said_form() {
            crate::error::require(form == "rate", &place, format!("rate, the form of {source}"), form)?;
        }
        let given = self.given.alpha.map(|alpha| ("option --alpha".to_owned(), alpha.to_string()));
        let said = given.or_else(|| self.said("alpha").map(|(place, value)| (place, text(&value))));
        if let Some((place, alpha)) = said {
            let one = alpha.parse::<f64>().is_ok_and(|alpha| alpha == 1.0);
            crate::error::require(one, &place, format!("1, the alpha of {source}"), alpha)?;
        }
        self.note("form", "rate", source);
        self.note("alpha", "1", source);
        Ok(())
    }

    /// The form by its name, and who says it.
    fn said_form(&self) -> Option<(String, String)> {
        let given = self.given.form.clone().map(|form| ("option --form".to_owned(), form));
        given.or_else(|| self.said("form").map(|(place, value)| (place, text(&value))))
    }

    fn name_inputs(&self, network: &mut Network) {
        if let Some(names) = self.said("inputs").and_then(|(_, value)| channel_names(&value))
            && names.len() == network.inputs.len()
        {
            network.inputs = names.into_iter().map(Channel::plain).collect();
        }
    }

    fn form(&mut self) -> Result<(Form, f64)> {
        let kind = self.said("kind");
        let of_kind = kind.as_ref().and_then(|(_, kind)| match text(kind).as_str() {
            "map" => Some(Form::Rate),
            "ctrnn_euler" => Some(Form::Current),
            _ => None,
        });
        let by_kind = kind.map_or_else(String::new, |(place, _)| place);
        let (form, source) = if let Some((place, name)) = self.said_form() {
            let form = match name.as_str() {
                "rate" => Form::Rate,
                "current" => Form::Current,
                other => return Err(Error::input(place, "rate, current or plrnn", other)),
            };
            (form, place)
        } else if let Some(form) = of_kind {
            (form, by_kind.clone())
        } else {
            let expected = "--form rate (h' = (1 - alpha) h + alpha phi(W h + B u + b)) or --form current (a' = (1 - alpha) a + alpha (W phi(a) + B u + b)), or `form` in a JSON file beside it";
            return Err(Error::input(self.file.place("form"), expected, self.neither("form")));
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
            return Err(Error::input(self.file.place("alpha"), expected, self.neither("alpha")));
        };
        crate::error::require(alpha > 0.0 && alpha <= 1.0, &source, "a leak above 0 and at most 1", alpha)?;
        self.note("alpha", alpha.to_string(), source);
        Ok((form, alpha))
    }

    /// B; where there need not be one, an input that changes nothing, as a network has one.
    fn input(&mut self, n: usize, optional: bool) -> Result<Mat<f64>> {
        let empty = |(theirs, _): (String, String)| {
            !self.file.has(&theirs) || self.file.array(&theirs).is_ok_and(|array| array.values.is_empty())
        };
        let found = self.name("B")?;
        let none = found.clone().is_none_or(empty);
        if self.given.no_inputs && !none {
            let found = found.map_or_else(String::new, |(theirs, _)| format!("array {theirs}"));
            return Err(Error::input("--no-inputs", "a file without input weights", found));
        }
        if optional && none {
            self.note("B", "none", "no input weights: an input that changes nothing");
            return Ok(Mat::zeros(n, 1));
        }
        let input = self.required("B", "the input weights, n × I (or --no-inputs)")?;
        if input.1.shape.contains(&0) {
            let expected =
                "input weights, n × I with I at least 1; a network without inputs takes --no-inputs";
            let place = self.file.place(&format!("array {}", input.0));
            return Err(Error::input(place, expected, format!("shape {:?}", input.1.shape)));
        }
        self.matrix("B", input, [n, 0])
    }

    fn network(&mut self, form: Form, alpha: f64, activation: Activation<f64>) -> Result<Network> {
        let (theirs, w) = self.required("W", RECURRENT)?;
        let n = w.shape.first().copied().unwrap_or(0);
        let w = self.matrix("W", (theirs, w), [n, n])?;
        let input = self.input(n, self.given.no_inputs)?;
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
        self.name_inputs(&mut network);
        Ok(network)
    }
}

/// A JSON value as people write it: a text without its quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Names from a list, from a text that begins with `[a, b, c]`, or the one that any other text is.
fn channel_names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(names) => Some(names.iter().map(text).collect()),
        Value::String(list) => {
            let inside = list.strip_prefix('[').and_then(|list| list.split_once(']'));
            let Some((inside, _)) = inside else { return Some(vec![list.clone()]) };
            Some(inside.split(',').map(|name| name.trim().to_owned()).collect())
        }
        _ => None,
    }
}
