//! The arrays of a file by our names.

use std::iter::zip;

use faer::Mat;
use serde_json::Value;

use super::{OURS, Reader, text};
use crate::format::arrays::{Array, list};
use crate::{Error, Result};

impl Reader {
    /// Their name of an array of ours, with who says so.
    pub(super) fn name(&self, ours: &str) -> Result<Option<(String, String)>> {
        let known = |place: &str, name: &str| {
            let right = OURS.contains(&name);
            crate::error::require(right, place, format!("one of ours: {}", OURS.join(", ")), name)
        };
        for name in self.given.map.values() {
            known("--map THEIRS=OURS", name)?;
        }
        if let Some((theirs, _)) = self.given.map.iter().find(|(_, name)| *name == ours) {
            return Ok(Some((theirs.clone(), "option --map".into())));
        }
        if let Some((place, Value::Object(map))) = self.said("map") {
            for name in map.values() {
                known(&place, &text(name))?;
            }
            if let Some((theirs, _)) = map.iter().find(|(_, name)| text(name) == ours) {
                return Ok(Some((theirs.clone(), place)));
            }
        }
        let has = |name: &str| self.file.has(name);
        let bias_is_b = has("b") || self.given.map.values().any(|name| name == "b");
        let usual: &[&str] = match ours {
            "W" => &["W", "J"],
            "B" => &["B", "Win"],
            "b" if has("b") => &["b"],
            "b" => &["c"],
            "C" => &["C", "Wout"],
            "c" if bias_is_b && !has("bout") => &["c"],
            "c" => &["bout"],
            "initial" => &["initial", "x0", "h0"],
            same => std::slice::from_ref(OURS.iter().find(|name| **name == same).expect("one of ours")),
        };
        let taken = |name: &str| self.given.map.contains_key(name);
        let found = usual.iter().find(|name| has(name) && !taken(name));
        Ok(found.map(|name| ((*name).to_owned(), "a usual name".to_owned())))
    }

    /// The array of ours, transposed if its name says so.
    pub(super) fn array(&mut self, ours: &str) -> Result<Option<(String, Array)>> {
        let Some((theirs, source)) = self.name(ours)? else { return Ok(None) };
        let array = match theirs.strip_suffix(".T") {
            Some(name) if !self.file.has(&theirs) => transposed(&self.file.array(name)?),
            _ => self.file.array(&theirs)?,
        };
        self.note(ours, theirs.as_str(), source);
        Ok(Some((theirs, array)))
    }

    pub(super) fn required(&mut self, ours: &str, what: &str) -> Result<(String, Array)> {
        let found = self.array(ours)?;
        found.ok_or_else(|| {
            let names = list(self.file.names().iter().map(String::as_str));
            let expected = format!("{what}: --map NAME={ours}, or `map` in a JSON file beside it");
            Error::input(self.file.place(&format!("array {ours}")), expected, format!("arrays {names}"))
        })
    }

    pub(super) fn matrix(
        &self,
        ours: &str,
        (theirs, array): (String, Array),
        shape: [usize; 2],
    ) -> Result<Mat<f64>> {
        let fits = |found: &[usize]| {
            found.len() == 2 && zip(found, shape).all(|(&f, s)| f > 0 && (s == 0 || f == s))
        };
        if fits(&array.shape) {
            return Ok(Mat::from_fn(array.shape[0], array.shape[1], |i, j| {
                array.values[i * array.shape[1] + j]
            }));
        }
        let mut found = format!("{:?}", array.shape);
        if array.shape.len() == 2 && fits(&[array.shape[1], array.shape[0]]) {
            found += &format!(", which is transposed: --map {theirs}.T={ours}");
        }
        let size = |size: usize| if size == 0 { "any".into() } else { size.to_string() };
        let expected = format!("shape [{}, {}] as {ours}", size(shape[0]), size(shape[1]));
        Err(Error::input(self.file.place(&format!("array {theirs}")), expected, found))
    }

    pub(super) fn vector(&mut self, ours: &str, length: usize) -> Result<Option<Vec<f64>>> {
        let Some((theirs, array)) = self.array(ours)? else { return Ok(None) };
        // A column or a row is a list all the same.
        if array.values.len() == length && array.shape.iter().filter(|&&size| size != 1).count() <= 1 {
            return Ok(Some(array.values));
        }
        let place = self.file.place(&format!("array {theirs}"));
        Err(Error::input(place, format!("shape [{length}] as {ours}"), format!("{:?}", array.shape)))
    }
}

fn transposed(array: &Array) -> Array {
    let &[rows, columns] = array.shape.as_slice() else { return array.clone() };
    let values = (0..columns).flat_map(|j| (0..rows).map(move |i| array.values[i * columns + j])).collect();
    Array { shape: vec![columns, rows], values }
}
