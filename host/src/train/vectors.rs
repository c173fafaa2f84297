//! Encoders, decoders, thresholds and signs that training leaves as they are.

use faer::Mat;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::ablation;
use super::settings::{Settings, Supports};
use crate::design::random_frozen;

/// Part of a block that reaches into the next one with [`Supports::Overlapping`].
const REACH: f64 = 0.25;

/// An orthonormal basis of the span of the columns of E (n × D) and the rows of C (O × n), in that order.
#[must_use]
pub fn joint_basis(encoder: &Mat<f64>, decoder: &Mat<f64>) -> Mat<f64> {
    let channels = encoder.ncols();
    let columns = Mat::from_fn(encoder.nrows(), channels + decoder.nrows(), |i, k| {
        if k < channels { encoder[(i, k)] } else { decoder[(k - channels, i)] }
    });
    columns.qr().compute_thin_Q()
}

/// E (n × I) and C (O × n) with the supports and scales that the settings ask for, of the neurons that no mask leaves out;
/// every vector of all neurons has its scale as length on average.
///
/// # Panics
/// If the settings were not checked: more blocks than neurons, or supports other than random where I and O differ.
///
/// Source: Fanthomme & Monasson 2021, section 4.
#[must_use]
pub fn vectors(settings: &Settings) -> (Mat<f64>, Mat<f64>) {
    let (encoder, decoder) = supported(settings);
    let kept = settings.kept();
    let encoder = ablation::rows(encoder, kept.as_deref());
    let decoder = ablation::columns(decoder, kept.as_deref());
    (faer::Scale(settings.encoder_scale) * encoder, faer::Scale(settings.decoder_scale) * decoder)
}

/// The same of length 1.
fn supported(settings: &Settings) -> (Mat<f64>, Mat<f64>) {
    let task = settings.task.trials();
    let (n, inputs, outputs) = (settings.neurons, task.inputs().len(), task.outputs().len());
    let channels = inputs.max(outputs);
    let (encoder, decoder) = random_frozen(n, channels, settings.seed);
    if inputs != outputs {
        return (encoder.subcols(0, inputs).to_owned(), decoder.subrows(0, outputs).to_owned());
    }
    if let Some(overlap) = settings.overlap {
        let basis = joint_basis(&encoder, &decoder);
        let across = (1.0 - overlap * overlap).sqrt();
        let along = |i: usize| overlap * basis[(i, 0)] + across * basis[(i, 1)];
        return (basis.subcols(0, 1).to_owned(), Mat::from_fn(1, n, |_, i| along(i)));
    }
    // Blocks of the neurons: how many, and the part by which one reaches into the next.
    let (encoders, decoders, first) = match settings.supports {
        Supports::Random => return (encoder, decoder),
        Supports::Orthonormal => {
            let basis = joint_basis(&encoder, &decoder);
            let decoder = basis.subcols(channels, channels).transpose().to_owned();
            return (basis.subcols(0, channels).to_owned(), decoder);
        }
        Supports::Same => (Some((channels, 0.0)), (channels, 0.0), 0),
        Supports::Disjoint => (Some((2 * channels, 0.0)), (2 * channels, 0.0), channels),
        Supports::Overlapping => (Some((channels, REACH)), (channels, REACH), 0),
        Supports::RandomEncoder => (None, (channels, 0.0), 0),
    };
    let within = |i: usize, block: usize, (blocks, reach): (usize, f64)| {
        let place = i as f64 * blocks as f64 / n as f64 - block as f64;
        // Blocks go round, so that all are of one size.
        place.rem_euclid(blocks as f64) < 1.0 + reach
    };
    // A factor for every entry of the vector of this block: 0 outside, and inside by what it is longer for that.
    let factors = |block: usize, kind| {
        let size = (0..n).filter(|&i| within(i, block, kind)).count();
        let longer = (n as f64 / size.max(1) as f64).sqrt();
        (0..n).map(|i| if within(i, block, kind) { longer } else { 0.0 }).collect::<Vec<f64>>()
    };
    let of_encoders: Vec<Vec<f64>> =
        (0..channels).map(|c| encoders.map_or_else(|| vec![1.0; n], |kind| factors(c, kind))).collect();
    let of_decoders: Vec<Vec<f64>> = (0..channels).map(|c| factors(first + c, decoders)).collect();
    (
        Mat::from_fn(n, channels, |i, c| encoder[(i, c)] * of_encoders[c][i]),
        Mat::from_fn(channels, n, |c, i| decoder[(c, i)] * of_decoders[c][i]),
    )
}

/// The thresholds' biases, b = -threshold, one a neuron that is kept; `None` without a spread.
#[must_use]
pub fn biases(settings: &Settings) -> Option<Vec<f64>> {
    let rng = stream(settings, 100);
    let draw = || {
        let normal = Distribution::<f64>::sample_iter(StandardNormal, rng);
        let all = normal.take(settings.neurons).map(|x| -settings.threshold_spread * x).collect();
        ablation::entries(all, settings)
    };
    (settings.threshold_spread > 0.0).then(draw)
}

/// The currents beta, one a neuron that is kept; `None` without.
#[must_use]
pub fn currents(settings: &Settings) -> Option<Vec<f64>> {
    let mut rng = stream(settings, 102);
    let mut draw = || {
        let all =
            (0..settings.neurons).map(|_| settings.bias_current * rng.random_range(0.0..=1.0)).collect();
        ablation::entries(all, settings)
    };
    (settings.bias_current > 0.0).then(&mut draw)
}

/// +1 for an excitatory, -1 for an inhibitory neuron that is kept; `None` with free signs.
#[must_use]
pub fn signs(settings: &Settings) -> Option<Vec<f64>> {
    let inhibitory = (settings.dale * settings.neurons as f64).round() as usize;
    (settings.dale > 0.0).then(|| {
        let mut signs: Vec<f64> =
            (0..settings.neurons).map(|j| if j < inhibitory { -1.0 } else { 1.0 }).collect();
        signs.shuffle(&mut stream(settings, 101));
        ablation::entries(signs, settings)
    })
}

fn stream(settings: &Settings, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rng.set_stream(number);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Integration;

    fn settings(channels: usize, supports: Supports) -> Settings {
        let task = Integration { decays: vec![0.9; channels], scales: vec![1.0; channels] }.into();
        Settings { neurons: 120, task, supports, ..Settings::default() }
    }

    /// Neurons where a vector is not 0.
    fn support(vector: impl Fn(usize) -> f64) -> Vec<usize> {
        (0..120).filter(|&i| vector(i) != 0.0).collect()
    }

    #[test]
    fn every_kind_of_support_is_what_it_says() {
        for supports in [Supports::Same, Supports::Disjoint, Supports::Overlapping, Supports::RandomEncoder] {
            let (e, d) = vectors(&settings(3, supports));
            let both: Vec<[Vec<usize>; 2]> =
                (0..3).map(|c| [support(|i| e[(i, c)]), support(|i| d[(c, i)])]).collect();
            let shared = |a: &[usize], b: &[usize]| a.iter().filter(|i| b.contains(i)).count();
            let sizes = match supports {
                Supports::Same => [40, 40, 40, 0],
                Supports::Disjoint => [20, 20, 0, 0],
                Supports::Overlapping => [50, 50, 50, 10],
                _ => [120, 40, 40, 120],
            };
            for c in 0..3 {
                let ([e, d], [next, _]) = (&both[c], &both[(c + 1) % 3]);
                assert_eq!([e.len(), d.len(), shared(e, d), shared(e, next)], sizes, "{supports:?}");
            }
            for c in 0..3 {
                assert!((e.col(c).norm_l2() - 1.0).abs() < 0.35 && (d.row(c).norm_l2() - 1.0).abs() < 0.35);
            }
        }
    }

    #[test]
    fn orthonormal_and_overlapping_pairs_are_so_to_rounding() {
        let (e, d) = vectors(&settings(3, Supports::Orthonormal));
        let all = Mat::from_fn(120, 6, |i, k| if k < 3 { e[(i, k)] } else { d[(k - 3, i)] });
        assert!((all.transpose() * &all - Mat::<f64>::identity(6, 6)).norm_max() < 1e-14);
        for overlap in [-1.0, -0.5, 0.0, 0.3, 1.0] {
            let (e, d) = vectors(&Settings { overlap: Some(overlap), ..settings(1, Supports::Random) });
            assert!(((&d * &e)[(0, 0)] - overlap).abs() < 1e-14);
            assert!((e.norm_l2() - 1.0).abs() < 1e-14 && (d.norm_l2() - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn signs_and_thresholds_are_as_many_as_asked_for() {
        let settings = Settings { dale: 0.25, threshold_spread: 0.5, ..settings(1, Supports::Random) };
        let signs = signs(&settings).expect("asked for");
        assert_eq!(signs.iter().filter(|&&s| s == -1.0).count(), 30);
        assert!(signs[..30].contains(&1.0), "spread over all neurons");
        let biases = biases(&settings).expect("asked for");
        let spread = (biases.iter().map(|b| b * b).sum::<f64>() / 120.0).sqrt();
        assert!((spread - 0.5).abs() < 0.1, "{spread}");
        let plain = super::Settings::default();
        assert!(super::signs(&plain).is_none() && super::biases(&plain).is_none());
    }
}
