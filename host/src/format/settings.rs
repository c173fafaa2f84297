//! Settings as TOML: read with the line of what is wrong, written with their documentation.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use crate::{Error, Result};

/// A structure whose fields have their documentation, type and default in one place.
macro_rules! settings {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Every field with the lines of its documentation, in order.
            pub const FIELDS: &[(&str, &[&str])] = &[$((stringify!($field), &[$($doc),+])),*];
        }
    };
}
pub(crate) use settings;

/// Reads TOML; `place` names the file in messages.
///
/// # Errors
/// Text that is not TOML of this structure: file, line, and the known name that an unknown one is nearest to.
pub fn parse<T: DeserializeOwned>(text: &str, place: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let message = error.message();
        let (expected, found) = explain(message).unwrap_or_else(|| {
            let found = text.lines().nth(line - 1).unwrap_or_default().trim();
            (
                format!("settings in TOML ({})", message.lines().collect::<Vec<&str>>().join(" ")),
                found.to_owned(),
            )
        });
        let mistyped = message.starts_with(MISTYPED);
        let key = error.span().filter(|_| mistyped).and_then(|span| key_before(&text[..span.start]));
        let key = key.map_or(String::new(), |key| format!(": {key}"));
        Error::input(format!("{place}:{line}{key}"), expected, found)
    })
}

/// How serde begins to say that a value has another type.
const MISTYPED: &str = "invalid type: ";

/// The key whose value begins after this text, where it stands on the same line.
fn key_before(text: &str) -> Option<&str> {
    let (before, _) = text.lines().last()?.rsplit_once('=')?;
    before.rsplit(['{', ',']).next().map(str::trim)
}

/// As [`parse`], of a table that no single file holds.
///
/// # Errors
/// As [`parse`], without a line.
pub fn from_table<T: DeserializeOwned>(table: toml::Table, place: &str) -> Result<T> {
    table.try_into().map_err(|error: toml::de::Error| {
        let message = error.message();
        let (expected, found) =
            explain(message).unwrap_or_else(|| ("a setting that fits".into(), message.replace('\n', " ")));
        Error::input(place, expected, found)
    })
}

/// What serde says of an unknown field or variant, in our words: expected, found.
fn explain(message: &str) -> Option<(String, String)> {
    // The keys of a variant are refused by toml, all else by serde.
    if let Some(keys) = message.strip_prefix("unexpected keys in table: ") {
        let (found, known) = keys.split_once(", available keys: ")?;
        let found = found.split(", ").next().unwrap_or(found);
        return Some(unknown(found, &known.split(", ").collect::<Vec<&str>>()));
    }
    if let Some((found, expected)) =
        message.strip_prefix(MISTYPED).and_then(|rest| rest.split_once(", expected "))
    {
        let expected = match expected {
            "usize" | "u64" => "a whole number of at least 0",
            "f64" => "a number",
            "a boolean" => "true or false",
            other => other,
        };
        return Some((expected.into(), found.into()));
    }
    let rest =
        ["unknown field `", "unknown variant `"].iter().find_map(|start| message.strip_prefix(start))?;
    let (found, rest) = rest.split_once('`')?;
    Some(unknown(found, &rest.split('`').skip(1).step_by(2).collect::<Vec<&str>>()))
}

/// What is expected, and what is found, with the known name that it is nearest to.
pub(crate) fn unknown(found: &str, known: &[&str]) -> (String, String) {
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min()
        .filter(|(distance, name)| 3 * distance <= name.len().max(3))
        .map_or(String::new(), |(_, name)| format!("; did you mean {name}?"));
    (format!("one of {}", known.join(", ")), format!("{found}{near}"))
}

/// The error with the file `place` of this text, and with the line of the setting where the file has it.
#[must_use]
pub fn located(error: Error, text: &str, place: &str) -> Error {
    let Error::Input { place: field, .. } = &error else { return error };
    // "number of scales" is about scales.
    let name = field.rsplit(' ').next().unwrap_or(field);
    match DeTable::parse(text).ok().and_then(|table| position(table.get_ref(), name)) {
        Some(at) => error.within(&format!("{place}:{}", text[..at].matches('\n').count() + 1)),
        None => error.within(place),
    }
}

/// Where a key is that a dotted name ends with, the outermost one first.
fn position(table: &DeTable<'_>, name: &str) -> Option<usize> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let here = table.iter().find(|(key, _)| key.get_ref() == first).and_then(|(key, value)| {
        let Some(rest) = rest else { return Some(key.span().start) };
        value.get_ref().as_table().and_then(|table| position(table, rest))
    });
    here.or_else(|| {
        table.values().find_map(|value| value.get_ref().as_table().and_then(|table| position(table, name)))
    })
}

/// TOML with the lines of documentation above every field.
///
/// # Panics
/// If a field of `fields` is not one of the structure, or the structure is not a table.
#[must_use]
pub fn documented<T: Serialize>(settings: &T, fields: &[(&str, &[&str])]) -> String {
    let table = toml::Table::try_from(settings).expect("settings are a table");
    let mut text = String::new();
    for (name, lines) in fields {
        for line in *lines {
            text += &format!("#{line}\n");
        }
        // What is not set has no value in TOML.
        text += &table.get(*name).map_or(format!("# {name} =\n"), |value| format!("{name} = {value}\n"));
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use crate::train::Settings;
    use crate::train::settings::{Loss, Schedule};

    #[test]
    fn documented_settings_are_read_back_and_every_field_is_there() {
        let settings = Settings {
            loss: Loss::Proxy,
            schedule: Schedule::Halving { every: 7 },
            overlap: Some(0.25),
            ..Settings::default()
        };
        let text = settings.documented();
        assert_eq!(Settings::parse(&text, "defaults").expect("its own text"), settings);
        let written = serde_json::to_value(&settings).expect("plain data");
        assert_eq!(written.as_object().expect("a table").len(), Settings::FIELDS.len());
        let defaults = Settings::default().documented();
        assert!(defaults.contains("# overlap =\n") && defaults.contains("\nneurons = 64\n"), "{defaults}");
    }

    /// A value out of range has the line of its key, whichever table that is in; none where the file does not say it.
    #[test]
    fn what_is_out_of_range_is_told_with_its_line() {
        let told = |text: &str| {
            let error =
                Settings::parse(text, "run.toml").expect("settings").check(None).expect_err("refused");
            super::located(error, text, "run.toml").to_string()
        };
        for (text, start) in [
            ("rank = 2\nactivation = \"rleu\"", "run.toml:2: activation: expected one of linear, relu, "),
            ("rank = 2\n\n[method.sgd]\nmomentum = 2.0", "run.toml:4: momentum: expected at least 0"),
            ("ablation = { neurons = [70] }\nneurons = 64", "run.toml:1: ablation.neurons: expected neurons"),
            ("schedule.halving.every = 0", "run.toml:1: schedule.halving.every: expected from 1"),
            ("neurons = 8\n[task]\ndecays = [0.9]\nscales = []", "run.toml:4: number of scales: expected 1"),
            (
                "\n[task.ring]\ncue = 60",
                "run.toml: sequence: expected more than the cue of 60 steps, found 50",
            ),
        ] {
            let message = told(text);
            assert!(message.starts_with(start), "{message}");
        }
        assert!(told("activation = \"rleu\"").ends_with("found rleu; did you mean relu?"));
        assert!(
            told("activation = \"clipped\"").ends_with("expected lo,hi of clipped, lo at most hi, found []")
        );
    }

    /// Learning rate and weight decay that are not said are those of the method, as with --sgd.
    #[test]
    fn what_is_not_said_is_that_of_the_method() {
        let read = |text: &str| {
            let settings = Settings::parse(text, "run.toml").expect("settings");
            (settings.learning_rate, settings.weight_decay)
        };
        assert_eq!(read("method = \"adam\""), (0.01, 0.02));
        assert_eq!(read("method = { sgd = { momentum = 0.5 } }"), (1.0, 0.0));
        assert_eq!(read("method = { sgd = { momentum = 0.5 } }\nlearning_rate = 0.2"), (0.2, 0.0));
        assert_eq!(read("method = { sgd = { momentum = 0.0 } }\nweight_decay = 0.1"), (1.0, 0.1));
        assert_eq!(read("task = \"sine\""), (0.003, 0.0));
        assert_eq!(read("task = \"sine\"\nmethod = { sgd = { momentum = 0.0 } }"), (1.0, 0.0));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let told = |text: &str| Settings::parse(text, "run.toml").expect_err("wrong").to_string();
        let message = told("rank = 2\nnuerons = 3\n");
        assert!(message.starts_with("run.toml:2: expected one of neurons, task, "), "{message}");
        assert!(message.ends_with(", found nuerons; did you mean neurons?"), "{message}");
        let message = told("loss = \"bach\"");
        assert_eq!(
            message,
            "run.toml:1: expected one of batch, average, proxy, found bach; did you mean batch?"
        );
        let message = told("\n[task]\ndecays = [0.9]\nscale = [1.0]\n");
        assert!(message.starts_with("run.toml:4: expected one of decays, scales, found scale"), "{message}");
        let message = told("neurons = \"many\"");
        let wanted = "run.toml:1: neurons: expected a whole number of at least 0, found string \"many\"";
        assert_eq!(message, wanted);
        let message = told("rank = 1\nmethod = { sgd = { momentum = true } }");
        assert_eq!(message, "run.toml:2: momentum: expected a number, found boolean `true`");
        let message = told("rank = 1\nmethod = { sgd = { momentm = 0.5 } }");
        assert_eq!(message, "run.toml:2: expected one of momentum, found momentm; did you mean momentum?");
        let message = told("neurons = = 3");
        assert!(message.starts_with("run.toml:1: ") && message.ends_with("found neurons = = 3"), "{message}");
    }
}
