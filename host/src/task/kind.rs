//! All tasks as one type, and how one is written in files.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::context::Context;
use super::delayed_match::DelayedMatch;
use super::flip_flop::FlipFlop;
use super::integration::Integration;
use super::ring::Ring;
use super::sine::Sine;
use super::switch::Switch;
use super::trial::Trials;
use crate::format;

/// One list of the tasks, from which all that has a case a task follows.
macro_rules! tasks {
    ($($(#[doc = $doc:literal])+ $kind:ident $name:literal,)*) => {
        /// What a network is asked to compute.
        ///
        /// In files: `{ decays = [...], scales = [...] }` for integration, the name of another task for its default
        /// parameters, or `{ flip-flop = { bits = 2 } }` with parameters of its own.
        ///
        /// ```
        /// use tinyfold::{task::Task, train::Settings};
        /// let settings = Settings::parse("task = { flip-flop = { bits = 2 } }", "run.toml")?;
        /// assert_eq!((settings.task.name(), settings.task.trials().inputs().len()), ("flip-flop", 2));
        /// assert_eq!(Task::named("sine"), Settings::parse("task = \"sine\"", "run.toml").ok().map(|s| s.task));
        /// # Ok::<(), tinyfold::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub enum Task {
            $($(#[doc = $doc])+ $kind($kind),)*
        }

        impl Task {
            /// Names of all tasks.
            pub const NAMES: &[&str] = &[$($name),*];

            /// Names that a table may begin with: the fields of integration stand by themselves.
            const KEYS: &[&str] = &["decays", "scales", $($name),*];

            /// The name, as files and options have it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name,)* }
            }

            /// What the task is, in one sentence.
            #[must_use]
            pub fn summary(&self) -> String {
                match self { $(Self::$kind(_) => [$($doc),+].concat().trim().to_owned(),)* }
            }

            /// The task of a name with its default parameters; `None` if there is no such one.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind($kind::default())),)*
                    _ => None,
                }
            }

            /// What it gives to learn from.
            #[must_use]
            pub fn trials(&self) -> &dyn Trials {
                match self { $(Self::$kind(task) => task,)* }
            }

            /// The parameters as TOML, each below its documentation.
            #[must_use]
            pub fn documented(&self) -> String {
                match self { $(Self::$kind(task) => format::settings::documented(task, $kind::FIELDS),)* }
            }

            fn serialize_named<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$kind(task) => to.serialize_newtype_variant("Task", 0, $name, task),)*
                }
            }

            fn of_value<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Self, A::Error> {
                match name {
                    $($name => map.next_value().map(Self::$kind),)*
                    _ => Err(de::Error::unknown_field(name, Self::NAMES)),
                }
            }
        }

        impl Serialize for Task {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match self {
                    // Fields alone, as in files of a time when there was no other task.
                    Self::Integration(task) => task.serialize(to),
                    _ => self.serialize_named(to),
                }
            }
        }

        $(impl From<$kind> for Task {
            fn from(task: $kind) -> Self {
                Self::$kind(task)
            }
        })*
    };
}

tasks! {
    /// Leaky integrals of several signals at once.
    Integration "integration",
    /// The one of several leaky integrals that a context selects.
    Switch "switch",
    /// The integral of the one of two noisy streams of evidence that a context selects, or its sign.
    Context "context",
    /// Memories of one bit each, set by pulses.
    FlipFlop "flip-flop",
    /// A direction on the circle, from its start and angular velocity.
    Ring "ring",
    /// Whether a stimulus is the one that was shown before a delay.
    DelayedMatch "delayed-match",
    /// A sine wave of the frequency that is asked for.
    Sine "sine",
}

impl Task {
    /// Decays and scales of an integrator; `None` for another task.
    #[must_use]
    pub fn integration(&self) -> Option<&Integration> {
        if let Self::Integration(task) = self { Some(task) } else { None }
    }
}

/// One of some names; the refusal of another one has its place in the file.
struct Known(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        let name = String::deserialize(from)?;
        let known = self.0.contains(&name.as_str());
        if known { Ok(name) } else { Err(de::Error::unknown_field(&name, self.0)) }
    }
}

/// A map of which the first name was read already.
struct Begun<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Begun<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(first) = self.first.take() else { return self.rest.next_key_seed(seed) };
        let first: StringDeserializer<A::Error> = first.into_deserializer();
        seed.deserialize(first).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Task;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the name of a task or a table of one")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Task, E> {
                Task::named(name).ok_or_else(|| E::unknown_variant(name, Task::NAMES))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Task, A::Error> {
                let Some(first) = map.next_key_seed(Known(Task::KEYS))? else {
                    return Err(de::Error::missing_field("decays"));
                };
                if ["decays", "scales"].contains(&first.as_str()) {
                    let map = Begun { first: Some(first), rest: map };
                    return Integration::deserialize(MapAccessDeserializer::new(map)).map(Task::Integration);
                }
                let task = Task::of_value(&first, &mut map)?;
                // A second name is refused as one that is not this task.
                let name = Task::NAMES.iter().position(|&name| name == task.name());
                map.next_key_seed(Known(name.map_or(&[], |k| &Task::NAMES[k..=k])))?;
                Ok(task)
            }
        }

        from.deserialize_any(Read)
    }
}
