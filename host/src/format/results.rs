//! Results as arrays for other programs: `.npz`, which `numpy.load` reads.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use faer::{Mat, c64};
use ndarray::{ArrayView1, ArrayViewD, IxDyn};
use ndarray_npy::{NpzWriter, WritableElement, WriteNpzError};
use serde::{Deserialize, Serialize};

use super::arrays::ArrayFile;
use super::write_atomic;
use crate::{Error, Result};

/// The array of bytes that tells, in JSON, what the others are.
pub const ABOUT: &str = "about";

/// What a file of results holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Version of this description.
    pub schema: u32,
    /// The command that wrote it.
    pub command: String,
    /// Whether all that was asked for is here; not after Ctrl-C.
    pub complete: bool,
    /// Names of what has a name: inputs, outputs, kinds. A number k in an array stands for the k-th from 0.
    pub names: BTreeMap<String, Vec<String>>,
    /// The arrays, in the order they were added.
    pub arrays: Vec<Told>,
}

/// What an array is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// What each of its axes counts, outermost first.
    pub axes: Vec<String>,
    /// Their lengths.
    pub shape: Vec<usize>,
    /// Number type, as NumPy calls it.
    pub number: String,
    /// Unit; "-" without one. States, inputs and outputs have the network's own, "network units".
    pub unit: String,
    /// What it is.
    pub meaning: String,
}

/// Numbers of an array, row-major. What is not known is NaN, of whole numbers -1.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// float64.
    Real(Vec<f64>),
    /// complex128.
    Complex(Vec<c64>),
    /// int64.
    Whole(Vec<i64>),
    /// bool.
    Flags(Vec<bool>),
}

impl Numbers {
    const fn name(&self) -> &'static str {
        match self {
            Self::Real(_) => "float64",
            Self::Complex(_) => "complex128",
            Self::Whole(_) => "int64",
            Self::Flags(_) => "bool",
        }
    }
}

impl FromIterator<f64> for Numbers {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self::Real(values.into_iter().collect())
    }
}

impl FromIterator<c64> for Numbers {
    fn from_iter<I: IntoIterator<Item = c64>>(values: I) -> Self {
        Self::Complex(values.into_iter().collect())
    }
}

impl FromIterator<usize> for Numbers {
    fn from_iter<I: IntoIterator<Item = usize>>(values: I) -> Self {
        Self::Whole(values.into_iter().map(|k| k as i64).collect())
    }
}

impl FromIterator<i64> for Numbers {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Self {
        Self::Whole(values.into_iter().collect())
    }
}

impl FromIterator<bool> for Numbers {
    fn from_iter<I: IntoIterator<Item = bool>>(values: I) -> Self {
        Self::Flags(values.into_iter().collect())
    }
}

/// All numbers of a matrix, row by row.
pub fn rows<T: Copy>(matrix: &Mat<T>) -> impl Iterator<Item = T> {
    (0..matrix.nrows()).flat_map(move |i| (0..matrix.ncols()).map(move |j| matrix[(i, j)]))
}

/// A result as arrays.
///
/// ```
/// use tinyfold::format::results::{About, Results};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("points.npz");
/// let mut results = Results::new("example", true);
/// results.add("q", &[("point", 2)], "-", "half the squared speed", [0.0, 0.5].into_iter().collect());
/// results.write(&path)?;
/// let about = About::of(&path)?.expect("a file of results");
/// assert_eq!((about.arrays[0].name.as_str(), &about.arrays[0].shape[..]), ("q", &[2][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Results {
    about: About,
    arrays: Vec<Numbers>,
    prefix: String,
}

impl Results {
    /// No arrays yet, of a command.
    #[must_use]
    pub fn new(command: &str, complete: bool) -> Self {
        let about = About {
            schema: 1,
            command: command.into(),
            complete,
            names: BTreeMap::new(),
            arrays: Vec::new(),
        };
        Self { about, arrays: Vec::new(), prefix: String::new() }
    }

    /// Puts `name` and a point before the names of all arrays that are added by `of`.
    pub fn under(&mut self, name: &str, of: impl FnOnce(&mut Self)) {
        let before = self.prefix.clone();
        self.prefix += &format!("{name}.");
        of(self);
        self.prefix = before;
    }

    /// Adds names, of what `what` says.
    pub fn names<'a>(&mut self, what: &str, names: impl IntoIterator<Item = &'a str>) {
        self.about.names.insert(what.into(), names.into_iter().map(str::to_owned).collect());
    }

    /// Adds an array.
    ///
    /// axes: what each axis counts, and its length, outermost first; their product is the number of numbers.
    pub fn add(&mut self, name: &str, axes: &[(&str, usize)], unit: &str, meaning: &str, numbers: Numbers) {
        self.about.arrays.push(Told {
            name: format!("{}{name}", self.prefix),
            axes: axes.iter().map(|axis| axis.0.to_owned()).collect(),
            shape: axes.iter().map(|axis| axis.1).collect(),
            number: numbers.name().into(),
            unit: unit.into(),
            meaning: meaning.into(),
        });
        self.arrays.push(numbers);
    }

    /// What is in it.
    #[must_use]
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Writes all of it to a `.npz` file, which is the old one or the whole new one at any time.
    ///
    /// # Errors
    /// Two arrays of one name, or one of another size than its axes; a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let place = path.display().to_string();
        let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
        for (told, numbers) in std::iter::zip(&self.about.arrays, &self.arrays) {
            let added = match numbers {
                Numbers::Real(values) => add(&mut archive, told, values),
                Numbers::Complex(values) => add(&mut archive, told, values),
                Numbers::Whole(values) => add(&mut archive, told, values),
                Numbers::Flags(values) => add(&mut archive, told, values),
            };
            added
                .map_err(|found| Error::input(format!("{place}: array {}", told.name), "an array", found))?;
        }
        let text = serde_json::to_string(&self.about).expect("plain data becomes JSON");
        let refuse = |error: WriteNpzError| Error::input(&place, "arrays", error.to_string());
        archive.add_array(ABOUT, &ArrayView1::from(text.as_bytes())).map_err(refuse)?;
        write_atomic(path, &archive.finish().map_err(refuse)?.into_inner())
    }
}

fn add<T: WritableElement>(
    archive: &mut NpzWriter<Cursor<Vec<u8>>>,
    told: &Told,
    values: &[T],
) -> std::result::Result<(), String> {
    let view = ArrayViewD::from_shape(IxDyn(&told.shape), values)
        .map_err(|_| format!("{} numbers for the shape {:?}", values.len(), told.shape))?;
    archive.add_array(told.name.as_str(), &view).map_err(|error| error.to_string())
}

impl About {
    /// What a `.npz` file of results says of itself; none if it is another file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        Ok(ArrayFile::open(path)?.text_if_any(ABOUT)?.and_then(|text| serde_json::from_str(&text).ok()))
    }
}
