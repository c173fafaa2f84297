//! Chip models (`.tfld`): from a host network to bytes and back.

use std::path::Path;

use faer::Mat;
use serde::{Deserialize, Serialize};
use tinyfold_core::pack::{Matrices, Weights, pack};
use tinyfold_core::wire::{self, Model};
use tinyfold_core::{Number, Scalar, Settings, Shape, View};

use crate::network::{Channel, Network, Recurrence};
use crate::task::Task;
use crate::{Error, Result};

/// What the text section of a model says; the chip does not read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Program and version that wrote the model.
    pub made_by: String,
    /// Input channels.
    pub inputs: Vec<Channel>,
    /// Output channels.
    pub outputs: Vec<Channel>,
    /// What the network was made for.
    pub task: Option<Task>,
    /// Fixed point: the value in network units of one unit of every carried word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_units: Option<Vec<f64>>,
}

impl Metadata {
    pub(crate) fn new(inputs: &[Channel], outputs: &[Channel], task: Option<&Task>) -> Self {
        Self {
            made_by: concat!("tinyfold ", env!("CARGO_PKG_VERSION")).into(),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            task: task.cloned(),
            carried_units: None,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data becomes JSON")
    }

    pub(crate) fn read(text: &str, place: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::input(format!("{place}: metadata"), "JSON of tinyfold", error.to_string())
        })
    }
}

/// The bytes of a model, aligned so that they can be read in place.
#[derive(Clone)]
pub struct ModelBytes {
    words: Vec<u128>,
    length: usize,
}

impl ModelBytes {
    /// `bytes` in aligned memory; nothing is checked yet.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0_u128; bytes.len().div_ceil(size_of::<u128>())];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read or is empty.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self::new(&super::read_bytes(path, "a chip model")?))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }

    /// Number type of the model.
    ///
    /// # Errors
    /// The bytes are not a model of this version.
    pub fn number(&self) -> std::result::Result<Number, tinyfold_core::Error> {
        wire::number(self.bytes())
    }
}

/// Refuses a name for a chip model that no other command would take for one.
///
/// # Errors
/// A name that does not end in .tfld.
pub fn check_name(path: &Path) -> Result<()> {
    check_ending("--out", path, "tfld")
}

/// Refuses a name that does not end in `ending`; `option` names it in the message.
///
/// # Errors
/// It does not.
pub fn check_ending(option: &str, path: &Path, ending: &str) -> Result<()> {
    if path.extension().is_some_and(|found| found == ending) {
        return Ok(());
    }
    Err(Error::input(option, format!("a file name ending in .{ending}"), path.display().to_string()))
}

/// The sizes of a network.
#[must_use]
pub fn shape_of(network: &Network) -> Shape {
    Shape {
        neurons: network.neurons(),
        rank: network.rank(),
        inputs: network.input.ncols(),
        outputs: network.readout.nrows(),
    }
}

/// The model of a network: every parameter rounded once to T, 1 - alpha computed before rounding.
///
/// # Errors
/// A parameter that is not finite in T, or a size that a model cannot hold.
pub fn export<T: Scalar>(network: &Network) -> Result<ModelBytes> {
    let refused = |error| refused("export", error);
    let shape = shape_of(network);
    let cast = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    let row_major = |matrix: &Mat<f64>| {
        (0..matrix.nrows())
            .flat_map(|i| (0..matrix.ncols()).map(move |j| T::from_f64(matrix[(i, j)])))
            .collect::<Vec<T>>()
    };
    let (w, u, v) = match &network.recurrence {
        Recurrence::Dense(w) => (row_major(w), vec![], vec![]),
        Recurrence::LowRank { u, v } => (vec![], row_major(u), row_major(v)),
    };
    let scaling: Vec<[T; 2]> = network
        .inputs
        .iter()
        .chain(&network.outputs)
        .map(|channel| [T::from_f64(channel.center), T::from_f64(channel.gain)])
        .collect();
    let matrices = Matrices {
        weights: if shape.is_dense() { Weights::Dense(&w) } else { Weights::LowRank { u: &u, v: &v } },
        input: &row_major(&network.input),
        bias: &cast(&network.bias),
        readout: &row_major(&network.readout),
        output_bias: &cast(&network.output_bias),
        scaling: &scaling,
        initial: &cast(&network.initial),
    };
    let settings = Settings {
        form: network.form,
        arithmetic: network.arithmetic,
        variant: network.variant,
        activation: network.activation.cast(),
        alpha: T::from_f64(network.alpha),
        keep: T::from_f64(1.0 - network.alpha),
        nonlinear_decoder: network.nonlinear_decoder,
    };
    let mut words = vec![T::ZERO; shape.parameter_len()];
    pack(&shape, &matrices, &mut words).map_err(refused)?;
    let view = View::from_words(shape, settings, &words).map_err(refused)?;
    let metadata = Metadata::new(&network.inputs, &network.outputs, network.task.as_ref()).to_json();
    let mut bytes = vec![0; wire::length(&shape, T::NUMBER, &metadata)];
    wire::write(&view, &metadata, &mut bytes).map_err(refused)?;
    Ok(ModelBytes::new(&bytes))
}

/// The network that a model holds, its parameters widened to f64.
///
/// # Errors
/// Metadata that is not tinyfold's; `place` names the file in the message.
pub fn import<T: Scalar>(model: &Model<'_, T>, place: &str) -> Result<Network> {
    let view = &model.view;
    let (Shape { neurons: n, rank, inputs, outputs }, settings) = (view.shape(), view.settings());
    let metadata = Metadata::read(model.metadata, place)?;
    let wide = |x: Option<T>| x.expect("an entry inside the shape").to_f64();
    let matrix = |rows: usize, columns: usize, entry: &dyn Fn(usize, usize) -> Option<T>| {
        Mat::from_fn(rows, columns, |i, j| wide(entry(i, j)))
    };
    let recurrence = if rank == 0 {
        Recurrence::Dense(matrix(n, n, &|i, j| view.recurrent(i, j)))
    } else {
        Recurrence::LowRank {
            u: matrix(n, rank, &|i, r| view.u(i, r)),
            v: matrix(n, rank, &|i, r| view.v(i, r)),
        }
    };
    let channels = |named: Vec<Channel>, scaling: &[[T; 2]], field: &str| {
        if named.len() == scaling.len() {
            let scaled = named.into_iter().zip(scaling).map(|(channel, &[center, gain])| Channel {
                center: center.to_f64(),
                gain: gain.to_f64(),
                ..channel
            });
            Ok(scaled.collect::<Vec<Channel>>())
        } else {
            let place = format!("{place}: metadata: {field}");
            Err(Error::input(place, format!("{} channels", scaling.len()), named.len().to_string()))
        }
    };
    Ok(Network {
        form: settings.form,
        alpha: settings.alpha.to_f64(),
        activation: settings.activation.cast(),
        variant: settings.variant,
        arithmetic: settings.arithmetic,
        recurrence,
        input: matrix(n, inputs, &|i, k| view.input(i, k)),
        bias: (0..n).map(|i| wide(view.bias(i))).collect(),
        readout: matrix(outputs, n, &|o, i| view.readout(o, i)),
        output_bias: view.output_bias().iter().map(|c| c.to_f64()).collect(),
        nonlinear_decoder: settings.nonlinear_decoder,
        initial: view.initial().iter().map(|x| x.to_f64()).collect(),
        inputs: channels(metadata.inputs, view.input_scaling(), "inputs")?,
        outputs: channels(metadata.outputs, view.output_scaling(), "outputs")?,
        encoder: None,
        task: metadata.task,
        kept: None,
    })
}

/// The model in `bytes`, checked; `place` names the file in the message.
///
/// # Errors
/// The first thing that is wrong with the bytes.
pub fn read<'a, T: Scalar>(bytes: &'a ModelBytes, place: &str) -> Result<Model<'a, T>> {
    wire::read(bytes.bytes()).map_err(|error| refused(place, error))
}

/// A refusal of core as the host's error.
pub(crate) fn refused(place: &str, error: tinyfold_core::Error) -> Error {
    let text = error.to_string();
    let (_, rest) = text.split_once(": expected ").unwrap_or(("", &text));
    let (expected, found) = rest.split_once(", found ").unwrap_or((rest, ""));
    Error::input(format!("{place}: {}", error.field), expected, found)
}
