//! Recorded trajectories from files of arrays.

use std::path::Path;

use faer::Mat;
use ndarray::ArrayD;
use ndarray_npy::{ReadNpyError, ReadNpyExt};

use super::arrays::{Array, ArrayFile, list};
use super::ending;
use crate::error::require;
use crate::{Error, Result};

/// Reads trajectories, n × times each.
///
/// path: `.npy`, `.npz` or `.safetensors` of f32 or f64. An array of times × n is one trajectory, one of trials × times × n
/// as many as there are trials; of a file of several arrays that called `name`, else all of them.
///
/// # Errors
/// A file that cannot be read; an array of another number of dimensions; numbers that are not finite; no trajectory.
pub fn read(path: &Path, name: Option<&str>) -> Result<Vec<Mat<f64>>> {
    let place = path.display().to_string();
    let mut trajectories = Vec::new();
    if ending(path) == ".npy" {
        require(name.is_none(), "--array", "a file with names: .npz or .safetensors", &place)?;
        add(&mut trajectories, &npy(path, &place)?, &place)?;
    } else {
        let file = ArrayFile::open(path)?;
        let all = || list(file.names().iter().map(String::as_str));
        if let Some(name) = name.filter(|name| !file.has(name)) {
            return Err(Error::input("--array", format!("one of {}", all()), name));
        }
        for known in file.names().iter().filter(|known| name.is_none_or(|name| name == *known)) {
            add(&mut trajectories, &file.array(known)?, &file.place(&format!("array {known}")))?;
        }
    }
    require(!trajectories.is_empty(), &place, "at least one trajectory", "none")?;
    let n = trajectories[0].nrows();
    let other = trajectories.iter().map(Mat::nrows).find(|&width| width != n);
    require(other.is_none(), &place, format!("{n} numbers a time in all arrays"), other.unwrap_or(n))?;
    Ok(trajectories)
}

fn npy(path: &Path, place: &str) -> Result<Array> {
    let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
    let refuse =
        |error: ReadNpyError| Error::input(place, "a .npy file of float32 or float64", error.to_string());
    let array: ArrayD<f64> = match ArrayD::<f64>::read_npy(&bytes[..]) {
        Err(ReadNpyError::WrongDescriptor(_)) => {
            ArrayD::<f32>::read_npy(&bytes[..]).map_err(refuse)?.mapv(f64::from)
        }
        other => other.map_err(refuse)?,
    };
    Ok(Array { shape: array.shape().to_vec(), values: array.into_iter().collect() })
}

fn add(trajectories: &mut Vec<Mat<f64>>, array: &Array, place: &str) -> Result<()> {
    let ([times, n] | [_, times, n]) = array.shape[..] else {
        let found = format!("{} dimensions", array.shape.len());
        return Err(Error::input(place, "times × n, or trials × times × n", found));
    };
    require(times > 0 && n > 0, place, "at least one time and one number", format!("{:?}", array.shape))?;
    require(array.values.iter().all(|x| x.is_finite()), place, "finite numbers", "one that is not")?;
    let one = |values: &[f64]| Mat::from_fn(n, times, |i, t| values[t * n + i]);
    trajectories.extend(array.values.chunks_exact(times * n).map(one));
    Ok(())
}
