//! What Fanthomme & Monasson 2021 claim, beside what is found in the networks trained here.

use serde::Serialize;

use super::fanthomme2021::Found;
use crate::manifold::Analysis;
use crate::report::text::{percent, scientific};

/// A statement of the paper with what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// What is claimed.
    pub claim: &'static str,
    /// What holds if it is true here.
    pub criterion: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

/// A network of the list.
fn of<'a>(networks: &'a [Found], name: &str) -> Option<&'a Found> {
    networks.iter().find(|found| found.name == name)
}

/// What an analysis says; NaN, which no criterion holds for, where a network has none.
fn said(found: &Found, what: impl Fn(&Analysis) -> Option<f64>) -> f64 {
    found.analysis.as_ref().and_then(what).unwrap_or(f64::NAN)
}

/// Modes; none without an analysis.
fn count(found: &Found) -> usize {
    found.analysis.as_ref().map_or(0, |analysis| analysis.modes.count)
}

/// sigma_{D+1} / sigma_D: how large the bulk is beside the modes.
fn bulk(found: &Found) -> f64 {
    said(found, |analysis| {
        let values = &analysis.singular_values;
        Some(values.get(found.channels).map_or(0.0, |next| next / values[found.channels - 1]))
    })
}

/// The network that is to be unstable: a trap.
const TRAP: &str = "dale-adam";

/// The names of networks that tell about a claim, and the claim, if there are enough of them.
type Test = (&'static [&'static str], fn(&[Found]) -> Option<Claim>);

const TESTS: [Test; 9] = [
    (&["linear", "sgd"], generalises),
    (&["linear", "sgd", "adam", "five"], modes),
    (&["sgd", "adam"], sgd_against_adam),
    (&["dale"], dale),
    (&["linear", "sgd", "five"], near_the_manifold),
    (&["linear", "sgd", "dale", "sigmoid"], coordinates),
    (&["sgd"], mixed),
    (&["proxy", "five", "sigmoid"], proxy),
    (&["dale-remedy"], remedy),
];

/// Every claim that these networks can tell about; one does not hold where a network of it is unstable or has no analysis.
#[must_use]
pub fn claims(networks: &[Found]) -> Vec<Claim> {
    let tested = TESTS.iter().filter_map(|(names, test)| {
        let claim = test(networks)?;
        let failed = |found: &&Found| found.unstable || found.analysis.is_none();
        let failed: Vec<&str> = networks
            .iter()
            .filter(|found| names.contains(&found.name.as_str()))
            .filter(failed)
            .map(|found| found.name.as_str())
            .collect();
        let found = match failed.as_slice() {
            [] => return Some(claim),
            failed => format!("not stable over long roll-outs: {}", failed.join(", ")),
        };
        Some(Claim { found, holds: false, ..claim })
    });
    tested.chain([as_good(networks), exactness(networks)].into_iter().flatten()).collect()
}

fn generalises(networks: &[Found]) -> Option<Claim> {
    let (linear, relu) = (of(networks, "linear")?, of(networks, "sgd")?);
    let long = |found: &Found| found.long.unwrap_or(f64::NAN);
    Some(Claim {
        claim: "training on T = 3 generalises to T = 200 and beyond",
        criterion: "error over T = 200 below 5 %, over 2000 steps below 10 %".into(),
        found: format!(
            "linear {} and {}, ReLU {} and {}",
            percent(linear.worst()),
            percent(long(linear)),
            percent(relu.worst()),
            percent(long(relu))
        ),
        holds: [linear, relu].iter().all(|found| found.worst() < 0.05 && long(found) < 0.1),
    })
}

fn modes(networks: &[Found]) -> Option<Claim> {
    let of_each: Vec<(usize, usize)> = ["linear", "sgd", "adam", "five"]
        .iter()
        .filter_map(|name| of(networks, name))
        .map(|found| (found.channels, count(found)))
        .collect();
    let listed: Vec<String> = of_each.iter().map(|(d, count)| format!("D = {d}: {count}")).collect();
    (!of_each.is_empty()).then(|| Claim {
        claim: "W has D large singular values above a bulk",
        criterion: "as many modes as D".into(),
        found: listed.join(", "),
        holds: of_each.iter().all(|(d, count)| d == count),
    })
}

fn sgd_against_adam(networks: &[Found]) -> Option<Claim> {
    let (sgd, adam) = (of(networks, "sgd")?, of(networks, "adam")?);
    let (of_sgd, of_adam) = (bulk(sgd), bulk(adam));
    Some(Claim {
        claim: "SGD leaves the bulk smaller than Adam",
        criterion: "σ of the bulk / σ of the last mode smaller by a factor of 2".into(),
        found: format!("SGD {of_sgd:.3}, Adam {of_adam:.3}"),
        holds: 2.0 * of_sgd < of_adam,
    })
}

fn dale(networks: &[Found]) -> Option<Claim> {
    let found = of(networks, "dale")?;
    let ones = said(found, |analysis| analysis.alignments.left_ones.first().map(|cosine| cosine.abs()));
    let (modes, distance) = (count(found), said(found, |analysis| Some(analysis.distance)));
    let one_more = said(found, |analysis| analysis.distance_one_more);
    Some(Claim {
        claim: "Dale's law adds one structural mode, along the all-ones direction",
        criterion: "D + 1 modes; distance to the manifold halved by one more vector; cosine above 0.7".into(),
        found: format!(
            "{modes} modes for D = {}; distance {distance:.3} to {one_more:.3}; cosine {ones:.2}",
            found.channels
        ),
        holds: modes == found.channels + 1 && 2.0 * one_more < distance && ones > 0.7,
    })
}

fn near_the_manifold(networks: &[Found]) -> Option<Claim> {
    let distances: Vec<(&str, f64)> = [("linear", "linear"), ("sgd", "ReLU"), ("five", "D = 5")]
        .iter()
        .filter_map(|(name, title)| {
            Some((*title, said(of(networks, name)?, |analysis| Some(analysis.distance))))
        })
        .collect();
    let listed: Vec<String> = distances.iter().map(|(name, d)| format!("{name} {}", percent(*d))).collect();
    (!distances.is_empty()).then(|| Claim {
        claim: "pre-activations lie near the span of D left singular vectors",
        criterion: "distance below 10 %".into(),
        found: listed.join(", "),
        holds: distances.iter().all(|(_, distance)| *distance < 0.1),
    })
}

fn coordinates(networks: &[Found]) -> Option<Claim> {
    let fits: Vec<(&str, f64)> =
        [("linear", "linear"), ("sgd", "ReLU"), ("dale", "Dale"), ("sigmoid", "sigmoid")]
            .iter()
            .filter_map(|(name, title)| {
                Some((*title, said(of(networks, name)?, |analysis| Some(analysis.coordinate_fit?.linear))))
            })
            .collect();
    let listed: Vec<String> = fits.iter().map(|(name, fit)| format!("{name} {}", percent(*fit))).collect();
    (!fits.is_empty()).then(|| Claim {
        claim: "coordinates on the manifold are functions of the integrals",
        criterion: "residual of a linear function below 10 %".into(),
        found: listed.join(", "),
        holds: fits.iter().all(|(_, fit)| *fit < 0.1),
    })
}

/// Random directions of the plane have 71 % mixed neurons: cos² of neither axis above 0.95.
fn mixed(networks: &[Found]) -> Option<Claim> {
    let mixed = said(of(networks, "sgd")?, |analysis| Some(analysis.selectivity.as_ref()?.mixed));
    Some(Claim {
        claim: "neurons mix all integrals",
        criterion: "at least half of the selective neurons mixed; random directions give 71 %".into(),
        found: format!("{} mixed for D = 2", percent(mixed)),
        holds: mixed > 0.5,
    })
}

fn proxy(networks: &[Found]) -> Option<Claim> {
    let errors: Vec<(&str, f64)> =
        [("proxy", "ReLU D = 2"), ("five", "ReLU D = 5"), ("sigmoid", "sigmoid D = 1")]
            .iter()
            .filter_map(|(name, title)| Some((*title, of(networks, name)?.worst())))
            .collect();
    let listed: Vec<String> =
        errors.iter().map(|(name, error)| format!("{name} {}", percent(*error))).collect();
    (!errors.is_empty()).then(|| Claim {
        claim: "the proxy loss, one step long, trains integrators of any duration",
        criterion: "error over T = 200 below 10 %".into(),
        found: listed.join(", "),
        holds: errors.iter().all(|(_, error)| *error < 0.1),
    })
}

/// Not of the paper: the trap that a low training loss hides, and a way out that keeps Dale's law.
fn remedy(networks: &[Found]) -> Option<Claim> {
    let unstable = of(networks, TRAP)?;
    let mended = of(networks, "dale-remedy")?;
    Some(Claim {
        claim: "(trap) Dale, Adam, T = 10: a low training loss hides that long roll-outs fail; a proxy term mends it",
        criterion: "unstable without the term; with it, error over T = 200 below 5 %".into(),
        found: format!(
            "{} at loss {}; with the term {}",
            if unstable.unstable { "unstable" } else { "stable" },
            scientific(unstable.loss),
            percent(mended.worst())
        ),
        holds: unstable.unstable && !mended.unstable && mended.worst() < 0.05,
    })
}

/// Needs several seeds: one network is better or worse than another by chance. 128 sequences of slow integrals tell an
/// RMSE to within 1 / sqrt(2 · 128) = 6 %.
fn as_good(networks: &[Found]) -> Option<Claim> {
    let of_each: Vec<(&str, f64)> = networks
        .iter()
        .filter(|found| found.name != TRAP && !found.others.is_empty())
        .filter_map(|found| {
            let reference = found.reference.as_ref()?.worst();
            let ours = (!found.unstable).then(|| found.worst());
            let others = found.others.iter().filter(|other| !other.unstable).map(|other| other.error);
            let least = ours.into_iter().chain(others).fold(f64::INFINITY, f64::min);
            Some((found.name.as_str(), least / reference))
        })
        .collect();
    let listed: Vec<String> = of_each.iter().map(|(name, ratio)| format!("{name} {ratio:.2}")).collect();
    (!of_each.is_empty()).then(|| Claim {
        claim: "(tinyfold) the best of some seeds is as good as the one of the authors' code",
        criterion: "least error of all seeds / error of the authors' one seed at most 1.1".into(),
        found: listed.join(", "),
        holds: of_each.iter().all(|(_, ratio)| *ratio <= 1.1),
    })
}

fn exactness(networks: &[Found]) -> Option<Claim> {
    let errors: Vec<f64> = networks.iter().filter_map(|found| Some(found.exact?.error)).collect();
    let most = errors.iter().copied().fold(0.0, f64::max);
    (!errors.is_empty()).then(|| Claim {
        claim: "(tinyfold) closed-form networks integrate exactly, for any duration",
        criterion: "error below 1e-9".into(),
        found: format!("at most {} over {} networks", scientific(most), errors.len()),
        holds: most < 1e-9,
    })
}
