//! Named arrays in files: `.safetensors` and `.npz`; f16, f32 and f64 are read, of safetensors bf16 too; f64 is written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::Path;

use faer::Mat;
use ndarray::{ArrayD, ArrayViewD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, NpzWriter, ReadNpyError, ReadNpzError};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, View};

use super::numpy::{Half, Text, half};
use super::{ending, write_atomic};
use crate::{Error, Result};

/// An array of f64 with any number of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

impl Array {
    /// A matrix as an array of two dimensions.
    #[must_use]
    pub fn of_matrix(matrix: &Mat<f64>) -> Self {
        let (rows, columns) = (matrix.nrows(), matrix.ncols());
        let values = (0..rows).flat_map(|i| (0..columns).map(move |j| matrix[(i, j)])).collect();
        Self { shape: vec![rows, columns], values }
    }

    /// A list as an array of one dimension.
    #[must_use]
    pub fn of_slice(values: &[f64]) -> Self {
        Self { shape: vec![values.len()], values: values.to_vec() }
    }
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

/// Writes arrays and one text under `key`; the ending of `path` chooses the format.
///
/// In safetensors the text is an entry of `__metadata__`, in npz an array of bytes.
///
/// # Errors
/// An ending that is neither `.safetensors` nor `.npz`; a number that is not finite (nothing could
/// read it back); a file that cannot be written.
pub fn write(path: &Path, arrays: &BTreeMap<&str, Array>, key: &str, text: &str) -> Result<()> {
    let place = path.display().to_string();
    for (name, array) in arrays {
        finite(&place, name, array)?;
    }
    let refuse = |error: &dyn std::fmt::Display| Error::input(&place, "arrays", error.to_string());
    let bytes = match Format::of(path)? {
        Format::Safetensors => {
            let metadata = HashMap::from([(key.to_owned(), text.to_owned())]);
            safetensors::serialize(arrays.iter().map(|(name, array)| (*name, array)), Some(metadata))
                .map_err(|error| refuse(&error))?
        }
        Format::Npz => {
            let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
            for (name, array) in arrays {
                let view = ArrayViewD::from_shape(IxDyn(&array.shape), &array.values);
                let view = view.map_err(|error| refuse(&error))?;
                archive.add_array(*name, &view).map_err(|error| refuse(&error))?;
            }
            let text = ndarray::ArrayView1::from(text.as_bytes());
            archive.add_array(key, &text).map_err(|error| refuse(&error))?;
            archive.finish().map_err(|error| refuse(&error))?.into_inner()
        }
    };
    write_atomic(path, &bytes)
}

/// A file of arrays, opened; each array is decoded and checked when it is asked for.
pub struct ArrayFile {
    place: String,
    format: Format,
    bytes: Vec<u8>,
    names: Vec<String>,
}

#[derive(Clone, Copy)]
enum Format {
    Safetensors,
    Npz,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "a safetensors file",
            Self::Npz => "an npz archive",
        }
    }

    fn of(path: &Path) -> Result<Self> {
        match ending(path).as_str() {
            ".safetensors" => Ok(Self::Safetensors),
            ".npz" => Ok(Self::Npz),
            other => {
                let place = path.display().to_string();
                Err(Error::input(place, "a file name ending in .safetensors or .npz", other))
            }
        }
    }
}

impl ArrayFile {
    /// Opens a file.
    ///
    /// # Errors
    /// Another ending; a file that cannot be read or is not what its ending says.
    pub fn open(path: &Path) -> Result<Self> {
        let format = Format::of(path)?;
        let bytes = super::read_bytes(path, format.name())?;
        let mut file = Self { place: path.display().to_string(), format, bytes, names: vec![] };
        let mut names = match format {
            Format::Safetensors => file.safetensors()?.names().into_iter().map(str::to_owned).collect(),
            Format::Npz => file.npz()?.names().map_err(|error| file.refuse(&error))?,
        };
        names.sort_unstable();
        file.names = names;
        Ok(file)
    }

    fn refuse(&self, error: &dyn std::fmt::Display) -> Error {
        Error::input(&self.place, self.format.name(), format!("a damaged or different file: {error}"))
    }

    fn safetensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| match error {
            SafeTensorError::MetadataIncompleteBuffer
            | SafeTensorError::HeaderTooSmall
            | SafeTensorError::InvalidHeaderLength => Error::input(
                &self.place,
                "a safetensors file",
                format!("{} bytes, not as many as its header says", self.bytes.len()),
            ),
            other => self.refuse(&other),
        })
    }

    fn npz(&self) -> Result<NpzReader<Cursor<&[u8]>>> {
        NpzReader::new(Cursor::new(self.bytes.as_slice())).map_err(|error| self.refuse(&error))
    }

    /// The file and the name of a part of it, for messages.
    #[must_use]
    pub fn place(&self, part: &str) -> String {
        format!("{}: {part}", self.place)
    }

    /// Names of the arrays, sorted.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is an array `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The text under `key`, if there is one.
    ///
    /// # Errors
    /// A damaged file.
    pub fn text(&self, key: &str) -> Result<Option<String>> {
        Ok(match self.format {
            Format::Safetensors => SafeTensors::read_metadata(&self.bytes)
                .map_err(|error| self.refuse(&error))?
                .1
                .metadata()
                .as_ref()
                .and_then(|map| map.get(key).cloned()),
            Format::Npz if self.has(key) => {
                let text = self.npz_text(key)?;
                let expected = "uint8 (the bytes of a text) or str";
                Some(text.map_err(|error| self.not_an_array(key, &error, expected))?)
            }
            Format::Npz => None,
        })
    }

    /// The text in an array of uint8, str or bytes; several as a list in JSON.
    fn npz_text(&self, key: &str) -> Result<std::result::Result<String, ReadNpzError>> {
        let mut archive = self.npz()?;
        Ok(match archive.by_name::<OwnedRepr<Text>, IxDyn>(key) {
            Ok(texts) => {
                let texts: Vec<String> = texts.into_iter().map(|Text(text)| text).collect();
                match texts.as_slice() {
                    [text] => Ok(text.clone()),
                    several => Ok(serde_json::json!(several).to_string()),
                }
            }
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => archive
                .by_name::<OwnedRepr<u8>, IxDyn>(key)
                .map(|text| String::from_utf8_lossy(&text.into_iter().collect::<Vec<u8>>()).into_owned()),
            Err(other) => Err(other),
        })
    }

    /// As [`ArrayFile::text`], but an array of numbers other than uint8 is no text.
    ///
    /// # Errors
    /// A damaged file.
    pub fn text_if_any(&self, key: &str) -> Result<Option<String>> {
        if matches!(self.format, Format::Npz)
            && self.has(key)
            && let Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) = self.npz_text(key)?
        {
            return Ok(None);
        }
        self.text(key)
    }

    /// The number in the array `name`, if that holds one alone; a f32 as the shortest number that reads as it.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        if let Format::Npz = self.format
            && let Ok(array) = self.npz().ok()?.by_name::<OwnedRepr<i64>, IxDyn>(name)
        {
            return (array.len() == 1).then(|| array.sum() as f64);
        }
        let &[number] = self.array(name).ok()?.values.as_slice() else { return None };
        let single = number as f32;
        if f64::from(single) == number { single.to_string().parse().ok() } else { Some(number) }
    }

    /// The array `name`, widened to f64.
    ///
    /// # Errors
    /// No such array; a number type other than f64, f32, f16 and, in safetensors, bf16; a number that is not finite.
    pub fn array(&self, name: &str) -> Result<Array> {
        if !self.has(name) {
            let found = format!("only {}", list(self.names.iter().map(String::as_str)));
            return Err(Error::input(self.place(&format!("array {name}")), "to be in the file", found));
        }
        let array = match self.format {
            Format::Safetensors => self.safetensors_array(name)?,
            Format::Npz => self.npz_array(name)?,
        };
        finite(&self.place, name, &array)?;
        Ok(array)
    }

    fn safetensors_array(&self, name: &str) -> Result<Array> {
        let file = self.safetensors()?;
        let tensor = file.tensor(name).map_err(|error| self.refuse(&error))?;
        let values = match tensor.dtype() {
            Dtype::F64 => wide(tensor.data(), f64::from_le_bytes),
            Dtype::F32 => wide(tensor.data(), |bytes| f64::from(f32::from_le_bytes(bytes))),
            Dtype::F16 => wide(tensor.data(), |bytes| half(u16::from_le_bytes(bytes))),
            // The upper half of an f32.
            Dtype::BF16 => {
                wide(tensor.data(), |[low, high]| f64::from(f32::from_le_bytes([0, 0, low, high])))
            }
            other => {
                let place = self.place(&format!("array {name}"));
                return Err(Error::input(place, "number type F64, F32, F16 or BF16", format!("{other:?}")));
            }
        };
        Ok(Array { shape: tensor.shape().to_vec(), values })
    }

    fn npz_array(&self, name: &str) -> Result<Array> {
        let mut archive = self.npz()?;
        let other =
            |error: &ReadNpzError| matches!(error, ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_)));
        let mut array: std::result::Result<ArrayD<f64>, _> = archive.by_name::<OwnedRepr<f64>, IxDyn>(name);
        if array.as_ref().is_err_and(other) {
            array = archive.by_name::<OwnedRepr<f32>, IxDyn>(name).map(|array| array.mapv(f64::from));
        }
        if array.as_ref().is_err_and(other) {
            array = archive.by_name::<OwnedRepr<Half>, IxDyn>(name).map(|array| array.map(|&Half(x)| x));
        }
        let array = array.map_err(|error| self.not_an_array(name, &error, "float16, float32 or float64"))?;
        Ok(Array { shape: array.shape().to_vec(), values: array.into_iter().collect() })
    }

    /// Half the distance from 1 to the next number of the type that the array `name` is stored in.
    ///
    /// # Errors
    /// As [`ArrayFile::array`].
    pub fn unit_roundoff(&self, name: &str) -> Result<f64> {
        let bits = match self.format {
            Format::Safetensors => match self.safetensors()?.tensor(name).map(|tensor| tensor.dtype()) {
                Ok(Dtype::BF16) => 8,
                Ok(Dtype::F16) => 11,
                Ok(Dtype::F32) => 24,
                _ => 53,
            },
            Format::Npz => {
                let mut archive = self.npz()?;
                if archive.by_name::<OwnedRepr<f32>, IxDyn>(name).is_ok() {
                    24
                } else if archive.by_name::<OwnedRepr<Half>, IxDyn>(name).is_ok() {
                    11
                } else {
                    53
                }
            }
        };
        Ok(0.5_f64.powi(bits))
    }

    fn not_an_array(&self, name: &str, error: &ReadNpzError, expected: &str) -> Error {
        let place = self.place(&format!("array {name}"));
        match error {
            ReadNpzError::Npy(ReadNpyError::WrongDescriptor(found)) => {
                Error::input(place, format!("number type {expected}"), numpy_type(&found.to_string()))
            }
            other => Error::input(place, "a whole array", other.to_string()),
        }
    }

    /// The array `name` if its shape is `shape`, where 0 stands for any size but 0.
    ///
    /// # Errors
    /// As [`ArrayFile::array`]; another shape.
    pub fn shaped(&self, name: &str, shape: &[usize]) -> Result<Array> {
        let array = self.array(name)?;
        let fits = array.shape.len() == shape.len()
            && array.shape.iter().zip(shape).all(|(&found, &expected)| match expected {
                0 => found > 0,
                _ => found == expected,
            });
        if fits {
            return Ok(array);
        }
        let size = |&size: &usize| if size == 0 { "any".to_owned() } else { size.to_string() };
        let expected = shape.iter().map(size).collect::<Vec<String>>().join(", ");
        let found = array.shape.iter().map(usize::to_string).collect::<Vec<String>>().join(", ");
        let place = self.place(&format!("array {name}"));
        Err(Error::input(place, format!("shape ({expected})"), format!("({found})")))
    }

    /// The matrix `name`, as [`ArrayFile::shaped`].
    ///
    /// # Errors
    /// As [`ArrayFile::shaped`].
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Mat<f64>> {
        let Array { shape, values } = self.shaped(name, &[rows, columns])?;
        Ok(Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j]))
    }

    /// The list `name`, as [`ArrayFile::shaped`].
    ///
    /// # Errors
    /// As [`ArrayFile::shaped`].
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f64>> {
        Ok(self.shaped(name, &[length])?.values)
    }
}

fn wide<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}

fn finite(place: &str, name: &str, array: &Array) -> Result<()> {
    match array.values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(mut entry) => {
            let mut index = vec![0; array.shape.len()];
            let found = array.values[entry].to_string();
            for (index, size) in index.iter_mut().zip(&array.shape).rev() {
                *index = entry % size;
                entry /= size;
            }
            Err(Error::input(format!("{place}: array {name}, entry {index:?}"), "a finite number", found))
        }
    }
}

/// NumPy's `'<i8'` in words, because its digit counts bytes: `int64 (<i8)`.
fn numpy_type(descriptor: &str) -> String {
    let code = descriptor.trim_matches('\'');
    let mut rest = code.trim_start_matches(['<', '>', '=', '|']).chars();
    let kind = rest.next();
    let bits = rest.as_str().parse::<usize>().ok().map(|bytes| 8 * bytes);
    match (kind, bits) {
        (Some('b'), _) => format!("bool ({code})"),
        (Some('O'), _) => format!("object ({code})"),
        (Some('U' | 'S'), _) => format!("text ({code})"),
        (Some('i'), Some(bits)) => format!("int{bits} ({code})"),
        (Some('u'), Some(bits)) => format!("uint{bits} ({code})"),
        (Some('f'), Some(bits)) => format!("float{bits} ({code})"),
        (Some('c'), Some(bits)) => format!("complex{bits} ({code})"),
        _ => code.to_owned(),
    }
}

/// Names in a message: "a, b, c", or "none"; of more than 16 the first ones and how many more there are.
#[must_use]
pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 16;
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".into(),
        1..=MOST => names.join(", "),
        count => format!("{} and {} more", names[..MOST].join(", "), count - MOST),
    }
}
