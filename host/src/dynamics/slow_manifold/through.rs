//! The slow line of a network, whatever its fixed points are.

use std::sync::atomic::AtomicBool;

use super::curve::{Frame, Options, SlowManifold};
use crate::dynamics::fixed_points::Continuum;
use crate::dynamics::{Rnn, System, spectrum};
use crate::error::require;
use crate::{Error, Result};

/// Residual of a line of fixed points above which it is none, in parts of the size of states.
const ON_LINE: f64 = 1e-6;

impl SlowManifold {
    /// The slow manifold through those of the fixed points that grow in at most one direction, or through the states of
    /// a line of fixed points; of one fixed point its slow spectral submanifold.
    ///
    /// anchor: the fixed point whose slow direction is the coordinate; default: that with the widest gap. reach: as of
    /// [`SlowManifold::around`].
    ///
    /// # Errors
    /// No such fixed point; a surface or a closed curve of them; as [`SlowManifold::find`] and
    /// [`SlowManifold::around`].
    pub fn through(
        rnn: &Rnn,
        points: &[Vec<f64>],
        continuum: Option<&Continuum>,
        anchor: Option<&[f64]>,
        reach: f64,
        options: &Options,
        stop: &AtomicBool,
    ) -> Result<Self> {
        if let Some(continuum) = continuum {
            require(anchor.is_none(), "anchor", "none where there is a line of fixed points", "one")?;
            return Self::along(rnn, continuum, options, stop);
        }
        let mut slow = Vec::new();
        for x in points {
            if spectrum::index(rnn.kind, &spectrum::eigenvalues(rnn, x)?) <= 1 {
                slow.push(x.clone());
            }
        }
        if let [only] = &slow[..] {
            require(
                anchor.is_none_or(|x| x == only),
                "anchor",
                "the fixed point that the line goes through",
                "another",
            )?;
            return Self::around(rnn, only, reach, options.degree);
        }
        if slow.is_empty() {
            return Err(Error::input(
                "fixed points",
                "at least 1 with at most one growing direction, for a line; `tinyfold dynamics fixed-points` lists them",
                format!("{} of {}", slow.len(), points.len()),
            ));
        }
        let frame = match anchor {
            Some(x) => Frame::at(rnn, x)?,
            None => Frame::choose(rnn, &slow)?,
        };
        Self::find(rnn, &slow, frame, options, stop)
    }

    /// The line through the states of a continuum of one dimension, between the two that are extreme.
    fn along(rnn: &Rnn, continuum: &Continuum, options: &Options, stop: &AtomicBool) -> Result<Self> {
        let Continuum { dimension, states, .. } = continuum;
        if *dimension != 1 {
            return Err(Error::input(
                "fixed points",
                "isolated ones or a line of them",
                format!(
                    "a surface of {dimension} dimensions, each of its states at rest: `tinyfold dynamics attractor --shape plane` judges planes"
                ),
            ));
        }
        let frame = Frame::at(rnn, &states[0])?;
        match Self::find(rnn, states, frame, options, stop) {
            Ok(line) if line.residual <= ON_LINE * rnn.size() => Ok(line),
            _ => Err(Error::input(
                "fixed points",
                "isolated ones or a straight enough line of them",
                "a curve of them that turns back or closes; `tinyfold dynamics attractor --shape ring` judges rings",
            )),
        }
    }
}
