//! Products of f32 matrices on AVX-512: C = A B or C += A B.
//!
//! A is laid out in panels of M rows, B in panels of N columns, both in blocks of K. A panel of A stays in the first
//! cache while all panels of a block of B pass by it from the second one, and M × N sums stay in registers. The next
//! panel of A is fetched meanwhile: without that, a network of 1024 neurons, whose weights are in the third cache,
//! waits for a fifth of its time. Laying out A costs a fifth of a product with 128 columns, so that it is done once for
//! all steps of a pass; B is read where it is if few panels of A pass by it.
//!
//! Source: Goto & van de Geijn 2008, Anatomy of high-performance matrix multiplication (blocks and panels).
#![allow(unsafe_code)] // Vectors of 512 bits are read and written through pointers.

use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_fmadd_ps, _mm512_load_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};
use std::array::from_fn;
use std::cell::RefCell;
use std::mem::take;
use std::ptr::slice_from_raw_parts;
use std::sync::Mutex;

use faer::{Accum, MatMut, MatRef};

/// Numbers in a vector; one line of the cache.
const LANES: usize = 16;
/// Rows of a panel of A.
const M: usize = 2 * LANES;
/// Columns of a panel of B: with M, sums that leave registers for what they are made of.
const N: usize = 8;
/// Rows of B in a block: a panel of A takes 32 KB.
const K: usize = 256;
/// Columns of B in a block, which then takes 256 KB.
const COLUMNS: usize = 256;
/// Rows of A from which on B is laid out even if its columns are contiguous.
const MANY: usize = 512;

/// Aligned as vectors are.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

thread_local! {
    /// The block of B at hand.
    static BLOCK: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Memory of factors that are no more, kept for the next: fresh pages take longer than laying out.
static SPARE: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());
/// The most that is kept of it besides one for each thread: W and Wᵀ.
const SHARED: usize = 2;

/// A, laid out: block after block of K columns, in each panel after panel of M rows, column after column.
pub struct Packed {
    rows: usize,
    columns: usize,
    lines: Vec<Line>,
}

impl Drop for Packed {
    fn drop(&mut self) {
        if let Ok(mut spare) = SPARE.lock()
            && spare.len() < rayon::current_num_threads() + SHARED
        {
            spare.push(take(&mut self.lines));
        }
    }
}

impl Packed {
    /// `None` on a machine without AVX-512.
    pub fn new(a: MatRef<'_, f32>) -> Option<Self> {
        if !is_x86_feature_detected!("avx512f") {
            return None;
        }
        let (rows, columns) = a.shape();
        let mut lines = SPARE.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default();
        // SAFETY: the machine has AVX-512.
        unsafe { pack::<M>(a, &mut lines) };
        Some(Self { rows, columns, lines })
    }

    /// dst = a b, or dst += a b.
    ///
    /// # Panics
    /// If the shapes do not fit, or if columns of dst are not contiguous.
    pub fn times(&self, mut dst: MatMut<'_, f32>, accum: Accum, b: MatRef<'_, f32>) {
        assert_eq!(b.nrows(), self.columns, "rows of the right factor");
        assert_eq!(dst.shape(), (self.rows, b.ncols()), "shape of a product");
        assert_eq!(dst.row_stride(), 1, "columns of a product are contiguous");
        BLOCK.with_borrow_mut(|memory| {
            for start in (0..self.columns).step_by(K) {
                let depth = K.min(self.columns - start);
                let add = start > 0 || accum == Accum::Add;
                for first in (0..b.ncols()).step_by(COLUMNS) {
                    let columns = COLUMNS.min(b.ncols() - first);
                    let b = b.submatrix(start, first, depth, columns);
                    let dst = dst.as_mut().subcols_mut(first, columns);
                    // SAFETY: there is a Packed only on machines with AVX-512; the shapes fit.
                    unsafe {
                        let block = if b.row_stride() == 1 && self.rows < MANY {
                            Block::of(b)
                        } else {
                            pack::<N>(b.transpose(), memory);
                            Block::laid_out(memory, depth)
                        };
                        self.add_block(dst, add, start, depth, &block);
                    }
                }
            }
        });
    }

    /// dst += a b, or = where not to be added, for the block of `depth` columns of A from `start` on.
    ///
    /// # Safety
    /// AVX-512; dst has the rows of A and contiguous columns, b `depth` rows and the columns of dst.
    #[target_feature(enable = "avx512f")]
    unsafe fn add_block(&self, dst: MatMut<'_, f32>, add: bool, start: usize, depth: usize, b: &Block) {
        let (panels, tiles) = (self.rows.div_ceil(M), dst.ncols().div_ceil(N));
        let a = &self.lines[start * panels * M / LANES..];
        let panel_lines = depth * M / LANES;
        let fetched = panel_lines.div_ceil(tiles);
        let apart = dst.col_stride();
        let dst_start = dst.as_ptr_mut();
        for panel in 0..panels {
            let rows = M.min(self.rows - panel * M);
            let lines = a[panel * panel_lines..].as_ptr();
            let (left, next) = (lines.cast::<f32>(), lines.wrapping_add(panel_lines));
            for tile in 0..tiles {
                let columns = N.min(dst.ncols() - tile * N);
                // SAFETY: panels of A and columns of B are `depth` long; rows and columns end with those of dst.
                unsafe {
                    // Columns that are missing are the last one again: what comes of them is not stored.
                    let right = from_fn(|j| b.column(tile, j.min(columns - 1)));
                    let to = dst_start.offset((panel * M) as isize + apart * (tile * N) as isize);
                    let fetch = slice_from_raw_parts(next.wrapping_add(tile * fetched), fetched);
                    let sums = tile_of(depth, left, right, b.down, to, apart, fetch);
                    store(&sums, to, apart, rows, columns, add);
                }
            }
        }
    }
}

/// A block of B: where it starts, and how far apart its panels of N columns are, columns of a panel, and rows.
struct Block {
    start: *const f32,
    panel: isize,
    across: isize,
    down: usize,
}

impl Block {
    /// A block whose columns are contiguous, where it is.
    fn of(b: MatRef<'_, f32>) -> Self {
        Self { start: b.as_ptr(), panel: b.col_stride() * N as isize, across: b.col_stride(), down: 1 }
    }

    /// Panels of `depth` rows, one after the other.
    fn laid_out(panels: &[Line], depth: usize) -> Self {
        Self { start: panels.as_ptr().cast(), panel: (depth * N) as isize, across: 1, down: N }
    }

    /// Where a column of a panel begins.
    fn column(&self, panel: usize, j: usize) -> *const f32 {
        self.start.wrapping_offset(self.panel * panel as isize + self.across * j as isize)
    }
}

/// The product of a panel of A and N columns of B, rows of which are `down` apart; fetches some lines, and those that the
/// sums go to.
///
/// # Safety
/// AVX-512; panel and columns are `depth` long.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn tile_of(
    depth: usize,
    mut left: *const f32,
    right: [*const f32; N],
    down: usize,
    to: *const f32,
    apart: isize,
    fetch: *const [Line],
) -> [[__m512; 2]; N] {
    let mut sums = [[_mm512_setzero_ps(); 2]; N];
    for j in 0..N {
        let column = to.wrapping_offset(apart * j as isize);
        _mm_prefetch::<_MM_HINT_T0>(column.wrapping_add(LANES - 1).cast());
        _mm_prefetch::<_MM_HINT_T0>(column.wrapping_add(M - 1).cast());
    }
    let mut at = 0;
    let mut step = || {
        // SAFETY: called `depth` times.
        unsafe {
            let a = [_mm512_load_ps(left), _mm512_load_ps(left.add(LANES))];
            for (sums, right) in sums.iter_mut().zip(right) {
                let b = _mm512_set1_ps(*right.add(at));
                *sums = from_fn(|half| _mm512_fmadd_ps(a[half], b, sums[half]));
            }
            left = left.add(M);
            at += down;
        }
    };
    let fetched = fetch.len().min(depth);
    for line in 0..fetched {
        _mm_prefetch::<_MM_HINT_T1>(fetch.cast::<Line>().wrapping_add(line).cast());
        step();
    }
    for _ in fetched..depth {
        step();
    }
    sums
}

/// Writes the first rows and columns of a tile, or adds them.
///
/// # Safety
/// AVX-512; `to` has that many rows and columns, these `apart`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store(sums: &[[__m512; 2]; N], to: *mut f32, apart: isize, rows: usize, columns: usize, add: bool) {
    let masks = [first(rows), first(rows.saturating_sub(LANES))];
    for (j, sums) in sums.iter().enumerate() {
        if j < columns {
            for (half, &sum) in sums.iter().enumerate() {
                // SAFETY: the mask leaves out what is beyond the rows.
                unsafe {
                    let to = to.offset(apart * j as isize).wrapping_add(half * LANES);
                    let before =
                        if add { _mm512_maskz_loadu_ps(masks[half], to) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(to, masks[half], _mm512_add_ps(before, sum));
                }
            }
        }
    }
}

/// A mask of the first `count` lanes.
fn first(count: usize) -> u16 {
    if count >= LANES { u16::MAX } else { (1 << count) - 1 }
}

/// Lays a matrix out in blocks of K columns, in each panel after panel of W rows, column after column; rows that are
/// missing in the last panel are zeros.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn pack<const W: usize>(from: MatRef<'_, f32>, lines: &mut Vec<Line>) {
    let (rows, columns) = from.shape();
    let panels = rows.div_ceil(W);
    let count = (panels * W * columns).div_ceil(LANES);
    lines.clear();
    lines.reserve(count);
    if let Some(last) = lines.spare_capacity_mut()[..count].last_mut() {
        last.write(Line([0.0; LANES]));
    }
    let mut to = lines.as_mut_ptr().cast::<f32>();
    for start in (0..columns).step_by(K) {
        let depth = K.min(columns - start);
        for panel in 0..panels {
            let rows = W.min(rows - panel * W);
            let from = from.submatrix(panel * W, start, rows, depth);
            // SAFETY: all panels of all blocks together have as many numbers as are reserved.
            unsafe {
                pack_panel::<W>(from, to);
                to = to.add(W * depth);
            }
        }
    }
    // SAFETY: every number was written, as a part of a panel or of the last line before.
    unsafe { lines.set_len(count) };
}

/// Lays out one panel of at most W rows.
///
/// # Safety
/// AVX-512; `to` has W numbers for each column.
#[target_feature(enable = "avx512f")]
unsafe fn pack_panel<const W: usize>(from: MatRef<'_, f32>, to: *mut f32) {
    let (rows, depth) = from.shape();
    let (down, along) = (from.row_stride(), from.col_stride());
    for group in (0..W).step_by(LANES) {
        let (width, rows) = (first(W - group), rows.saturating_sub(group).min(LANES));
        // SAFETY: masks leave out what is beyond rows and columns.
        unsafe {
            let to = to.add(group);
            let at = |row: usize, column: usize| {
                from.as_ptr().wrapping_offset(down * (group + row) as isize + along * column as isize)
            };
            if along == 1 && down != 1 {
                for start in (0..depth).step_by(LANES) {
                    let columns = LANES.min(depth - start);
                    let across = from_fn(|row| {
                        if row < rows {
                            _mm512_maskz_loadu_ps(first(columns), at(row, start))
                        } else {
                            _mm512_setzero_ps()
                        }
                    });
                    for (column, numbers) in transposed(&across).into_iter().enumerate().take(columns) {
                        _mm512_mask_storeu_ps(to.add(W * (start + column)), width, numbers);
                    }
                }
            } else {
                for column in 0..depth {
                    let numbers = if down == 1 {
                        _mm512_maskz_loadu_ps(first(rows), at(0, column))
                    } else {
                        let numbers: [f32; LANES] =
                            from_fn(|row| if row < rows { *at(row, column) } else { 0.0 });
                        _mm512_maskz_loadu_ps(u16::MAX, numbers.as_ptr())
                    };
                    _mm512_mask_storeu_ps(to.add(W * column), width, numbers);
                }
            }
        }
    }
}

/// Row j of the result holds lane j of every row.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: &[__m512; LANES]) -> [__m512; LANES] {
    // Pairs of rows, then of pairs, then of quarters of vectors: 2, 4, 8 and 16 rows are done after each round.
    let pairs: [__m512; LANES] = from_fn(|i| {
        let (a, b) = (rows[i & !1], rows[i | 1]);
        if i & 1 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
    });
    let fours: [__m512; LANES] = from_fn(|i| {
        let first = (i & !3) + (i & 2) / 2;
        let (a, b) = (_mm512_castps_pd(pairs[first]), _mm512_castps_pd(pairs[first + 2]));
        _mm512_castpd_ps(if i & 1 == 0 { _mm512_unpacklo_pd(a, b) } else { _mm512_unpackhi_pd(a, b) })
    });
    let quarters = |a: __m512, b: __m512, odd: bool| {
        if odd { _mm512_shuffle_f32x4::<0xdd>(a, b) } else { _mm512_shuffle_f32x4::<0x88>(a, b) }
    };
    let eights: [__m512; LANES] = from_fn(|i| {
        let from = (i & 8) + (i & 3);
        quarters(fours[from], fours[from + 4], i & 4 != 0)
    });
    from_fn(|i| quarters(eights[i & 7], eights[(i & 7) + 8], i & 8 != 0))
}
