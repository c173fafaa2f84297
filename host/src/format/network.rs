//! Networks as files: `.safetensors` and `.npz` with the same arrays, and plain `torch.nn.RNN` state
//! dicts.
//!
//! Arrays, row-major: `W` (n × n) or `U` and `V` (n × R); `B` (n × I); `b` (n); `C` (O × n); `c` (O);
//! `initial` (carried words); `E` (n × D, optional). All else is one JSON text ([`Header`]): in
//! safetensors under `__metadata__.tinyfold`, in npz as the byte array `tinyfold`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use faer::Mat;
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::{npz, write_atomic};
use crate::network::{Activation, Arithmetic, Channel, Form, Network, Recurrence, Variant};
use crate::task::Integration;
use crate::{Error, Result};

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
    /// `libm` or `micromath`.
    pub variant: String,
    /// `separate` or `fused`.
    pub arithmetic: String,
    /// Input channels.
    pub inputs: Vec<Channel>,
    /// Output channels.
    pub outputs: Vec<Channel>,
    /// What the network was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Integration>,
}

/// An array of a file, widened to f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

impl Array {
    fn of_matrix(matrix: &Mat<f64>) -> Self {
        let (rows, columns) = (matrix.nrows(), matrix.ncols());
        let values = (0..rows).flat_map(|i| (0..columns).map(move |j| matrix[(i, j)])).collect();
        Self { shape: vec![rows, columns], values }
    }

    fn of_slice(values: &[f64]) -> Self {
        Self { shape: vec![values.len()], values: values.to_vec() }
    }

    /// The array as a matrix; `None` unless it has two dimensions.
    #[must_use]
    pub fn matrix(&self) -> Option<Mat<f64>> {
        let &[rows, columns] = self.shape.as_slice() else { return None };
        Some(Mat::from_fn(rows, columns, |i, j| self.values[i * columns + j]))
    }
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

    /// `libm` or `micromath`.
    #[must_use]
    pub const fn variant(variant: Variant) -> &'static str {
        match variant {
            Variant::Libm => "libm",
            Variant::Micromath => "micromath",
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
            task: network.task.clone(),
        }
    }
}

/// Writes a network; the ending of `path` chooses the format.
///
/// # Errors
/// An ending that is neither `.safetensors` nor `.npz`; a file that cannot be written.
pub fn save(path: &Path, network: &Network) -> Result<()> {
    let mut arrays = BTreeMap::new();
    match &network.recurrence {
        Recurrence::Dense(w) => {
            arrays.insert("W", Array::of_matrix(w));
        }
        Recurrence::LowRank { u, v } => {
            arrays.insert("U", Array::of_matrix(u));
            arrays.insert("V", Array::of_matrix(v));
        }
    }
    arrays.insert("B", Array::of_matrix(&network.input));
    arrays.insert("b", Array::of_slice(&network.bias));
    arrays.insert("C", Array::of_matrix(&network.readout));
    arrays.insert("c", Array::of_slice(&network.output_bias));
    arrays.insert("initial", Array::of_slice(&network.initial));
    if let Some(encoder) = &network.encoder {
        arrays.insert("E", Array::of_matrix(encoder));
    }
    let header = serde_json::to_string(&Header::of(network)).expect("plain data becomes JSON");
    let bytes = match kind(path)? {
        Kind::Safetensors => {
            let metadata = HashMap::from([("tinyfold".to_owned(), header)]);
            safetensors::serialize(arrays.iter().map(|(name, array)| (*name, array)), Some(metadata))
                .map_err(|error| Error::input(path.display().to_string(), "arrays", error.to_string()))?
        }
        Kind::Npz => npz::write(path, arrays.iter().map(|(name, array)| (*name, array)), &header)?,
    };
    write_atomic(path, &bytes)
}

/// Reads a network that [`save`] wrote, or a `torch.nn.RNN` state dict (nonlinearity tanh; use
/// [`load_torch`] for another one).
///
/// # Errors
/// A file that cannot be read, an unknown version, a missing array, a wrong shape or number type,
/// a number that is not finite: each names file and array.
pub fn load(path: &Path) -> Result<Network> {
    let (arrays, header) = read_arrays(path)?;
    match header {
        Some(header) => of_parts(path, &arrays, &header),
        None if arrays.contains_key("rnn.weight_hh_l0") || arrays.contains_key("weight_hh_l0") => {
            of_torch(path, &arrays, Activation::Tanh)
        }
        None => Err(Error::input(
            path.display().to_string(),
            "a network of tinyfold (metadata `tinyfold`) or a torch.nn.RNN state dict (array `weight_hh_l0`)",
            format!("arrays {}", arrays.keys().cloned().collect::<Vec<String>>().join(", ")),
        )),
    }
}

/// Reads a one-layer `torch.nn.RNN` state dict, with or without a linear readout beside it.
///
/// `weight_ih_l0` (B), `weight_hh_l0` (W), `bias_ih_l0` + `bias_hh_l0` (b), under any prefix; a
/// readout is any other pair `*.weight` (C) and `*.bias` (c). Without one, the output is h itself.
///
/// # Errors
/// As [`load`].
pub fn load_torch(path: &Path, activation: Activation<f64>) -> Result<Network> {
    of_torch(path, &read_arrays(path)?.0, activation)
}

enum Kind {
    Safetensors,
    Npz,
}

fn kind(path: &Path) -> Result<Kind> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("safetensors") => Ok(Kind::Safetensors),
        Some("npz") => Ok(Kind::Npz),
        other => Err(Error::input(
            path.display().to_string(),
            "a file name ending in .safetensors or .npz",
            other.map_or("no ending".into(), |ending| format!(".{ending}")),
        )),
    }
}

/// All arrays of a file, and tinyfold's JSON text when there is one.
///
/// # Errors
/// As [`load`].
pub fn read_arrays(path: &Path) -> Result<(BTreeMap<String, Array>, Option<String>)> {
    let kind = kind(path)?;
    let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
    let (arrays, header) = match kind {
        Kind::Npz => npz::read(path, &bytes)?,
        Kind::Safetensors => {
            let refuse =
                |error| Error::input(path.display().to_string(), "a safetensors file", format!("{error}"));
            let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(refuse)?;
            let header = metadata.metadata().as_ref().and_then(|map| map.get("tinyfold")).cloned();
            let file = SafeTensors::deserialize(&bytes).map_err(refuse)?;
            let mut arrays = BTreeMap::new();
            for (name, tensor) in file.tensors() {
                let data = tensor.data();
                let values = match tensor.dtype() {
                    Dtype::F64 => wide(data, f64::from_le_bytes),
                    Dtype::F32 => wide(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
                    other => {
                        let place = format!("{}: array {name}", path.display());
                        return Err(Error::input(place, "number type F32 or F64", format!("{other:?}")));
                    }
                };
                arrays.insert(name, Array { shape: tensor.shape().to_vec(), values });
            }
            (arrays, header)
        }
    };
    for (name, array) in &arrays {
        if let Some(index) = array.values.iter().position(|x| !x.is_finite()) {
            let place = format!("{}: array {name}, entry {index}", path.display());
            return Err(Error::input(place, "a finite number", array.values[index].to_string()));
        }
    }
    Ok((arrays, header))
}

fn wide<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        Dtype::F64
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
    }
    fn data_len(&self) -> usize {
        size_of_val(self.values.as_slice())
    }
}

/// Arrays of one file, asked for by name and shape.
struct Arrays<'a> {
    path: &'a Path,
    arrays: &'a BTreeMap<String, Array>,
}

impl Arrays<'_> {
    /// The array `name`; `shape` has 0 where any size will do.
    fn get(&self, name: &str, shape: &[usize]) -> Result<&Array> {
        let place = || format!("{}: array {name}", self.path.display());
        let Some(array) = self.arrays.get(name) else {
            let names = self.arrays.keys().cloned().collect::<Vec<String>>().join(", ");
            return Err(Error::input(place(), "to be in the file", format!("only {names}")));
        };
        let fits = array.shape.len() == shape.len()
            && array.shape.iter().zip(shape).all(|(found, &expected)| expected == 0 || *found == expected);
        if fits {
            Ok(array)
        } else {
            Err(Error::input(place(), format!("shape {}", sizes(shape)), sizes(&array.shape)))
        }
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Mat<f64>> {
        Ok(self.get(name, &[rows, columns])?.matrix().expect("two dimensions were asked for"))
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f64>> {
        Ok(self.get(name, &[length])?.values.clone())
    }
}

fn sizes(shape: &[usize]) -> String {
    let any = |&size: &usize| if size == 0 { "any".to_owned() } else { size.to_string() };
    format!("({})", shape.iter().map(any).collect::<Vec<String>>().join(", "))
}

fn of_parts(path: &Path, arrays: &BTreeMap<String, Array>, header: &str) -> Result<Network> {
    let field = |name: &str| format!("{}: {name}", path.display());
    // The version is looked at first: a later one may have fields that this one does not know.
    let version = serde_json::from_str::<serde_json::Value>(header)
        .ok()
        .and_then(|header| header.get("version")?.as_u64())
        .unwrap_or(0);
    if version != u64::from(VERSION) {
        return Err(Error::input(field("format version"), VERSION.to_string(), version.to_string()));
    }
    let header: Header = serde_json::from_str(header)
        .map_err(|error| Error::input(field("metadata"), "settings of tinyfold", error.to_string()))?;
    let one_of = |name: &str, known: &[&str], found: &str| {
        known
            .iter()
            .position(|&known| known == found)
            .ok_or_else(|| Error::input(field(name), known.join(" or "), found.to_owned()))
    };
    let forms = [Form::Rate, Form::Current];
    let arithmetics = [Arithmetic::Separate, Arithmetic::Fused];
    let variants = [Variant::Libm, Variant::Micromath];
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

    let arrays = Arrays { path, arrays };
    let input = arrays.matrix("B", 0, header.inputs.len())?;
    let n = input.nrows();
    let recurrence = if arrays.arrays.contains_key("U") {
        let u = arrays.matrix("U", n, 0)?;
        Recurrence::LowRank { v: arrays.matrix("V", n, u.ncols())?, u }
    } else {
        Recurrence::Dense(arrays.matrix("W", n, n)?)
    };
    let mut network =
        Network::plain(activation, recurrence, input, arrays.matrix("C", header.outputs.len(), n)?);
    network.form = form;
    network.alpha = header.alpha;
    network.arithmetic = arithmetic;
    network.variant = variant;
    network.bias = arrays.vector("b", n)?;
    network.output_bias = arrays.vector("c", header.outputs.len())?;
    network.initial = arrays.vector("initial", network.carried())?;
    if arrays.arrays.contains_key("E") {
        network.encoder = Some(arrays.matrix("E", n, 0)?);
    }
    network.inputs = header.inputs;
    network.outputs = header.outputs;
    network.task = header.task;
    Ok(network)
}

fn of_torch(path: &Path, arrays: &BTreeMap<String, Array>, activation: Activation<f64>) -> Result<Network> {
    let prefix = arrays
        .keys()
        .find_map(|name| name.strip_suffix("weight_hh_l0"))
        .ok_or_else(|| {
            let names = arrays.keys().cloned().collect::<Vec<String>>().join(", ");
            Error::input(format!("{}: array weight_hh_l0", path.display()), "to be in the file", names)
        })?
        .to_owned();
    let readout = arrays
        .keys()
        .filter_map(|name| name.strip_suffix(".weight"))
        .find(|&name| arrays.contains_key(&format!("{name}.bias")))
        .map(str::to_owned);
    let arrays = Arrays { path, arrays };
    let rnn = |name: &str| format!("{prefix}{name}_l0");
    let w = arrays.matrix(&rnn("weight_hh"), 0, 0)?;
    let n = w.nrows();
    arrays.matrix(&rnn("weight_hh"), n, n)?;
    let input = arrays.matrix(&rnn("weight_ih"), n, 0)?;
    let bias = |name: &str| {
        if arrays.arrays.contains_key(&rnn(name)) { arrays.vector(&rnn(name), n) } else { Ok(vec![0.0; n]) }
    };
    let bias = bias("bias_ih")?.iter().zip(bias("bias_hh")?).map(|(a, b)| a + b).collect();
    let (readout, output_bias) = match readout {
        Some(name) => {
            let readout = arrays.matrix(&format!("{name}.weight"), 0, n)?;
            let output_bias = arrays.vector(&format!("{name}.bias"), readout.nrows())?;
            (readout, output_bias)
        }
        None => (Mat::identity(n, n), vec![0.0; n]),
    };
    let mut network = Network::plain(activation, Recurrence::Dense(w), input, readout);
    network.bias = bias;
    network.output_bias = output_bias;
    Ok(network)
}
