//! Final losses and errors beside those of the authors' code, measured by the spread of seeds.
//!
//! With k seeds here and m there, d the mean of ln x here minus that there, and s the standard deviation of ln x between
//! seeds of one network, pooled over all networks, here and there:
//!
//! z = d / (s sqrt(1 / k + 1 / m)).
//!
//! What is compared is the network after the last update, which is what the authors' loop ends with, not the one that long
//! roll-outs choose.

use serde::Serialize;

use super::claims::TRAP;
use super::{Found, Reference, Trained, largest};
use crate::reproduce::Claim;

/// Largest z of a network: with twenty comparisons one above 3 is a chance of 3 %.
const EACH: f64 = 3.0;
/// Largest z of all networks together.
const ALL: f64 = 2.0;

/// One quantity of one network, here and there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// As [`Found::name`].
    pub name: String,
    /// Here, one entry a seed.
    pub ours: Vec<f64>,
    /// The authors', one entry a seed.
    pub authors: Vec<f64>,
    /// exp(d): how many times larger ours is, geometric means.
    pub ratio: f64,
    /// z.
    pub z: f64,
}

/// A quantity of all networks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantity {
    /// "loss" or "error".
    pub name: &'static str,
    /// exp(s): the factor that seeds make.
    pub spread: f64,
    /// One entry a network.
    pub networks: Vec<Compared>,
    /// z of the sum of all d.
    pub together: f64,
}

/// Final loss and error over T = 200; without a quantity that no network was trained with several seeds of.
///
/// The trap, which is unstable there as well, is left out.
#[must_use]
pub fn compare(networks: &[Found]) -> Vec<Quantity> {
    let networks: Vec<&Found> = networks.iter().filter(|found| found.name != TRAP).collect();
    let loss = quantity("loss", &networks, |one| one.loss, |reference| reference.loss);
    let error = |reference: &Reference| Some(largest(&reference.error));
    let error = quantity("error", &networks, |one| largest(&one.last_error), error);
    [loss, error].into_iter().flatten().collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64
}

fn quantity(
    name: &'static str,
    networks: &[&Found],
    here: impl Fn(&Trained) -> f64,
    there: impl Fn(&Reference) -> Option<f64>,
) -> Option<Quantity> {
    let both = |found: &&Found| {
        let authors: Vec<f64> = found.references.iter().filter_map(&there).collect();
        let ours: Vec<f64> = found.seeds().map(&here).collect();
        (!authors.is_empty()).then_some((found.name.clone(), ours, authors))
    };
    let both: Vec<(String, Vec<f64>, Vec<f64>)> = networks.iter().filter_map(both).collect();
    // Other than here, a spread is known of hardly any network.
    if !both.iter().any(|(_, ours, _)| ours.len() > 1) {
        return None;
    }
    let samples = || both.iter().flat_map(|(_, ours, authors)| [ours, authors]);
    let squares = |values: &Vec<f64>| {
        let mean = mean(values);
        values.iter().map(|value| (value.ln() - mean).powi(2)).sum::<f64>()
    };
    let freedom: usize = samples().map(|values| values.len() - 1).sum();
    let s = (samples().map(squares).sum::<f64>() / freedom as f64).sqrt();
    let (mut sum, mut variance) = (0.0, 0.0);
    let compared = both.iter().map(|(name, ours, authors)| {
        let d = mean(ours) - mean(authors);
        let square = s * s * (1.0 / ours.len() as f64 + 1.0 / authors.len() as f64);
        sum += d;
        variance += square;
        let (ours, authors) = (ours.clone(), authors.clone());
        Compared { name: name.clone(), ours, authors, ratio: d.exp(), z: d / square.sqrt() }
    });
    let networks = compared.collect();
    Some(Quantity { name, spread: s.exp(), networks, together: sum / variance.sqrt() })
}

/// Needs several seeds: one network is better or worse than another by chance.
pub(super) fn claim(networks: &[Found]) -> Option<Claim> {
    let compared = compare(networks);
    let of = |quantity: &Quantity| {
        let each = |one: &Compared| format!("{} ×{:.2} (z {:.1})", one.name, one.ratio, one.z);
        let listed: Vec<String> = quantity.networks.iter().map(each).collect();
        let Quantity { name, spread, together, .. } = quantity;
        format!("{name}: {}; seeds make ×{spread:.2}; together z {together:.1}", listed.join(", "))
    };
    let holds = compared
        .iter()
        .all(|quantity| quantity.together <= ALL && quantity.networks.iter().all(|one| one.z <= EACH));
    (!compared.is_empty()).then(|| Claim {
        claim: "(tinyfold) final loss and error over T = 200 are within the spread of seeds of the authors' code, or better",
        paper: "one or two seeds a network, trained by the authors' code with the same settings".into(),
        criterion: format!(
            "geometric means over seeds, last networks: at most {EACH} standard errors above theirs for every network, {ALL} \
             for all together"
        ),
        found: compared.iter().map(of).collect::<Vec<String>>().join(". "),
        holds,
    })
}
