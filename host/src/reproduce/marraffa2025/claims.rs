//! What Marraffa et al. 2025 say, beside what is found.
//!
//! Of the paper (arXiv 2510.13519) its abstract and a digest of its results were read, not its numbers; its networks are
//! not ours. So what is compared is whether a structure is there: every bound below is tinyfold's.

use super::{Context, Findings, Persistence, Ringed};
use crate::dynamics::continuation::Bifurcation;
use crate::dynamics::slow_manifold::Verdict;
use crate::report::text::{percent, scientific};
use crate::reproduce::Claim;

/// Claims there are when nothing was stopped.
pub const COUNT: usize = 9;

/// Every claim that what was found can tell about.
#[must_use]
pub fn claims(found: &Findings) -> Vec<Claim> {
    let mut claims = Vec::new();
    if let [motion, colour] = &found.contexts[..] {
        claims.extend(of_contexts(&[motion, colour]));
    }
    claims.extend(found.ridges.as_ref().filter(|ridges| ridges.basins.is_some()).map(|ridges| Claim {
        claim: "finite-time Lyapunov exponents have ridges on the boundaries of basins",
        paper: "states from which small differences grow most lie where the domains of stable points meet".into(),
        criterion: "at least half of the boundary among the top 5 % of the plane, over 200 time constants".into(),
        found: ridges.on_ridges.map_or("no boundary".into(), percent),
        holds: ridges.on_ridges.is_some_and(|part| part >= 0.5),
    }));
    if let [ring, perturbed] = &found.rings[..] {
        claims.extend(of_rings(ring, perturbed));
    }
    claims
}

fn of_contexts(contexts: &[&Context; 2]) -> [Claim; 6] {
    let each = |what: &dyn Fn(&Context) -> String| {
        contexts.map(|context| format!("{}: {}", context.name, what(context))).join("; ")
    };
    let all = |test: &dyn Fn(&Context) -> bool| contexts.iter().all(|context| test(context));
    let n = contexts[0].driven.line.frame.anchor.len();
    let folds = |context: &Context| -> Vec<f64> {
        let special = context.diagram.branches.iter().flat_map(|branch| &branch.special);
        special.filter(|special| special.kind == Bifurcation::Fold).map(|special| special.mu).collect()
    };
    let nearest = |context: &Context| {
        context.folds.iter().map(|(mu, truth)| (mu - truth).abs()).fold(f64::INFINITY, f64::min)
    };
    [
        Claim {
            claim: "the dynamics of a context network reduces to one dimension",
            paper: "networks of neuroscience reduce by orders of magnitude to spectral submanifolds of few dimensions, \
                    learnt from trajectories; its errors are those of other networks"
                .into(),
            criterion: format!(
                "a line learnt from 40 trajectories of {n} neurons predicts 20 others to an NMTE below 1 %"
            ),
            found: each(&|context| percent(context.nmte)),
            holds: all(&|context| context.nmte < 0.01),
        },
        Claim {
            claim: "its memory is a slow manifold: a line attractor made of nodes and saddles, not of fixed points alone",
            paper: "the reduced dynamics makes precise what a line attractor is; comparable is the verdict, by tinyfold's \
                    bounds"
                .into(),
            criterion: "slow by the bounds of its verdict; an odd number of fixed points on it".into(),
            found: each(&|context| context.verdict.sentence.clone()),
            holds: all(&|context| {
                context.verdict.verdict == Verdict::Slow && context.verdict.points.len() % 2 == 1
            }),
        },
        Claim {
            claim: "evidence moves the network through a cascade of saddle-nodes",
            paper: "a cascade of saddle-node bifurcations leads from the stable points of one decision to those of the \
                    other; how many is a matter of the network"
                .into(),
            criterion: "at least four folds in each context".into(),
            found: each(&|context| format!("{} folds", folds(context).len())),
            holds: all(&|context| folds(context).len() >= 4),
        },
        Claim {
            claim: "the slow manifold persists over the whole cascade",
            paper: "the slow line is there over the whole range of inputs, and changes smoothly with them".into(),
            criterion: "from the first fold to the last every fixed point has one real eigenvalue that leads, all others \
                        decay"
                .into(),
            found: each(&|context| {
                let Persistence { range: (low, high), ratio } = context.persistence;
                format!("evidence {low:.3} to {high:.3}, next rate at least {ratio:.1} times the leading one")
            }),
            holds: all(&|context| {
                let (low, high) = context.persistence.range;
                folds(context).iter().all(|mu| (low..=high).contains(mu))
            }),
        },
        Claim {
            claim: "a reduced model over state and evidence, from one saddle, predicts folds of the whole network",
            paper: "one reduced model that depends on the input keeps the essential dynamics of the network; comparable \
                    is that it has the folds, not how near"
                .into(),
            criterion: "nearest fold to 1e-8 of the evidence".into(),
            found: each(&|context| {
                format!("{} folds, nearest to {}", context.folds.len(), scientific(nearest(context)))
            }),
            holds: all(&|context| nearest(context) < 1e-8),
        },
        Claim {
            claim: "(tinyfold) the reduced model chooses as the network does",
            paper: "reduced models lead to predictions about the computation behind behaviour; choices beside the \
                    network's are tinyfold's test of it"
                .into(),
            criterion: "the same choice in at least 95 % of noisy trials with a distractor".into(),
            found: each(&|context| percent(context.choices.agreement)),
            holds: all(&|context| context.choices.agreement >= 0.95),
        },
    ]
}

/// Amplitude of a ring of n = 64, J1 = 1.8: A = J1 (2 / n) sum_j cos(theta_j) tanh(A cos(theta_j)).
const AMPLITUDE: f64 = 2.016_928_070_158_473_3;

fn of_rings(ring: &Ringed, perturbed: &Ringed) -> [Claim; 2] {
    let ends = |name: &str| perturbed.verdict.points.iter().filter(|point| point.name == name).count();
    [
        Claim {
            claim: "the ring network is a ring attractor",
            paper: "the reduced dynamics makes precise what a ring attractor is; comparable is the verdict: this ring is \
                    made from an equation, so its amplitude is known"
                .into(),
            criterion: "verdict attractor: nothing moves along the ring; amplitude 2.01692807015847 to 1e-12".into(),
            found: format!("{}; amplitude {:.15}", ring.verdict.sentence, ring.ring.amplitude),
            holds: ring.verdict.verdict == Verdict::Attractor
                && (ring.ring.amplitude - AMPLITUDE).abs() < 1e-12,
        },
        Claim {
            claim: "perturbed weights leave nodes and saddles of it",
            paper: "the structures that it defines are robust; what is left of a ring is tinyfold's test of that".into(),
            criterion: "not an attractor; as many nodes as saddles, at least two".into(),
            found: perturbed.verdict.sentence.clone(),
            holds: perturbed.verdict.verdict != Verdict::Attractor
                && ends("node") >= 2
                && ends("node") == ends("saddle"),
        },
    ]
}
