//! From the file of a sweep to its runs; everything wrong is refused here, before anything starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::settings::{Seeds, Sweep};
use crate::error::require;
use crate::format::hash;
use crate::format::settings::{from_table, located, parse};
use crate::task::Dataset;
use crate::train::Settings;
use crate::{Error, Result};

/// The most runs of a sweep.
const MOST: usize = 1 << 20;

/// A setting that is swept.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Name, with dots.
    pub name: String,
    /// Values, in the order of the file.
    pub values: Vec<Value>,
}

/// One training run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Place among the runs, from 0.
    pub index: usize,
    /// Place of its combination of values.
    pub combination: usize,
    /// Name of its folder: index, swept values, seed, hash of all settings.
    pub name: String,
    /// Its settings.
    pub settings: Settings,
}

/// The runs of a sweep.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file.
    pub sweep: Sweep,
    /// The swept settings, in the order of the file.
    pub axes: Vec<Axis>,
    /// Values of every combination, one a swept setting; the last setting changes first.
    pub combinations: Vec<Vec<Value>>,
    /// The runs: the seeds of a combination after each other.
    pub runs: Vec<Run>,
    data: Option<Dataset>,
}

impl Plan {
    /// Reads the file of a sweep.
    ///
    /// # Errors
    /// As [`Plan::parse`], and a file that cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The runs of a sweep; `place` names the file in messages.
    ///
    /// # Errors
    /// Text that is not TOML of a sweep, a name in `[grid]` that is no setting, a value of another type or out
    /// of range in any combination, no value, a value twice: the message names file, line and setting. A
    /// recording that cannot be read.
    ///
    /// ```
    /// use tinyfold::sweep::plan::Plan;
    /// let plan = Plan::parse("seeds = 2\n[grid]\nneurons = [16, 32]\nrank = [0, 2, 4]\n", "sweep.toml")?;
    /// assert_eq!((plan.combinations.len(), plan.runs.len()), (6, 12));
    /// assert!(plan.runs[3].name.starts_with("0003-neurons=16-rank=2-seed=1-"));
    /// # Ok::<(), tinyfold::Error>(())
    /// ```
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let mut sweep: Sweep = parse(text, place)?;
        let file: Table = parse(text, place)?;
        let mut said = file.get("base").and_then(Value::as_table).cloned().unwrap_or_default();
        sweep.base = sweep.base.completed(|| Ok(said.clone()), place)?;
        let base = Table::try_from(&sweep.base).expect("settings are a table");
        let poll = sweep.slurm.poll;
        require(poll >= 0.0 && poll.is_finite(), "poll", "0 or a positive number of seconds", poll)
            .map_err(|error| located(error, text, place))?;
        let mut axes = Vec::new();
        let line = |at: usize| format!("{place}:{}", text[..at].matches('\n').count() + 1);
        for (name, (at, values)) in leaves(text) {
            let values = axis(&name, &sweep.grid, values, &|at| line(at), &base, at)?;
            if let Some((first, _)) = name.split_once('.')
                && let Some(whole) = base.get(first)
            {
                // What is swept inside a setting leaves the rest of it as it is.
                said.insert(first.into(), whole.clone());
            }
            axes.push((at, Axis { name, values }));
        }
        axes.sort_by_key(|&(at, _)| at);
        let axes: Vec<Axis> = axes.into_iter().map(|(_, axis)| axis).collect();
        if let Seeds::Count(count) = sweep.seeds {
            require(count <= MOST as u64, &format!("{place}: seeds"), format!("at most {MOST}"), count)?;
        }
        let seeds = sweep.seeds.all(sweep.base.seed);
        let once = seeds.iter().collect::<BTreeSet<&u64>>().len() == seeds.len();
        if seeds.is_empty() || !once {
            let found = if once { "none" } else { "one of them twice" };
            return Err(Error::input(format!("{place}: seeds"), "at least one, each once", found));
        }
        let runs = axes.iter().try_fold(seeds.len(), |runs, axis| runs.checked_mul(axis.values.len()));
        if runs.is_none_or(|runs| runs > MOST) {
            let found = runs.map_or("more than can be counted".into(), |runs| runs.to_string());
            return Err(Error::input(format!("{place}: runs"), format!("at most {MOST}"), found));
        }
        let data = sweep.recording.as_ref().map(super::settings::Recording::load).transpose()?;
        let combinations = product(&axes);
        let mut plan = Self { sweep, axes, combinations, runs: Vec::new(), data };
        for combination in 0..plan.combinations.len() {
            let values = &plan.combinations[combination];
            // Defaults are those of the task and the method that the combination has.
            let mut table = said.clone();
            for (axis, value) in plan.axes.iter().zip(values) {
                put(&mut table, &axis.name, value.clone());
            }
            let label = plan.label(combination);
            let here = if label.is_empty() { place.to_owned() } else { format!("{place}: {label}") };
            let settings: Settings = from_table(table.clone(), &here)?;
            let settings = settings.completed(|| Ok(table), &here)?;
            let check = |settings: &Settings| {
                plan.data_for(settings).and_then(|data| settings.check(data.as_ref())).map(drop)
            };
            check(&settings).map_err(|error| match check(&plan.sweep.base) {
                Ok(()) => error.within(&here),
                Err(_) => located(error, text, place),
            })?;
            for &seed in &seeds {
                let expected = format!("from 0 to {}", i64::MAX);
                require(i64::try_from(seed).is_ok(), &format!("{place}: seeds"), expected, seed)?;
                let settings = Settings { seed, ..settings.clone() };
                let index = plan.runs.len();
                let name = name(index, &plan.axes, &plan.combinations[combination], &settings);
                plan.runs.push(Run { index, combination, name, settings });
            }
        }
        Ok(plan)
    }

    /// The recording for a run, if the sweep has one.
    ///
    /// # Errors
    /// More channels than it has inputs.
    pub fn data_for(&self, settings: &Settings) -> Result<Option<Dataset>> {
        let data = self.data.as_ref();
        data.map(|data| data.first_inputs(settings.task.trials().inputs().len())).transpose()
    }

    /// The values of a combination, in words.
    #[must_use]
    pub fn label(&self, combination: usize) -> String {
        let values = self.axes.iter().zip(&self.combinations[combination]);
        values.map(|(axis, value)| format!("{} = {}", axis.name, show(value))).collect::<Vec<_>>().join(", ")
    }

    /// What another sweep has otherwise, one sentence each: only what changes results.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let facts = |plan: &Self| {
            let mut facts = BTreeMap::new();
            flatten("base", &Value::try_from(&plan.sweep.base).expect("plain data"), &mut facts);
            let recording = plan.sweep.recording.as_ref();
            facts.insert("recording".into(), recording.map_or("none".into(), |r| format!("{r:?}")));
            facts.insert("seeds".into(), format!("{:?}", plan.sweep.seeds.all(plan.sweep.base.seed)));
            let order: Vec<&str> = plan.axes.iter().map(|axis| axis.name.as_str()).collect();
            facts.insert("grid".into(), order.join(", "));
            for axis in &plan.axes {
                facts.insert(format!("grid.{}", axis.name), Value::from(axis.values.clone()).to_string());
            }
            facts
        };
        differ(&facts(self), &facts(other))
    }
}

/// What settings differ in, one sentence each.
#[must_use]
pub fn differences(here: &Settings, there: &Settings) -> Vec<String> {
    let facts = |settings: &Settings| {
        let mut facts = BTreeMap::new();
        flatten("", &Value::try_from(settings).expect("plain data"), &mut facts);
        facts
    };
    differ(&facts(here), &facts(there))
}

fn differ(here: &BTreeMap<String, String>, there: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
    let value = |facts: &BTreeMap<String, String>, name: &String| {
        facts.get(name).map_or("nothing".into(), String::clone)
    };
    let changed = names.into_iter().filter(|&name| here.get(name) != there.get(name));
    changed.map(|name| format!("{name} = {} (here {})", value(there, name), value(here, name))).collect()
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let Value::Table(table) = value else {
        into.insert(name.into(), value.to_string());
        return;
    };
    for (key, value) in table {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        flatten(&name, value, into);
    }
}

/// A value as a table of results shows it.
#[must_use]
pub fn show(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every name of `[grid]` with its dots: place in the text, places of its values.
fn leaves(text: &str) -> BTreeMap<String, (usize, Option<Vec<usize>>)> {
    fn walk(prefix: &str, table: &DeTable<'_>, into: &mut BTreeMap<String, (usize, Option<Vec<usize>>)>) {
        for (key, value) in table {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(table) => walk(&name, table, into),
                DeValue::Array(values) => {
                    let places =
                        values.iter().map(|value: &Spanned<DeValue<'_>>| value.span().start).collect();
                    into.insert(name, (key.span().start, Some(places)));
                }
                _ => {
                    into.insert(name, (key.span().start, None));
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    if let Ok(file) = DeTable::parse(text)
        && let Some(DeValue::Table(grid)) = file.get_ref().get("grid").map(Spanned::get_ref)
    {
        walk("", grid, &mut found);
    }
    found
}

/// The values of one name of `[grid]`, each of which the settings must take.
fn axis(
    name: &str,
    grid: &Table,
    places: Option<Vec<usize>>,
    line: &dyn Fn(usize) -> String,
    base: &Table,
    at: usize,
) -> Result<Vec<Value>> {
    let place = || format!("{}: grid.{name}", line(at));
    if name == "seed" {
        return Err(Error::input(place(), "seeds = ... at the top of the file", "seed"));
    }
    let value = find(grid, name);
    let (Some(Value::Array(values)), Some(places)) = (value, places) else {
        let found = value.map_or("nothing".into(), Value::to_string);
        return Err(Error::input(place(), "a list of values", found));
    };
    if values.is_empty() {
        return Err(Error::input(place(), "at least one value", "[]"));
    }
    for (k, value) in values.iter().enumerate() {
        if values[..k].contains(value) {
            return Err(Error::input(place(), "every value once", format!("{value} twice")));
        }
        let mut table = base.clone();
        put(&mut table, name, value.clone());
        from_table::<Settings>(table, &format!("{}: grid.{name}", line(places[k])))?;
    }
    Ok(values.clone())
}

/// The value at a dotted name, also when the file has the dotted name in quotes.
fn find<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    table.get(name).or_else(|| {
        let mut splits = name.match_indices('.');
        splits.find_map(|(at, _)| find(table.get(&name[..at])?.as_table()?, &name[at + 1..]))
    })
}

/// Sets the value at a dotted name; what stands in its way is replaced by tables.
fn put(table: &mut Table, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        table.insert(name.into(), value);
        return;
    };
    let inner = table.entry(first).or_insert_with(|| Table::new().into());
    if !inner.is_table() {
        *inner = Table::new().into();
    }
    if let Value::Table(inner) = inner {
        put(inner, rest, value);
    }
}

fn product(axes: &[Axis]) -> Vec<Vec<Value>> {
    axes.iter().fold(vec![Vec::new()], |combinations, axis| {
        let longer = |values: &Vec<Value>| {
            let values = values.clone();
            axis.values.iter().map(move |value| [values.as_slice(), std::slice::from_ref(value)].concat())
        };
        combinations.iter().flat_map(longer).collect()
    })
}

/// Most letters of the values in a folder's name.
const READABLE: usize = 80;

fn name(index: usize, axes: &[Axis], values: &[Value], settings: &Settings) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || ".=".contains(letter) { letter } else { '_' };
    let pairs = axes.iter().zip(values).map(|(axis, value)| {
        let last = axis.name.rsplit('.').next().unwrap_or(&axis.name);
        format!("{last}={}", show(value)).chars().map(plain).collect::<String>() + "-"
    });
    let readable: String = pairs.collect::<String>().chars().take(READABLE).collect();
    let text = serde_json::to_string(settings).expect("plain data becomes JSON");
    format!(
        "{index:04}-{}-seed={}-{:08x}",
        readable.trim_end_matches('-'),
        settings.seed,
        hash(text.bytes()) as u32
    )
    .replace("--", "-")
}
