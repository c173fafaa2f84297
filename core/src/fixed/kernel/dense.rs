//! Dense products in assembly.

#[cfg(tinyfold_dsp)]
use crate::fixed::Rates;
use crate::fixed::Weight;
use crate::fixed::dense::{COLUMNS, ROWS, Rate, Sums, padded, panel_len};

#[cfg(tinyfold_dsp)]
assembly!("dense_dsp.s");
#[cfg(tinyfold_thumb2)]
assembly!("dense_thumb2.s");
#[cfg(tinyfold_thumb1)]
assembly!("dense_thumb1.s");

/// What a kernel reads besides the panels; the assembly knows its layout.
#[repr(C)]
struct Job {
    rates: *const Rate,
    rates_end: *const Rate,
    p: *mut i32,
    p_end: *mut i32,
    start: i32,
    left: u32,
    right: u32,
}

/// Computes p of at least one panel of at least four columns; ends when `p` is full.
type Kernel = unsafe extern "C" fn(panels: *const i32, job: *const Job);

unsafe extern "C" {
    fn tinyfold_fixed_i16(panels: *const i32, job: *const Job);
    fn tinyfold_fixed_i8(panels: *const i32, job: *const Job);
    #[cfg(not(tinyfold_thumb1))]
    fn tinyfold_fixed_i16_wide(panels: *const i32, job: *const Job);
    #[cfg(tinyfold_dsp)]
    fn tinyfold_fixed_i8_i8(panels: *const i32, job: *const Job);
    #[cfg(tinyfold_dsp)]
    fn tinyfold_fixed_mix(rates: *const Rate, rates_end: *const Rate, mixed: *mut Rate) -> i32;
}

/// A kernel with the rates as it takes them.
pub(in crate::fixed) struct Prepared<'a> {
    kernel: Kernel,
    rates: &'a [Rate],
    panel: usize,
    /// What every sum begins with, for the 128 that is added to half of the weights of 8 bits.
    start: i32,
    left: u32,
    right: u32,
}

impl<'a> Prepared<'a> {
    /// The kernel for such sums, if there is one.
    pub(in crate::fixed) fn new<W: Weight>(
        sums: Sums,
        columns: usize,
        rates: &'a [Rate],
        #[cfg(tinyfold_dsp)] (kind, room): (Rates, &'a mut [Rate]),
    ) -> Option<Self> {
        let rates = rates.get(..padded(columns))?;
        let panel = panel_len::<W>(columns);
        if rates.is_empty() {
            return None;
        }
        let (kernel, left, right): (Kernel, _, _) = match (W::IN_A_WORD, sums) {
            (2, Sums::Narrow { left, right }) => (tinyfold_fixed_i16, left, right),
            #[cfg(not(tinyfold_thumb1))]
            (2, Sums::Wide { right }) => (tinyfold_fixed_i16_wide, 0, right),
            #[cfg(tinyfold_dsp)]
            (4, Sums::Narrow { left: 8, right: 0 }) if kind == Rates::I8 => {
                let mixed = room.get_mut(..rates.len())?;
                let range = rates.as_ptr_range();
                // SAFETY: both slices have the same number of rates, whole blocks of four and at least one.
                let first = unsafe { tinyfold_fixed_mix(range.start, range.end, mixed.as_mut_ptr()) };
                let start = first.wrapping_mul(-128 * 256);
                return Some(Self {
                    kernel: tinyfold_fixed_i8_i8,
                    rates: mixed,
                    panel,
                    start,
                    left: 0,
                    right: 0,
                });
            }
            (4, Sums::Narrow { left, right }) => (tinyfold_fixed_i8, left, right),
            _ => return None,
        };
        let start = if W::IN_A_WORD == 4 {
            rates.as_chunks::<COLUMNS>().0.iter().fold(0_i32, |start, &[x0, x1, ..]| {
                start.wrapping_sub((i32::from(x0) + i32::from(x1)).wrapping_mul(128))
            })
        } else {
            0
        };
        Some(Self { kernel, rates, panel, start, left, right })
    }

    /// p of whole panels, as many as fill `p`.
    pub(in crate::fixed) fn run(&self, panels: &[i32], p: &mut [i32]) {
        let count = p.len() / ROWS;
        if count == 0 || !p.len().is_multiple_of(ROWS) || panels.len() < count * self.panel {
            return;
        }
        let (rates, p) = (self.rates.as_ptr_range(), p.as_mut_ptr_range());
        let Self { start, left, right, .. } = *self;
        let job =
            Job { rates: rates.start, rates_end: rates.end, p: p.start, p_end: p.end, start, left, right };
        // SAFETY: `rates` is whole blocks of four columns and at least one, `p` whole panels and at least
        // one; `panels` has all the words of these panels with these columns. The kernel writes `p` only.
        unsafe { (self.kernel)(panels.as_ptr(), &raw const job) };
    }
}
