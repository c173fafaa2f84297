//! A run that was interrupted goes on to the same bits.
//!
//! A snapshot holds all that an update changes: parameters, memory of the optimiser, places in the streams of
//! random numbers, the best network so far and the metrics. As a file it is safetensors whose numbers are those of
//! training (f32 widened to f64 without loss) and whose metadata is one JSON text.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::parameters::{Parameters, Real};
use super::{Metrics, Session, Settings, cast};
use crate::format::arrays::{self, Array, ArrayFile};
use crate::{Error, Result};

/// Version of the file; rises when the meaning of a field or array changes.
const VERSION: u32 = 2;
const KEY: &str = "tinyfold_run";

/// What a snapshot says besides its arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    version: u32,
    /// Settings of the run.
    pub settings: Settings,
    /// [`Dataset::hash`](crate::task::Dataset::hash) of the recording, if there is one.
    recording: Option<u64>,
    /// Updates done.
    pub step: usize,
    /// Updates of the optimiser.
    updates: i32,
    /// Words drawn from every part's stream.
    drawn: Vec<u64>,
    /// Metrics of the best network.
    pub best: Option<Metrics>,
    /// One entry an interval.
    pub history: Vec<Metrics>,
}

/// All that a run is at some update.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What is said besides arrays.
    pub header: Header,
    arrays: BTreeMap<String, Array>,
}

/// Names of the groups of matrices: the k-th matrix of one is `parameters.k`, for example.
const GROUPS: [&str; 4] = ["parameters", "first", "second", "best"];

impl Snapshot {
    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// A number that is not finite, a file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = serde_json::to_string(&self.header).expect("plain data becomes JSON");
        let arrays = self.arrays.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
        arrays::write(path, &arrays, KEY, &header)
    }

    /// Reads a file that [`Snapshot::save`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, of another version or of something else.
    pub fn load(path: &Path) -> Result<Self> {
        let file = ArrayFile::open(path)?;
        let refuse = |found: String| Error::input(file.place("metadata"), "a run of tinyfold train", found);
        let text = file.text(KEY)?.ok_or_else(|| refuse("none".into()))?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        if value["version"] != VERSION {
            let found = value["version"].to_string();
            return Err(Error::input(file.place("version"), VERSION.to_string(), found));
        }
        let header = serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
        let names = file.names().iter().filter(|name| *name != KEY);
        let arrays = names.map(|name| Ok((name.clone(), file.array(name)?))).collect::<Result<_>>()?;
        Ok(Self { header, arrays })
    }

    fn matrices_into<T: Real>(&self, group: &str, parameters: &mut Parameters<T>) -> Result<()> {
        for (k, matrix) in parameters.matrices_mut().into_iter().enumerate() {
            let name = format!("{group}.{k}");
            let expected = format!("shape ({}, {})", matrix.nrows(), matrix.ncols());
            let array = self.arrays.get(&name);
            let shape = array.map_or(Vec::new(), |array| array.shape.clone());
            let Some(array) = array.filter(|_| shape == [matrix.nrows(), matrix.ncols()]) else {
                return Err(Error::input(format!("snapshot: array {name}"), expected, format!("{shape:?}")));
            };
            let columns = matrix.ncols();
            for j in 0..columns {
                for (i, entry) in matrix.col_as_slice_mut(j).iter_mut().enumerate() {
                    *entry = T::from_f64(array.values[i * columns + j]);
                }
            }
        }
        Ok(())
    }
}

impl<T: Real> Session<'_, T> {
    /// The run as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let (first, second, updates) = self.optimiser.memory();
        let best = self.best.as_ref().map(|(_, parameters)| parameters);
        let groups = GROUPS.iter().zip([Some(&self.parameters), Some(first), Some(second), best]);
        let arrays = groups
            .filter_map(|(group, parameters)| Some((group, parameters?)))
            .flat_map(|(group, parameters)| {
                let matrices = parameters.matrices().into_iter().enumerate();
                matrices.map(move |(k, matrix)| (format!("{group}.{k}"), Array::of_matrix(&cast(matrix))))
            })
            .collect();
        let header = Header {
            version: VERSION,
            settings: self.settings.clone(),
            recording: self.recording,
            step: self.step,
            updates,
            drawn: self.parts.iter().map(|(part, _)| part.rng.get_word_pos() as u64).collect(),
            best: self.best.as_ref().map(|(metrics, _)| *metrics),
            history: self.history.clone(),
        };
        Snapshot { header, arrays }
    }

    /// Goes back to where the snapshot was taken.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let header = &snapshot.header;
        if header.recording != self.recording {
            const EXPECTED: &str =
                "that which the run began with: the same --input and options of reading it";
            let found = if self.recording.is_none() { "none" } else { "another one" };
            return Err(Error::input("recording", EXPECTED, found));
        }
        if header.drawn.len() != self.parts.len() {
            let expected = format!("{} streams of random numbers", self.parts.len());
            return Err(Error::input("snapshot", expected, header.drawn.len().to_string()));
        }
        let [parameters, first, second, best] = GROUPS;
        snapshot.matrices_into(parameters, &mut self.parameters)?;
        let (mut m, mut v) = (self.parameters.clone(), self.parameters.clone());
        snapshot.matrices_into(first, &mut m)?;
        snapshot.matrices_into(second, &mut v)?;
        self.optimiser.set_memory(m, v, header.updates);
        self.best = match header.best {
            None => None,
            Some(metrics) => {
                let mut parameters = self.parameters.clone();
                snapshot.matrices_into(best, &mut parameters)?;
                Some((metrics, parameters))
            }
        };
        for ((part, _), &drawn) in self.parts.iter_mut().zip(&header.drawn) {
            part.rng.set_word_pos(drawn.into());
        }
        self.step = header.step;
        self.history.clone_from(&header.history);
        Ok(())
    }
}
