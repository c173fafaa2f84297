//! Settings as TOML: read with the line of what is wrong, written with their documentation.

use serde::Serialize;
use serde::de::DeserializeOwned;

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
        Error::input(format!("{place}:{line}"), expected, found)
    })
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
    let unknown =
        ["unknown field `", "unknown variant `"].iter().find_map(|start| message.strip_prefix(start))?;
    let (found, rest) = unknown.split_once('`')?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min()
        .filter(|(distance, name)| 3 * distance <= name.len().max(3))
        .map_or(String::new(), |(_, name)| format!("; did you mean {name}?"));
    Some((format!("one of {}", known.join(", ")), format!("{found}{near}")))
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
        assert!(message.starts_with("run.toml:1: ") && message.contains("many"), "{message}");
        let message = told("neurons = = 3");
        assert!(message.starts_with("run.toml:1: ") && message.ends_with("found neurons = = 3"), "{message}");
    }
}
