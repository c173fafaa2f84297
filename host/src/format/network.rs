//! Networks as files: `.safetensors` and `.npz` with the same arrays.
//!
//! Arrays, row-major: `W` (n × n) or `U` and `V` (n × R); `B` (n × I); `b` (n); `C` (O × n); `c` (O);
//! `initial` (carried words); `E` (n × D, optional). All else is one JSON text ([`Header`]): in
//! safetensors under `__metadata__.tinyfold`, in npz as the byte array `tinyfold`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::arrays::{self, Array, ArrayFile, list};
pub use super::torch::load_torch;
use super::{paper, torch};
use crate::error::require;
use crate::network::{Activation, Arithmetic, Channel, Form, Network, Recurrence, Variant};
use crate::task::Task;
use crate::{Error, Result};

/// Name of the JSON text in a file.
const HEADER: &str = "tinyfold";

/// Version of the JSON text; rises when the meaning of a field or array changes.
pub const VERSION: u32 = 1;

/// What a network file says besides its arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// `rate` or `current`.
    pub form: String,
    /// Leak.
    pub alpha: f64,
    /// `linear`, `relu`, `clipped`, `tanh` or `sigmoid`.
    pub activation: String,
    /// lo and hi of `clipped`; slope and threshold of `sigmoid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activation_parameters: Vec<f64>,
    /// `libm`, `micromath` or `rational`.
    pub variant: String,
    /// `separate` or `fused`.
    pub arithmetic: String,
    /// Input channels.
    pub inputs: Vec<Channel>,
    /// Output channels.
    pub outputs: Vec<Channel>,
    /// Whether outputs are phi(C h + c).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nonlinear_decoder: bool,
    /// What the network was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Numbers of the neurons among all that there were before some were masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<usize>>,
}

/// Names of the settings, in files and options.
pub mod names {
    use super::{Activation, Arithmetic, Form, Variant};

    /// `rate` or `current`.
    #[must_use]
    pub const fn form(form: Form) -> &'static str {
        match form {
            Form::Rate => "rate",
            Form::Current => "current",
        }
    }

    /// `separate` or `fused`.
    #[must_use]
    pub const fn arithmetic(arithmetic: Arithmetic) -> &'static str {
        match arithmetic {
            Arithmetic::Separate => "separate",
            Arithmetic::Fused => "fused",
        }
    }

    /// `libm`, `micromath` or `rational`.
    #[must_use]
    pub const fn variant(variant: Variant) -> &'static str {
        match variant {
            Variant::Libm => "libm",
            Variant::Micromath => "micromath",
            Variant::Rational => "rational",
        }
    }

    /// Name and parameters.
    #[must_use]
    pub fn activation(activation: Activation<f64>) -> (&'static str, Vec<f64>) {
        match activation {
            Activation::Linear => ("linear", vec![]),
            Activation::Relu => ("relu", vec![]),
            Activation::Clipped { lo, hi } => ("clipped", vec![lo, hi]),
            Activation::Tanh => ("tanh", vec![]),
            Activation::Sigmoid { slope, threshold } => ("sigmoid", vec![slope, threshold]),
        }
    }

    /// Names of all activations.
    pub const ACTIVATIONS: &[&str] = &["linear", "relu", "clipped", "tanh", "sigmoid"];

    /// The activation of a name and its parameters; `None` if there is no such one.
    #[must_use]
    pub fn parse_activation(name: &str, parameters: &[f64]) -> Option<Activation<f64>> {
        Some(match (name, parameters) {
            ("linear", []) => Activation::Linear,
            ("relu", []) => Activation::Relu,
            ("clipped", &[lo, hi]) if lo <= hi => Activation::Clipped { lo, hi },
            ("tanh", []) => Activation::Tanh,
            ("sigmoid", []) => Activation::Sigmoid { slope: 1.0, threshold: 0.0 },
            ("sigmoid", &[slope, threshold]) => Activation::Sigmoid { slope, threshold },
            _ => return None,
        })
    }
}

impl Header {
    fn of(network: &Network) -> Self {
        let (activation, activation_parameters) = names::activation(network.activation);
        Self {
            version: VERSION,
            form: names::form(network.form).into(),
            alpha: network.alpha,
            activation: activation.into(),
            activation_parameters,
            variant: names::variant(network.variant).into(),
            arithmetic: names::arithmetic(network.arithmetic).into(),
            inputs: network.inputs.clone(),
            outputs: network.outputs.clone(),
            nonlinear_decoder: network.nonlinear_decoder,
            task: network.task.clone(),
            kept: network.kept.clone(),
        }
    }

    /// Every number and the field it is in.
    fn numbers(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let channels = self.inputs.iter().chain(&self.outputs).flat_map(|c| [c.center, c.gain]);
        let task = self
            .task
            .iter()
            .filter_map(Task::integration)
            .flat_map(|task| task.decays.iter().chain(&task.scales))
            .copied();
        let parameters = self.activation_parameters.iter().copied();
        std::iter::once(("alpha", self.alpha))
            .chain(parameters.map(|x| ("activation parameters", x)))
            .chain(channels.map(|x| ("channels", x)))
            .chain(task.map(|x| ("task", x)))
    }
}

/// Writes a network; the ending of `path` chooses the format. Every number is kept to the last bit.
///
/// # Errors
/// An ending that is neither `.safetensors` nor `.npz`; a number that is not finite; a file that
/// cannot be written.
///
/// ```
/// use tinyfold::format::network::{load, save};
/// use tinyfold::network::{Activation, Network, Recurrence};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("network.safetensors");
/// let eye = faer::Mat::<f64>::identity(2, 2);
/// let network = Network::plain(Activation::Relu, Recurrence::Dense(eye.clone()), eye.clone(), eye);
/// save(&path, &network)?;
/// assert_eq!(load(&path)?.weights(), network.weights());
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn save(path: &Path, network: &Network) -> Result<()> {
    let mut all = BTreeMap::from([
        ("B", Array::of_matrix(&network.input)),
        ("b", Array::of_slice(&network.bias)),
        ("C", Array::of_matrix(&network.readout)),
        ("c", Array::of_slice(&network.output_bias)),
        ("initial", Array::of_slice(&network.initial)),
    ]);
    match &network.recurrence {
        Recurrence::Dense(w) => {
            all.insert("W", Array::of_matrix(w));
        }
        Recurrence::LowRank { u, v } => {
            all.insert("U", Array::of_matrix(u));
            all.insert("V", Array::of_matrix(v));
        }
    }
    if let Some(encoder) = &network.encoder {
        all.insert("E", Array::of_matrix(encoder));
    }
    let header = Header::of(network);
    // JSON has no NaN or infinity: they would be written as null and not be read again.
    if let Some((field, found)) = header.numbers().find(|(_, x)| !x.is_finite()) {
        return Err(Error::input(
            format!("{}: {field}", path.display()),
            "a finite number",
            found.to_string(),
        ));
    }
    check_task(header.task.as_ref()).map_err(|error| error.within(&format!("{}: task", path.display())))?;
    check_kept(header.kept.as_deref(), network.neurons())
        .map_err(|error| error.within(&path.display().to_string()))?;
    let header = serde_json::to_string(&header).expect("plain data becomes JSON");
    arrays::write(path, &all, HEADER, &header)
}

/// Reads a network that [`save`] wrote, a `torch.nn.RNN` state dict (see [`load_torch`]) whose
/// nonlinearity is in the file's metadata or in a JSON file beside it, under `nonlinearity`, or one that the code of
/// Fanthomme & Monasson trained (see [`paper`]).
///
/// # Errors
/// A file that cannot be read, an unknown version or array, a missing array, a wrong shape or number
/// type, a number that is not finite: each names file and array, expected and found.
pub fn load(path: &Path) -> Result<Network> {
    let file = ArrayFile::open(path)?;
    match file.text(HEADER)? {
        Some(header) => read(&file, &header),
        None if torch::is_state_dict(&file) => torch::read(&file, torch::stated_activation(path, &file)?),
        None if paper::is_paper(&file) => paper::read(path, &file),
        None => Err(Error::input(
            path.display().to_string(),
            "a network of tinyfold (metadata `tinyfold`), a torch.nn.RNN state dict (array `weight_hh_l0`) or one of Fanthomme & Monasson's code (arrays `W`, `encoders`, `decoders`); `tinyfold import` makes one of any other",
            format!("arrays {}", list(file.names().iter().map(String::as_str))),
        )),
    }
}

/// Refuses parameters of a task that cannot be run; what is known of decays and scales is known without this.
fn check_task(task: Option<&Task>) -> Result<()> {
    task.filter(|task| task.integration().is_none()).map_or(Ok(()), |task| task.trials().check(usize::MAX))
}

/// Refuses numbers of neurons that are not one a neuron, ascending.
fn check_kept(kept: Option<&[usize]>, n: usize) -> Result<()> {
    let Some(kept) = kept else { return Ok(()) };
    let fits = kept.len() == n && kept.is_sorted_by(|a, b| a < b);
    require(fits, "kept", format!("{n} numbers of neurons, ascending"), format!("{kept:?}"))
}

fn read(file: &ArrayFile, header: &str) -> Result<Network> {
    let field = |name: &str| file.place(name);
    // The version is looked at first: a later one may have fields that this one does not know.
    let refuse =
        |error: serde_json::Error| Error::input(field("metadata"), "settings of tinyfold", error.to_string());
    let version = serde_json::from_str::<serde_json::Value>(header).map_err(refuse)?["version"].take();
    if version != VERSION {
        return Err(Error::input(field("format version"), VERSION.to_string(), version.to_string()));
    }
    let header: Header = serde_json::from_str(header).map_err(refuse)?;
    let one_of = |name: &str, known: &[&str], found: &str| {
        known
            .iter()
            .position(|&known| known == found)
            .ok_or_else(|| Error::input(field(name), known.join(" or "), found.to_owned()))
    };
    let forms = [Form::Rate, Form::Current];
    let arithmetics = [Arithmetic::Separate, Arithmetic::Fused];
    let variants = [Variant::Libm, Variant::Micromath, Variant::Rational];
    let form = forms[one_of("form", &forms.map(names::form), &header.form)?];
    let arithmetic =
        arithmetics[one_of("arithmetic", &arithmetics.map(names::arithmetic), &header.arithmetic)?];
    let variant = variants[one_of("variant", &variants.map(names::variant), &header.variant)?];
    let activation =
        names::parse_activation(&header.activation, &header.activation_parameters).ok_or_else(|| {
            Error::input(
                field("activation"),
                "linear, relu, tanh, clipped [lo, hi] or sigmoid [slope, threshold]",
                format!("{} {:?}", header.activation, header.activation_parameters),
            )
        })?;
    if !(header.alpha > 0.0 && header.alpha <= 1.0) {
        return Err(Error::input(field("alpha"), "a leak above 0 and at most 1", header.alpha.to_string()));
    }

    if let Some(task) = header.task.as_ref().and_then(Task::integration)
        && (task.decays.is_empty() || task.decays.len() != task.scales.len())
    {
        let found = format!("{} decays, {} scales", task.decays.len(), task.scales.len());
        return Err(Error::input(field("task"), "one decay and one scale a channel", found));
    }
    check_task(header.task.as_ref()).map_err(|error| error.within(&field("task")))?;

    let low_rank = file.has("U");
    let recurrent: &[&str] = if low_rank { &["U", "V"] } else { &["W"] };
    let known = [recurrent, &["B", "b", "C", "c", "initial", "E", HEADER]].concat();
    if let Some(name) = file.names().iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::input(field("arrays"), format!("only {}", list(known.into_iter())), name));
    }
    let input = file.matrix("B", 0, 0)?;
    let n = input.nrows();
    let recurrence = if low_rank {
        let u = file.matrix("U", n, 0)?;
        Recurrence::LowRank { v: file.matrix("V", n, u.ncols())?, u }
    } else {
        Recurrence::Dense(file.matrix("W", n, n)?)
    };
    let readout = file.matrix("C", 0, n)?;
    for (name, channels, expected) in
        [("inputs", header.inputs.len(), input.ncols()), ("outputs", header.outputs.len(), readout.nrows())]
    {
        if channels != expected {
            let expected = format!("{expected} channels, as B and C have");
            return Err(Error::input(field(name), expected, channels.to_string()));
        }
    }
    check_kept(header.kept.as_deref(), n).map_err(|error| error.within(&file.place("metadata")))?;
    let mut network = Network::plain(activation, recurrence, input, readout);
    network.form = form;
    network.alpha = header.alpha;
    network.arithmetic = arithmetic;
    network.variant = variant;
    network.bias = file.vector("b", n)?;
    network.output_bias = file.vector("c", header.outputs.len())?;
    network.nonlinear_decoder = header.nonlinear_decoder;
    network.initial = file.vector("initial", network.carried())?;
    if file.has("E") {
        network.encoder = Some(file.matrix("E", n, 0)?);
    }
    network.inputs = header.inputs;
    network.outputs = header.outputs;
    network.task = header.task;
    network.kept = header.kept;
    Ok(network)
}
