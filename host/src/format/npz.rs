//! `.npz` archives: f32 and f64 arrays in, f64 arrays out.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use ndarray_npy::{NpzReader, NpzWriter, ReadNpzError};

use super::network::Array;
use crate::{Error, Result};

/// Name of the byte array that holds tinyfold's JSON text.
const HEADER: &str = "tinyfold";

/// The bytes of an archive of `arrays` and a JSON text; `path` only names it in messages.
///
/// # Errors
/// An array whose shape does not match its values.
pub fn write<'a>(
    path: &Path,
    arrays: impl Iterator<Item = (&'a str, &'a Array)>,
    header: &str,
) -> Result<Vec<u8>> {
    let refuse = |error: String| Error::input(path.display().to_string(), "arrays", error);
    let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let view = ArrayViewD::from_shape(IxDyn(&array.shape), &array.values)
            .map_err(|error| refuse(error.to_string()))?;
        writer.add_array(name, &view).map_err(|error| refuse(error.to_string()))?;
    }
    let header = ArrayViewD::from_shape(IxDyn(&[header.len()]), header.as_bytes())
        .map_err(|error| refuse(error.to_string()))?;
    writer.add_array(HEADER, &header).map_err(|error| refuse(error.to_string()))?;
    Ok(writer.finish().map_err(|error| refuse(error.to_string()))?.into_inner())
}

/// All arrays of an archive, and tinyfold's JSON text when there is one.
///
/// # Errors
/// Not an archive; an array that is neither f32 nor f64: the message names it and its type.
pub fn read(path: &Path, bytes: &[u8]) -> Result<(BTreeMap<String, Array>, Option<String>)> {
    let refuse = |error: &dyn std::fmt::Display| {
        Error::input(path.display().to_string(), "an npz archive", error.to_string())
    };
    let mut reader = NpzReader::new(Cursor::new(bytes)).map_err(|error| refuse(&error))?;
    let names = reader.names().map_err(|error| refuse(&error))?;
    let (mut arrays, mut header) = (BTreeMap::new(), None);
    for file in names {
        let name = file.strip_suffix(".npy").unwrap_or(&file).to_owned();
        if name == HEADER
            && let Ok(text) = reader.by_name::<ndarray::OwnedRepr<u8>, IxDyn>(&file)
        {
            header = Some(String::from_utf8_lossy(text.as_slice().unwrap_or_default()).into_owned());
            continue;
        }
        let array = match reader.by_name::<ndarray::OwnedRepr<f64>, IxDyn>(&file) {
            Ok(array) => array,
            Err(ReadNpzError::Npy(ndarray_npy::ReadNpyError::WrongDescriptor(found))) => {
                let narrow: std::result::Result<ArrayD<f32>, _> = reader.by_name(&file);
                let Ok(array) = narrow else {
                    let place = format!("{}: array {name}", path.display());
                    let found = found.to_string();
                    return Err(Error::input(place, "number type f4 or f8", found.trim_matches('\'')));
                };
                array.mapv(f64::from)
            }
            Err(error) => {
                return Err(Error::input(
                    format!("{}: array {name}", path.display()),
                    "an array",
                    error.to_string(),
                ));
            }
        };
        let shape = array.shape().to_vec();
        arrays.insert(name, Array { shape, values: array.iter().copied().collect() });
    }
    Ok((arrays, header))
}
