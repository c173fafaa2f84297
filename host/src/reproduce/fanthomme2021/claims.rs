//! What Fanthomme & Monasson 2021 claim, beside what is found in the networks trained here: every claim on every network
//! that it is about.
//!
//! What the paper says is told in our words, from its abstract and the description of its code; numbers beside it are those
//! of networks that the authors' code trained.

use super::growth::Growth;
use super::{Found, Reference, comparison, largest};
use crate::manifold::Analysis;
use crate::report::text::{percent, scientific};
use crate::reproduce::Claim;
use crate::train::optimiser::Method;
use crate::train::settings::Loss;

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
pub(super) const TRAP: &str = "dale-adam";
/// The way out of it.
const REMEDY: &str = "dale-remedy";

/// Networks that a claim is about, and the claim about them; `None` where they are too few.
type Test = (fn(&Found) -> bool, fn(&[&Found]) -> Option<Claim>);

const TESTS: [Test; 9] = [
    (|found| found.settings.loss != Loss::Proxy && found.settings.proxy_weight == 0.0, generalises),
    (|found| !found.dale(), modes),
    (|found| !found.dale() && found.settings.activation == "relu", sgd_against_adam),
    (Found::dale, dale),
    (|_| true, near_the_manifold),
    (|_| true, coordinates),
    (|found| found.channels > 1 && !found.in_supports() && found.settings.activation != "sigmoid", mixed),
    (|found| found.settings.loss == Loss::Proxy, proxy),
    (Found::in_supports, blocks),
];

/// Every claim that these networks can tell about; one does not hold where a network of it is unstable or has no analysis.
#[must_use]
pub fn claims(networks: &[Found], growth: &Growth) -> Vec<Claim> {
    let tested = TESTS.iter().filter_map(|(about, test)| {
        let about: Vec<&Found> =
            networks.iter().filter(|found| found.name != TRAP).filter(|found| about(found)).collect();
        let claim = test(&about)?;
        let failed = about.iter().filter(|found| found.trained.unstable || found.analysis.is_none());
        let failed: Vec<&str> = failed.map(|found| found.name.as_str()).collect();
        let found = match failed.as_slice() {
            [] => return Some(claim),
            failed => format!("not stable over long roll-outs: {}", failed.join(", ")),
        };
        Some(Claim { found, holds: false, ..claim })
    });
    let ours = [remedy(networks), comparison::claim(networks), exactness(networks)];
    tested.chain(growth.claims()).chain(ours.into_iter().flatten()).collect()
}

/// Every network with what is said of it; `None` where there is none.
fn each(networks: &[&Found], what: impl Fn(&Found) -> String) -> Option<String> {
    let listed: Vec<String> =
        networks.iter().map(|found| format!("{} {}", found.name, what(found))).collect();
    (!listed.is_empty()).then(|| listed.join(", "))
}

/// What the paper says, and what its code's networks have.
fn paper(says: &str, networks: &[&Found], what: impl Fn(&Found, &Reference) -> String) -> String {
    let of = |found: &&Found| {
        let values: Vec<String> = found.references.iter().map(|reference| what(found, reference)).collect();
        (!values.is_empty()).then(|| format!("{} {}", found.name, values.join(" and ")))
    };
    let known: Vec<String> = networks.iter().filter_map(of).collect();
    if known.is_empty() { says.into() } else { format!("{says}; its code: {}", known.join(", ")) }
}

fn generalises(networks: &[&Found]) -> Option<Claim> {
    let long = |found: &Found| found.long.unwrap_or(f64::NAN);
    Some(Claim {
        claim: "training on a few steps generalises to T = 200 and beyond",
        paper: paper("ReLU networks trained on T = 3 integrate over T = 200", networks, |_, reference| {
            percent(largest(&reference.error))
        }),
        criterion: "error over T = 200 and over 2000 steps below 10 %; with Adam, which leaves a larger bulk, below 25 %"
            .into(),
        found: each(networks, |found| format!("{} and {}", percent(found.worst()), percent(long(found))))?,
        holds: networks.iter().all(|found| {
            let most = if found.settings.method == Method::Adam { 0.25 } else { 0.1 };
            found.worst() < most && long(found) < most
        }),
    })
}

fn modes(networks: &[&Found]) -> Option<Claim> {
    let two = |values: &[f64], d: usize| {
        format!("{:.2} {:.2}", values[d - 1], values.get(d).copied().unwrap_or(0.0))
    };
    Some(Claim {
        claim: "W has D large singular values above a bulk",
        paper: paper("D large ones and a bulk that does nothing", networks, |found, reference| {
            format!("σ of the last mode and of the next {}", two(&reference.singular_values, found.channels))
        }),
        criterion: "as many modes as D".into(),
        found: each(networks, |found| format!("{} for D = {}", count(found), found.channels))?,
        holds: networks.iter().all(|found| count(found) == found.channels),
    })
}

fn sgd_against_adam(networks: &[&Found]) -> Option<Claim> {
    let (adam, sgd): (Vec<&Found>, Vec<&Found>) =
        networks.iter().copied().partition(|found| found.settings.method == Method::Adam);
    let most = sgd.iter().map(|found| bulk(found)).reduce(f64::max)?;
    let least = adam.iter().map(|found| bulk(found)).reduce(f64::min)?;
    let of =
        |reference: &Reference, d: usize| reference.singular_values[d] / reference.singular_values[d - 1];
    let shown = |found: &Found| format!("{:.3}", bulk(found));
    // NaN, which max and min pass over, holds for nothing.
    let known = networks.iter().all(|found| bulk(found).is_finite());
    Some(Claim {
        claim: "SGD leaves the bulk smaller than Adam",
        paper: paper("there is more of the bulk with Adam", networks, |found, reference| {
            format!("{:.3}", of(reference, found.channels))
        }),
        criterion: "σ of the bulk / σ of the last mode: every ReLU network trained by SGD below half of every one by Adam"
            .into(),
        found: format!("SGD: {}; Adam: {}", each(&sgd, shown)?, each(&adam, shown)?),
        holds: known && 2.0 * most < least,
    })
}

fn dale(networks: &[&Found]) -> Option<Claim> {
    let ones = |found: &Found| {
        said(found, |analysis| analysis.alignments.left_ones.first().map(|cosine| cosine.abs()))
    };
    let distance = |found: &Found| said(found, |analysis| Some(analysis.distance));
    let one_more = |found: &Found| said(found, |analysis| analysis.distance_one_more);
    Some(Claim {
        claim: "Dale's law adds one structural mode, along the all-ones direction",
        paper: paper("one mode more, which has no part in the integration", networks, |_, reference| {
            let distances: Vec<String> = reference.distance.iter().map(|d| format!("{d:.3}")).collect();
            format!("distance {}", distances.join(" to "))
        }),
        criterion: "D + 1 modes; one more vector takes the distance to the manifold to at most half, with Adam, which leaves \
                    a larger bulk, to two thirds; cosine above 0.7"
            .into(),
        found: each(networks, |found| {
            format!(
                "{} modes for D = {}, distance {:.3} to {:.3}, cosine {:.2}",
                count(found),
                found.channels,
                distance(found),
                one_more(found),
                ones(found)
            )
        })?,
        holds: networks.iter().all(|found| {
            let left = if large_bulk(found) { 2.0 / 3.0 } else { 0.5 };
            count(found) == found.channels + 1
                && one_more(found) < left * distance(found)
                && ones(found) > 0.7
        }),
    })
}

/// Of D vectors, or D + 1 under Dale's law.
fn distance(found: &Found) -> f64 {
    said(found, |analysis| if found.dale() { analysis.distance_one_more } else { Some(analysis.distance) })
}

/// Whether it was trained by Adam on the batch loss, which leaves a large bulk, in the authors' code too.
fn large_bulk(found: &Found) -> bool {
    found.settings.method == Method::Adam
        && found.settings.loss == Loss::Batch
        && found.settings.proxy_weight == 0.0
}

/// The largest distance from the manifold.
fn allowed(found: &Found) -> f64 {
    match (found.dale(), large_bulk(found)) {
        (false, false) => 0.1,
        (true, true) => 0.45,
        _ => 0.35,
    }
}

fn near_the_manifold(networks: &[&Found]) -> Option<Claim> {
    Some(Claim {
        claim: "pre-activations lie near the span of D left singular vectors (D + 1 under Dale's law)",
        paper: paper("states live close to a manifold of D dimensions", networks, |found, reference| {
            let known = reference.distance.get(usize::from(found.dale()));
            known.map_or("unknown".into(), |d| percent(*d))
        }),
        criterion: "distance below 10 %; under Dale's law or with Adam on the batch loss, which leave some of it in further \
                    dimensions, below 35 %; with both below 45 %"
            .into(),
        found: each(networks, |found| percent(distance(found)))?,
        holds: networks.iter().all(|found| distance(found) < allowed(found)),
    })
}

fn coordinates(networks: &[&Found]) -> Option<Claim> {
    let fit = |found: &Found| said(found, |analysis| Some(analysis.coordinate_fit?.linear));
    Some(Claim {
        claim: "coordinates on the manifold are functions of the integrals",
        paper: paper("they can be computed from the integrals", networks, |_, reference| {
            percent(reference.coordinate_fit)
        }),
        criterion: "residual of a linear function below 15 %".into(),
        found: each(networks, |found| percent(fit(found)))?,
        holds: networks.iter().all(|found| fit(found) < 0.15),
    })
}

/// The paper says so of linear and ReLU networks. Random directions of the plane have 71 % mixed neurons: cos² of
/// neither axis above 0.95.
fn mixed(networks: &[&Found]) -> Option<Claim> {
    let mixed = |found: &Found| said(found, |analysis| Some(analysis.selectivity.as_ref()?.mixed));
    Some(Claim {
        claim: "neurons mix all integrals",
        paper: "every neuron of linear and ReLU networks carries, to some degree, all integrals: mixed selectivity"
            .into(),
        criterion: "at least half of the selective neurons mixed; random directions give 71 % for D = 2"
            .into(),
        found: each(networks, |found| format!("{} mixed for D = {}", percent(mixed(found)), found.channels))?,
        holds: networks.iter().all(|found| mixed(found) > 0.5),
    })
}

fn proxy(networks: &[&Found]) -> Option<Claim> {
    Some(Claim {
        claim: "the proxy loss, one step long, trains integrators of any duration",
        paper: paper(
            "its conditions suffice for any duration, and it is easier to train on",
            networks,
            |_, reference| percent(largest(&reference.error)),
        ),
        criterion: "error over T = 200 below 10 %".into(),
        found: each(networks, |found| percent(found.worst()))?,
        holds: networks.iter().all(|found| found.worst() < 0.1),
    })
}

/// The authors' network s_relu_D2_T5_sgd_support_same_n256 has 99.95 % of |W|² there (training.md).
fn blocks(networks: &[&Found]) -> Option<Claim> {
    let share = |found: &Found| found.in_blocks.unwrap_or(f64::NAN);
    Some(Claim {
        claim: "W lives where encoders and decoders do",
        paper: "the supports of inputs and outputs shape W; its code: 99.95 % of |W|² in the blocks of the channels"
            .into(),
        criterion: "at least 99 % of |W|² between neurons of one channel".into(),
        found: each(networks, |found| format!("{:.2} %", 100.0 * share(found)))?,
        holds: networks.iter().all(|found| share(found) >= 0.99),
    })
}

/// Not of the paper: the trap that a low training loss hides, and a way out that keeps Dale's law.
fn remedy(networks: &[Found]) -> Option<Claim> {
    let of = |name: &str| networks.iter().find(|found| found.name == name);
    let (trap, mended) = (of(TRAP)?, of(REMEDY)?);
    let errors = trap.references.iter().map(|reference| percent(largest(&reference.error)));
    let code = errors.collect::<Vec<String>>().join(" and ");
    Some(Claim {
        claim: "(trap) Dale, Adam, T = 10: a low training loss hides that long roll-outs fail; a proxy term mends it",
        paper: if code.is_empty() {
            "not of the paper".into()
        } else {
            format!("not of the paper; its code: {code}")
        },
        criterion: "unstable without the term; with it, error over T = 200 below 5 %".into(),
        found: format!(
            "{} at loss {}; with the term {}",
            if trap.trained.unstable { "unstable" } else { "stable" },
            scientific(trap.trained.loss),
            percent(mended.worst())
        ),
        holds: trap.trained.unstable && !mended.trained.unstable && mended.worst() < 0.05,
    })
}

fn exactness(networks: &[Found]) -> Option<Claim> {
    let errors: Vec<f64> = networks.iter().filter_map(|found| Some(found.exact?.error)).collect();
    let most = errors.iter().copied().fold(0.0, f64::max);
    (!errors.is_empty()).then(|| Claim {
        claim: "(tinyfold) closed-form networks integrate exactly, for any duration",
        paper: "conditions that suffice for any duration, met in training as far as it goes".into(),
        criterion: "with the encoders and decoders of the trained networks, error below 1e-9".into(),
        found: format!("at most {} over {} networks", scientific(most), errors.len()),
        holds: most < 1e-9,
    })
}
