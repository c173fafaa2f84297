//! npz archives of NumPy.

use std::path::Path;

use super::{ReadOptions, check_dt, find_columns, scaling};
use crate::format::arrays::{Array, ArrayFile};
use crate::network::Channel;
use crate::task::{Dataset, Recording};
use crate::{Error, Result};

/// K recordings of T samples of some channels.
struct Block {
    count: usize,
    steps: usize,
    names: Vec<String>,
    chosen: Vec<usize>,
    values: Vec<f64>,
}

impl Block {
    fn read(file: &ArrayFile, array: &str, letter: char, option: &str, asked: &[String]) -> Result<Self> {
        let Array { shape, values } = file.array(array)?;
        let (count, steps, channels) = match *shape.as_slice() {
            [steps, channels] if !values.is_empty() => (1, steps, channels),
            [count, steps, channels] if !values.is_empty() => (count, steps, channels),
            _ => {
                let expected = "T × channels or K × T × channels, none of them 0";
                let place = file.place(&format!("array {array}"));
                return Err(Error::input(place, expected, format!("shape {shape:?}")));
            }
        };
        let names: Vec<String> = (0..channels).map(|k| format!("{letter}{k}")).collect();
        let chosen = match asked {
            [] => (0..channels).collect(),
            asked => find_columns(&file.place(&format!("array {array}")), option, &names, asked)?,
        };
        Ok(Self { count, steps, names, chosen, values })
    }

    fn channels(&self) -> Vec<Channel> {
        self.chosen.iter().map(|&c| Channel::plain(&self.names[c])).collect()
    }

    /// The chosen channels of recording `k`.
    fn recording(&self, k: usize) -> Vec<f64> {
        let samples = self.values.chunks_exact(self.names.len()).skip(k * self.steps).take(self.steps);
        samples.flat_map(|sample| self.chosen.iter().map(|&c| sample[c])).collect()
    }
}

/// Reads `x`, `y` or `target`, and `dt`; other arrays may be of any type.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    let file = ArrayFile::open(path)?;
    if let Some(option) = [("--time", options.time.is_some()), ("--group", !options.group.is_empty())]
        .into_iter()
        .find_map(|(option, given)| given.then_some(option))
    {
        let expected = "only with a CSV file (npz: array dt, and one recording for each K of x)";
        return Err(Error::input(option, expected, path.display().to_string()));
    }
    let x = Block::read(&file, "x", 'x', "--columns", &options.columns)?;
    let target = match ["y", "target"].into_iter().find(|name| file.has(name)) {
        Some(name) => {
            let y = Block::read(&file, name, 'y', "--targets", &options.targets)?;
            if (y.count, y.steps) != (x.count, x.steps) {
                let expected = format!("{} recordings of {} samples, as x", x.count, x.steps);
                let found = format!("{} of {}", y.count, y.steps);
                return Err(Error::input(file.place(&format!("array {name}")), expected, found));
            }
            Some(y)
        }
        None if options.targets.is_empty() => None,
        None => return Err(Error::input(file.place("--targets"), "an array y or target", "none")),
    };
    let dt = match options.given_dt()? {
        Some(dt) => Some(dt),
        None if file.has("dt") => {
            let Array { shape, values } = file.array("dt")?;
            let &[dt] = values.as_slice() else {
                return Err(Error::input(file.place("array dt"), "one number", format!("shape {shape:?}")));
            };
            Some(check_dt(&file.place("array dt"), dt)?)
        }
        None => None,
    };
    let recordings = (0..x.count)
        .map(|k| Recording {
            name: k.to_string(),
            x: x.recording(k),
            target: target.as_ref().map(|y| y.recording(k)),
        })
        .collect();
    let targets = target.as_ref().map_or(vec![], Block::channels);
    let mut dataset = Dataset { inputs: x.channels(), targets, dt, recordings };
    scaling::apply(&path.display().to_string(), &mut dataset, options)?;
    Ok(dataset)
}
