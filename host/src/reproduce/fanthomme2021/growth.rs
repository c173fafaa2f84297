//! How the error grows, with time and with n.

use serde::Serialize;

use super::Found;
use super::claims::TRAP;
use crate::Result;
use crate::manifold::Window;
use crate::manifold::growth::{self, BySize, PowerLaw};
use crate::network::Network;
use crate::report::text::percent;
use crate::reproduce::Claim;
use crate::task::synthetic;

/// Steps of the run that networks of several n are judged by.
const STEPS: usize = 2000;
/// That run is neither of the training nor of the test.
const SEED: u64 = 5000;
/// Time constants after which an integral has forgotten how it began.
const SETTLED: f64 = 5.0;

/// The error of one network against time.
#[derive(Clone, Debug, Serialize)]
pub struct WithTime {
    /// As [`Found::name`].
    pub name: String,
    /// 1 / (1 - gamma) of its slowest channel, steps.
    pub time_constant: f64,
    /// In windows of time since reset.
    pub errors: Vec<Window>,
    /// The power law through them.
    pub law: Option<PowerLaw>,
}

/// The error of networks with one set of settings against n.
#[derive(Clone, Debug, Serialize)]
pub struct WithNeurons {
    /// As [`Found::name`].
    pub name: String,
    /// One entry a network, all n and seeds.
    #[serde(flatten)]
    pub errors: BySize,
}

/// How the error grows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Growth {
    /// Of every network that is stable.
    pub with_time: Vec<WithTime>,
    /// Of those that were trained with several n.
    pub with_neurons: Vec<WithNeurons>,
}

impl Growth {
    /// Of networks that were trained.
    ///
    /// # Errors
    /// A network that is no integrator.
    pub fn of(networks: &[Found]) -> Result<Self> {
        let mut growth = Self::default();
        for found in networks.iter().filter(|found| found.name != TRAP) {
            let name = &found.name;
            if let Some(analysis) = &found.analysis {
                let (errors, law) = (analysis.error_curve.clone(), analysis.error_growth);
                growth.with_time.push(WithTime {
                    name: name.clone(),
                    time_constant: slowest(found),
                    errors,
                    law,
                });
            }
            let trained = found.seeds().chain(&found.sizes).filter_map(|one| one.network.clone());
            let trained: Vec<Network> = if found.sizes.is_empty() { Vec::new() } else { trained.collect() };
            if !trained.is_empty() {
                let x = synthetic::gaussian(STEPS, found.channels, found.trained.seed + SEED);
                let errors = growth::with_neurons(&trained, &x)?;
                growth.with_neurons.push(WithNeurons { name: name.clone(), errors });
            }
        }
        Ok(growth)
    }

    /// What holds of it; nothing where there is nothing.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        let ends: Vec<(&str, [f64; 2])> =
            self.with_time.iter().filter_map(|one| Some((one.name.as_str(), one.ends()?))).collect();
        let shown = |(name, [early, late]): &(&str, [f64; 2])| {
            format!("{name} {} to {}", percent(*early), percent(*late))
        };
        let time = (!ends.is_empty()).then(|| Claim {
            claim: "the error stops growing: integrals of any duration",
            paper: "signals of any duration are integrated, though training sequences are short".into(),
            criterion: format!(
                "error of the last window, to 8000 steps, at most twice that {SETTLED} time constants after reset"
            ),
            found: ends.iter().map(shown).collect::<Vec<String>>().join(", "),
            holds: ends.iter().all(|(_, [early, late])| *late <= 2.0 * early),
        });
        let size = |of: &WithNeurons| {
            let each: Vec<String> =
                of.errors.errors.iter().map(|(n, error)| format!("{} at n = {n}", percent(*error))).collect();
            let law =
                of.errors.law.map_or("no law".into(), |law| format!("n to the power of {:.2}", law.exponent));
            format!("{}: {}; {law}", of.name, each.join(", "))
        };
        let neurons = (!self.with_neurons.is_empty()).then(|| Claim {
            claim: "the error does not grow with the number of neurons",
            paper: "D signals are integrated by any number of neurons that is large beside D".into(),
            criterion: "exponent of the power law through errors over 2000 steps below 0.5: seeds alone make up to that"
                .into(),
            found: self.with_neurons.iter().map(size).collect::<Vec<String>>().join(". "),
            holds: self.with_neurons.iter().all(|of| of.errors.law.is_some_and(|law| law.exponent < 0.5)),
        });
        time.into_iter().chain(neurons)
    }
}

impl WithTime {
    /// The errors of the first window that ends [`SETTLED`] time constants after reset, and of the last one.
    fn ends(&self) -> Option<[f64; 2]> {
        let settled = self.errors.iter().find(|window| window.to as f64 >= SETTLED * self.time_constant)?;
        Some([settled.relative_rmse, self.errors.last()?.relative_rmse])
    }
}

/// 1 / (1 - gamma) of the slowest channel, in steps.
fn slowest(found: &Found) -> f64 {
    let task = found.settings.task.integration();
    task.map_or(0.0, |task| task.decays.iter().map(|decay| 1.0 / (1.0 - decay)).fold(0.0, f64::max))
}
