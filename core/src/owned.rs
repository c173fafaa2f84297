//! A network whose sizes are types: a `static` that owns its parameters.

use crate::error::Error;
use crate::network::{Settings, View, split};
use crate::scalar::Scalar;
use crate::shape::Shape;

/// A network of n = `N` neurons, rank `R` (0 for a dense W), `I` inputs and `O` outputs that owns
/// its `LEN` packed parameters and lends them as a [`View`].
///
/// `LEN` must be [`Shape::parameter_len`]; the compiler says so when it is not:
///
/// ```
/// use tinyfold_core::{Activation, Network, Settings};
///
/// // z' = 0.5 (z + x), y = 2 z', as one linear neuron of rank 1.
/// static HALF: Network<f32, 1, 1, 1, 1, 12> = Network::new(
///     Settings::new(Activation::Linear),
///     [0.0, 0.5, 0.5, 1.0, 2.0, /* c */ 0.0, /* scaling */ 0.0, 1.0, 0.0, 1.0, /* initial */ 0.0, 0.0],
/// );
/// let mut memory = [0.0; Network::<f32, 1, 1, 1, 1, 12>::STATE_LEN];
/// let mut state = HALF.view().state(&mut memory)?;
/// HALF.view().step(&mut state, &[3.0]);
/// assert_eq!(state.carried(), [1.5]);
/// assert_eq!(state.output(), [3.0]);
/// # HALF.validate()?;
/// # Ok::<(), tinyfold_core::Error>(())
/// ```
///
/// ```compile_fail
/// use tinyfold_core::{Activation, Network, Settings};
/// static WRONG: Network<f32, 1, 1, 1, 1, 7> = Network::new(Settings::new(Activation::Linear), [0.0; 7]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Network<T, const N: usize, const R: usize, const I: usize, const O: usize, const LEN: usize> {
    settings: Settings<T>,
    parameters: [T; LEN],
}

impl<T, const N: usize, const R: usize, const I: usize, const O: usize, const LEN: usize>
    Network<T, N, R, I, O, LEN>
{
    /// Sizes.
    pub const SHAPE: Shape = Shape { neurons: N, rank: R, inputs: I, outputs: O };
    /// Words of memory for a state: `[0.0; STATE_LEN]`.
    pub const STATE_LEN: usize = Self::SHAPE.state_len();

    /// A network of packed parameters, in the order of [`pack`](crate::pack::pack).
    pub const fn new(settings: Settings<T>, parameters: [T; LEN]) -> Self {
        const {
            assert!(N >= 1 && N <= Shape::MOST && R <= Shape::MOST, "N must be 1 to 4096, R 0 to 4096");
            assert!(I <= Shape::MOST && O >= 1 && O <= Shape::MOST, "I must be 0 to 4096, O 1 to 4096");
            assert!(LEN == Self::SHAPE.parameter_len(), "LEN must be Shape::parameter_len() of N, R, I, O");
        }
        Self { settings, parameters }
    }
}

impl<T: Scalar, const N: usize, const R: usize, const I: usize, const O: usize, const LEN: usize>
    Network<T, N, R, I, O, LEN>
{
    /// The view that every kernel takes. Costs nothing; the numbers are those given to `new`, see
    /// [`Network::validate`].
    #[must_use]
    pub fn view(&self) -> View<'_, T> {
        View::lend(Self::SHAPE, self.settings, split(&Self::SHAPE, &self.parameters))
    }

    /// Checks the numbers once, as [`View::new`] does for bytes.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn validate(&self) -> Result<(), Error> {
        View::from_words(Self::SHAPE, self.settings, &self.parameters).map(|_| ())
    }
}
