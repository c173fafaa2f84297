//! What is refused before a run starts.

use super::Settings;
use super::optimiser::Method;
use super::settings::{Loss, Schedule, Supports};
use super::vectors::vectors;
use crate::error::require;
use crate::network::Activation;
use crate::task::Dataset;
use crate::task::trial::LARGEST;
use crate::{Error, Result, format};

/// The most that a count or a seed may be: what a file of settings can hold.
const MOST: u64 = i64::MAX as u64;

impl Settings {
    /// phi.
    ///
    /// # Errors
    /// A field out of range, or one that does not fit the recording: the message names it.
    pub fn check(&self, data: Option<&Dataset>) -> Result<Activation<f64>> {
        let activation =
            format::network::names::parse_activation(&self.activation, &self.activation_parameters);
        let activation = activation.ok_or_else(|| {
            let (known, name) = (format::network::names::ACTIVATIONS, self.activation.as_str());
            if known.contains(&name) {
                let expected = match name {
                    "clipped" => "lo,hi of clipped, lo at most hi",
                    "sigmoid" => "slope,threshold of sigmoid, or none",
                    _ => "none: only clipped and sigmoid have parameters",
                };
                return Error::input(
                    "activation_parameters",
                    expected,
                    format!("{:?}", self.activation_parameters),
                );
            }
            let (expected, found) = format::settings::unknown(name, known);
            Error::input("activation", expected, found)
        })?;
        self.task.trials().check(self.sequence)?;
        for (field, value) in [("neurons", self.neurons), ("sequence", self.sequence), ("batch", self.batch)]
        {
            let expected = format!("from 1 to {LARGEST}");
            require((1..=LARGEST).contains(&value), field, expected, value)?;
        }
        for (field, value, least) in [
            ("steps", self.steps as u64, 1),
            ("interval", self.interval as u64, 1),
            ("patience", self.patience as u64, 0),
            ("seed", self.seed, 0),
        ] {
            let expected = format!("from {least} to {MOST}");
            require((least..=MOST).contains(&value), field, expected, value)?;
        }
        require(self.rank <= self.neurons, "rank", format!("at most n = {}", self.neurons), self.rank)?;
        require(self.alpha > 0.0 && self.alpha <= 1.0, "alpha", "a leak above 0 and at most 1", self.alpha)?;
        for (field, value) in [("learning_rate", self.learning_rate), ("clip", self.clip)] {
            require(value > 0.0 && value.is_finite(), field, "a positive number", value)?;
        }
        self.check_ablation()?;
        self.check_constraints(activation)?;
        self.check_reduced(activation)?;
        let Self { train_weights, free_input, train_encoder, train_bias, train_readout, .. } = *self;
        let expected = "free_input = false beside it: an E that is trained needs B = W E";
        require(!(train_encoder && free_input), "train_encoder", expected, "free_input = true")?;
        let trained = [train_weights, free_input, train_encoder, train_bias, train_readout];
        require(trained.contains(&true), "train_weights", "true where nothing else is trained", false)?;
        self.check_alive()?;
        let decay = self.weight_decay;
        require(decay >= 0.0 && decay.is_finite(), "weight_decay", "0 or a positive number", decay)?;
        if let Method::Sgd { momentum } = self.method {
            require((0.0..1.0).contains(&momentum), "momentum", "at least 0 and below 1", momentum)?;
        }
        let fraction = self.from_recording;
        let place = "from_recording";
        require((0.0..=1.0).contains(&fraction), place, "a number from 0 to 1", fraction)?;
        let windows = super::windows(self);
        let expected = format!("0, or at least one of the {} sequences of a batch", self.batch);
        require(fraction == 0.0 || windows > 0, place, expected, fraction)?;
        let Some(data) = data else {
            require(fraction == 0.0, place, "0 without a recording", fraction)?;
            return Ok(activation);
        };
        let channels = self.integration("a recording")?.channels();
        let width = data.inputs.len();
        require(width == channels, "recording", format!("{channels} input columns, one a decay"), width)?;
        let longest = data.recordings.iter().map(|r| r.x.len() / width).max().unwrap_or(0);
        let expected = format!("at least {} samples in a row, as many as a sequence has", self.sequence);
        require(fraction == 0.0 || longest >= self.sequence, "recording", expected, longest)?;
        Ok(activation)
    }

    /// What only integration has.
    fn check_task(&self) -> Result<()> {
        if self.loss != Loss::Batch {
            self.integration("loss average or proxy")?;
        }
        if self.proxy_weight > 0.0 {
            self.integration("proxy_weight")?;
        }
        if self.supports != Supports::Random {
            self.integration("supports other than random")?;
        }
        if self.overlap.is_some() {
            self.integration("overlap")?;
        }
        Ok(())
    }

    /// That every input can reach an output: W is not 0 for good, no vector is masked as a whole.
    fn check_alive(&self) -> Result<()> {
        let alive = self.train_weights || self.free_input || self.start_gain > 0.0;
        let expected =
            "above 0, or free_input = true, for a W that is not trained: it stays 0, and B = W E with it";
        require(alive, "start_gain", expected, self.start_gain)?;
        if self.kept().is_none() {
            return Ok(());
        }
        let task = self.task.trials();
        let (encoder, decoder) = vectors(self);
        let masked = |kind: &str, name: &String| {
            let expected = format!("neurons left in the support of every {kind}");
            Error::input("ablation", expected, format!("none for that of {name}"))
        };
        for (column, name) in encoder.col_iter().zip(&task.inputs()) {
            if !self.free_input && column.iter().all(|&e| e == 0.0) {
                return Err(masked("encoder", name));
            }
        }
        for (row, name) in decoder.row_iter().zip(&task.outputs()) {
            if !self.train_readout && row.iter().all(|&d| d == 0.0) {
                return Err(masked("decoder", name));
            }
        }
        Ok(())
    }

    /// What only some losses, parametrisations and activations can do.
    fn check_constraints(&self, activation: Activation<f64>) -> Result<()> {
        self.check_task()?;
        let channels = self.task.trials().inputs().len();
        require((0.0..1.0).contains(&self.dale), "dale", "a fraction of at least 0 and below 1", self.dale)?;
        let blocks = match self.supports {
            Supports::Random => 1,
            Supports::Disjoint => 2 * channels,
            _ => channels,
        };
        let place = "neurons";
        require(
            self.neurons >= blocks,
            place,
            format!("at least {blocks}, one a block of the supports"),
            self.neurons,
        )?;
        if self.supports == Supports::Orthonormal {
            let least = 2 * channels;
            require(
                self.neurons >= least,
                place,
                format!("at least 2 D = {least} for orthonormal vectors"),
                self.neurons,
            )?;
        }
        if let Some(overlap) = self.overlap {
            let place = "overlap";
            require((-1.0..=1.0).contains(&overlap), place, "a cosine from -1 to 1", overlap)?;
            let least = format!("at least 2 for an encoder and a decoder with an {place}");
            require(self.neurons >= 2, "neurons", least, self.neurons)?;
            let fits = channels == 1 && self.supports == Supports::Random;
            require(
                fits,
                place,
                "one channel and random supports",
                format!("D = {channels}, {:?}", self.supports),
            )?;
        }
        for (field, value) in [
            ("threshold_spread", self.threshold_spread),
            ("bias_current", self.bias_current),
            ("start_gain", self.start_gain),
            ("proxy_weight", self.proxy_weight),
            ("stop_loss", self.stop_loss),
        ] {
            require(value >= 0.0 && value.is_finite(), field, "0 or a positive number", value)?;
        }
        for (field, value) in [("encoder_scale", self.encoder_scale), ("decoder_scale", self.decoder_scale)] {
            require(value != 0.0 && value.is_finite(), field, "a number other than 0", value)?;
        }
        let range = self.proxy_range;
        require(range > 0.0 && range.is_finite(), "proxy_range", "a positive number", range)?;
        if let Schedule::Halving { every } = self.schedule {
            let fits = every > 0 && every as u64 <= MOST;
            require(fits, "schedule.halving.every", format!("from 1 to {MOST}"), every)?;
        }
        let conditions = self.loss != Loss::Batch || self.proxy_weight > 0.0;
        if conditions {
            let place = "loss";
            for (asked, found) in
                [(self.nonlinear_decoder, "nonlinear_decoder"), (self.bias_current > 0.0, "bias_current")]
            {
                require(!asked, place, format!("batch with {found}"), found)?;
            }
            require(
                self.alpha == 1.0,
                place,
                "batch with a leak: the conditions are those of alpha = 1",
                self.alpha,
            )?;
            require(
                !self.free_input,
                place,
                "batch where B is trained by itself: the conditions have B = W E",
                "free_input",
            )?;
            require(
                self.from_recording == 0.0,
                place,
                "batch with windows of a recording",
                self.from_recording,
            )?;
        }
        if self.loss == Loss::Average {
            let free = activation == Activation::Linear && !self.train_bias && self.threshold_spread == 0.0;
            let found = &self.activation;
            require(free, "loss", "batch or proxy: average is for linear networks without biases", found)?;
        }
        Ok(())
    }

    /// That the gradient stays in the span of encoders and decoders.
    fn check_reduced(&self, activation: Activation<f64>) -> Result<()> {
        if !self.reduced {
            return Ok(());
        }
        let linear = activation == Activation::Linear && !self.nonlinear_decoder;
        require(linear, "reduced", "a linear network and decoder", &self.activation)?;
        for (asked, found) in [
            (self.rank > 0, "rank"),
            (self.dale > 0.0, "dale"),
            (self.free_input, "free_input"),
            (self.train_encoder, "train_encoder"),
            (self.train_bias, "train_bias"),
            (self.train_readout, "train_readout"),
            (self.threshold_spread > 0.0, "threshold_spread"),
            (self.bias_current > 0.0, "bias_current"),
        ] {
            require(!asked, "reduced", format!("no {found}: it leaves the span of E and C"), found)?;
        }
        let task = self.task.trials();
        let least = task.inputs().len() + task.outputs().len();
        let kept = self.kept().map_or(self.neurons, |kept| kept.len());
        require(kept >= least, "neurons", format!("at least {least} for the reduction"), kept)
    }
}
