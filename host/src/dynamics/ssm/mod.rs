//! Spectral submanifolds (SSMs) from the equations: the invariant manifold over chosen eigenvectors, to any
//! order.
//!
//! ```text
//! flow: F(W(p)) = DW(p) R(p)        map: f(W(p)) = W(R(p))
//! ```
//!
//! W (p to n numbers) is the manifold, R the reduced dynamics in its coordinates p = l · (x - x0). Order k of
//! both sides gives (A - s) w - v r = (known), a bordered system with l · w = 0: also where s is 0 or an
//! eigenvalue. [`line()`] is over one real eigenvalue, [`plane`] over two, [`pair`] over a complex one and
//! its conjugate. [`with_parameter`] is over one and the parameter, which predicts folds ([`Ssm::folds`]);
//! [`plane_with_parameter`] and [`pair_with_parameter`] predict all bifurcations of two coordinates
//! ([`Ssm::bifurcations`]).
//!
//! A power series ends at its radius of convergence; [`Pade`] goes on behind it. Nodes of a line attractor
//! have a small radius, since their ratio of eigenvalues is near a whole number: anchor at saddles.
//!
//! [`for_chip`] makes the reduced model of one or two coordinates that a microcontroller runs in place of the network.
//!
//! Source: Haller & Ponsioen 2016 (existence and uniqueness), Cabre, Fontich & de la Llave 2003
//! (parameterisation method); Marraffa et al. 2025 for recurrent networks.

mod bifurcations;
mod chip;
mod domain;
mod folds;
mod follow;
mod invariance;
mod normal_form;
mod pade;
mod polynomial;
mod reduced;
mod series;
mod spectrum;
mod study;
mod taylor;

pub use bifurcations::{Predicted, Predictions};
pub use chip::for_chip;
pub use domain::{Direction, Resonance};
pub use faer::c64;
pub use folds::Fold;
pub use follow::Followed;
pub use normal_form::{Backbone, BackbonePoint, NormalForm};
pub use pade::{Pade, PadeLine};
pub use polynomial::Polynomial;
pub use reduced::{Comparison, Root};
pub use series::{Scalar, Series};
pub use spectrum::Spectrum;
pub use study::{Anchor, Choice, Coefficient, Curve, Study};
pub use taylor::{Analytic, Expansion, Shape, held};

use crate::dynamics::Kind;
use crate::error::require;
use crate::{Error, Result};
use spectrum::Frame;

/// The highest order that is computed: beyond it powers of p leave the range of f64.
pub const HIGHEST: usize = 60;

/// The same of two coordinates and the parameter, whose series have C(order + 3, 3) terms: a map keeps as many series.
pub const HIGHEST_OF_THREE: usize = 30;

/// What the coordinates are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    /// One real p.
    Line,
    /// Two real p, or real and imaginary part of one complex p.
    Plane,
    /// One real p and the parameter, as its distance from that of the fixed point.
    Parameter,
    /// Those of a plane and the parameter.
    #[serde(rename = "plane-parameter")]
    PlaneParameter,
}

impl Chart {
    /// Real coordinates of the state: 1 or 2.
    #[must_use]
    pub fn states(self) -> usize {
        match self {
            Self::Line | Self::Parameter => 1,
            Self::Plane | Self::PlaneParameter => 2,
        }
    }

    /// Whether the parameter is the last coordinate.
    #[must_use]
    pub fn moves(self) -> bool {
        matches!(self, Self::Parameter | Self::PlaneParameter)
    }
}

/// How the coordinates are chosen beyond the linear order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// l · W = p: the manifold is a graph over its eigenvectors, R has all terms.
    Graph,
    /// R has only the terms that no change of coordinates removes: of a pair, z times powers of |z|².
    NormalForm,
}

/// A spectral submanifold: W and R.
#[derive(Clone, Debug)]
pub struct Ssm<S> {
    /// Map or flow.
    pub kind: Kind,
    /// What the coordinates are.
    pub chart: Chart,
    /// How they are chosen.
    pub style: Style,
    /// The parameter at the fixed point.
    pub mu: f64,
    /// The chosen eigenvalues; of a pair it and its conjugate.
    pub eigenvalues: Vec<S>,
    /// l of each, columns of n, l · v = 1.
    pub left: Vec<Vec<f64>>,
    /// W; its order 0 is the fixed point, its order 1 the right eigenvectors, |v| = 1.
    pub manifold: Series<S>,
    /// R, a series of one number for each coordinate.
    pub rates: Vec<Series<S>>,
}

/// The SSM over the real eigenvalue number `index` of `spectrum`, up to `order`.
///
/// W = sum W_k p^k, R = sum R_k p^k, |W_1| = 1 with its largest number positive, l · W_k = 0 for k >= 2.
///
/// # Errors
/// A complex eigenvalue; an order that is not 1 to [`HIGHEST`]; a resonance; a network that is not analytic
/// there.
///
/// Source: Haller & Ponsioen 2016.
///
/// ```
/// use tinyfold::dynamics::{Kind, ssm};
/// // x' = x - x³, y' = -2 y + 4 x² - 2 x⁴ has the manifold y = x².
/// let system = ssm::Polynomial::new(2, Kind::Flow)
///     .term(0, 1.0, &[0])
///     .term(0, -1.0, &[0, 0, 0])
///     .term(1, -2.0, &[1])
///     .term(1, 4.0, &[0, 0])
///     .term(1, -2.0, &[0; 4]);
/// let spectrum = ssm::Spectrum::new(&system, &[0.0, 0.0], 0.0)?;
/// let ssm = ssm::line(&system, &spectrum, 0, 7)?;
/// let x = ssm.state(&[0.5]);
/// assert!((x[0] - 0.5).abs() < 1e-14 && (x[1] - 0.25).abs() < 1e-14);
/// assert!((ssm.rates[0].get(3, 0, 0) + 1.0).abs() < 1e-14);
/// # Ok::<(), tinyfold::Error>(())
/// ```
pub fn line(family: &impl Analytic, spectrum: &Spectrum, index: usize, order: usize) -> Result<Ssm<f64>> {
    build(family, spectrum, &[real(spectrum, index)?], (Chart::Line, Style::Graph), order)
}

/// The SSM over two real eigenvalues.
///
/// # Errors
/// As [`line()`]; the same eigenvalue twice.
pub fn plane(
    family: &impl Analytic,
    spectrum: &Spectrum,
    indices: [usize; 2],
    order: usize,
) -> Result<Ssm<f64>> {
    build(family, spectrum, &two(spectrum, indices)?, (Chart::Plane, Style::Graph), order)
}

/// The SSM over a complex eigenvalue and its conjugate, in z and its conjugate.
///
/// The largest number of v is real and positive.
///
/// # Errors
/// As [`line()`]; a real eigenvalue.
pub fn pair(
    family: &impl Analytic,
    spectrum: &Spectrum,
    index: usize,
    style: Style,
    order: usize,
) -> Result<Ssm<c64>> {
    build(family, spectrum, &[complex(spectrum, index)?], (Chart::Plane, style), order)
}

/// The SSM over a real eigenvalue and the parameter: coordinates p and mu - `spectrum.mu`.
///
/// # Errors
/// As [`line()`]; a family that the parameter does not move.
pub fn with_parameter(
    family: &impl Analytic,
    spectrum: &Spectrum,
    index: usize,
    order: usize,
) -> Result<Ssm<f64>> {
    build(family, spectrum, &[real(spectrum, index)?], (Chart::Parameter, Style::Graph), order)
}

/// The SSM over two real eigenvalues and the parameter: coordinates p1, p2 and mu - `spectrum.mu`.
///
/// # Errors
/// As [`plane`], with an order of at most [`HIGHEST_OF_THREE`]; a family that the parameter does not move.
pub fn plane_with_parameter(
    family: &impl Analytic,
    spectrum: &Spectrum,
    indices: [usize; 2],
    order: usize,
) -> Result<Ssm<f64>> {
    build(family, spectrum, &two(spectrum, indices)?, (Chart::PlaneParameter, Style::Graph), order)
}

/// The SSM over a complex eigenvalue, its conjugate and the parameter: coordinates z, its conjugate and mu -
/// `spectrum.mu`.
///
/// In normal form z = 0 is the branch of fixed points, and R = z f(|z|², mu).
///
/// # Errors
/// As [`pair`], with an order of at most [`HIGHEST_OF_THREE`].
pub fn pair_with_parameter(
    family: &impl Analytic,
    spectrum: &Spectrum,
    index: usize,
    style: Style,
    order: usize,
) -> Result<Ssm<c64>> {
    build(family, spectrum, &[complex(spectrum, index)?], (Chart::PlaneParameter, style), order)
}

fn complex(spectrum: &Spectrum, index: usize) -> Result<c64> {
    let value = spectrum.eigenvalue(index)?;
    require(value.im != 0.0, "eigenvalue", "a complex one", format!("{:.6}, real", value.re))?;
    Ok(c64::new(value.re, value.im.abs()))
}

fn two(spectrum: &Spectrum, indices: [usize; 2]) -> Result<[f64; 2]> {
    require(indices[0] != indices[1], "eigenvalues", "two different ones", format!("{indices:?}"))?;
    Ok([real(spectrum, indices[0])?, real(spectrum, indices[1])?])
}

fn real(spectrum: &Spectrum, index: usize) -> Result<f64> {
    let value = spectrum.eigenvalue(index)?;
    let found = || format!("number {index} = {:.6} {:+.6}i, one of a pair", value.re, value.im);
    let expected = "a real one; a pair is taken whole, --dimension 2 --eigenvalue of its first";
    if value.im == 0.0 { Ok(value.re) } else { Err(Error::input("eigenvalue", expected, found())) }
}

fn build<S: Scalar>(
    family: &impl Analytic,
    spectrum: &Spectrum,
    values: &[S],
    (chart, style): (Chart, Style),
    order: usize,
) -> Result<Ssm<S>> {
    let (most, of) = match chart {
        Chart::PlaneParameter => (HIGHEST_OF_THREE, " of two coordinates and a parameter"),
        _ => (HIGHEST, ""),
    };
    require((1..=most).contains(&order), "order", format!("1 to {most}{of}"), order)?;
    let needed = values.len().max(S::PARTS);
    require(spectrum.x.len() >= needed, "dimension", format!("at least {needed}"), spectrum.x.len())?;
    let mut frame = Frame::new(&spectrum.jacobian, values)?;
    let (manifold, rates) = invariance::solve(family, spectrum, &mut frame, (chart, style), order)?;
    Ok(Ssm {
        kind: spectrum.kind,
        chart,
        style,
        mu: spectrum.mu,
        eigenvalues: frame.masters.iter().map(|master| master.value).collect(),
        left: frame.masters.into_iter().map(|master| master.left).collect(),
        manifold,
        rates,
    })
}
