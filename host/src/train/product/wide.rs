//! Products of f32 matrices on AVX-512: C = A B or C += A B.
//!
//! A is laid out in panels of M rows, in blocks of K columns. A panel stays in the first cache while a block of B, of K
//! rows, passes by it from the second one, and M × N sums stay in registers. The next panel of A is fetched meanwhile:
//! without that, a network of 1024 neurons, whose weights are in the third cache, waits for a fifth of its time. Laying out A
//! costs a fifth of a product with 128 columns, so that it is done once for all steps of a pass; B is read where it is if
//! its columns are contiguous.
//!
//! Rows of B that are 0 in all of N columns are passed over, to the same bits: nearly half of them where B holds rates of
//! rectified neurons and its columns come in an order of order.rs.
//!
//! Source: Goto & van de Geijn 2008, Anatomy of high-performance matrix multiplication (blocks and panels).
#![allow(unsafe_code)] // Vectors of 512 bits are read and written through pointers.

use std::arch::x86_64::{
    __m512, _CMP_NEQ_UQ, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_add_ps, _mm512_castpd_ps,
    _mm512_castps_pd, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_load_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_ps, _mm512_maskz_compress_epi32, _mm512_maskz_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_storeu_si512, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
    _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};
use std::array::from_fn;
use std::cell::RefCell;
use std::iter::zip;
use std::mem::take;
use std::ptr::slice_from_raw_parts;
use std::sync::Mutex;

use faer::{Accum, MatMut, MatRef};

use crate::train::order::TOGETHER;

/// Numbers in a vector; one line of the cache.
const LANES: usize = 16;
/// Rows of a panel of A.
const M: usize = 2 * LANES;
/// Columns of B at a time: with M, sums that leave registers for what they are made of.
const N: usize = TOGETHER;
/// Rows of B in a block: a panel of A takes 32 KB.
const K: usize = 256;
/// Columns of B in a block, which then takes 256 KB.
const COLUMNS: usize = 256;
/// From one column of what is laid out of B to the next: those a power of two apart want the same lines of the cache.
const APART: usize = K + LANES;
/// 0, 1, 2, ...: no row is passed over.
static ALL: [u32; K] = {
    let mut rows = [0; K];
    let mut k = 0;
    while k < K {
        rows[k] = k as u32;
        k += 1;
    }
    rows
};

/// Aligned as vectors are.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

thread_local! {
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory::new()) };
}

/// What is made of B, a block at a time.
struct Memory {
    /// K rows of it, with contiguous columns.
    block: Vec<Line>,
    tiles: Vec<Tile>,
    /// Of tiles that pass over rows: those that they do not.
    rows: Vec<u32>,
}

impl Memory {
    const fn new() -> Self {
        Self { block: Vec::new(), tiles: Vec::new(), rows: Vec::new() }
    }
}

/// N columns of a block of B, and of the product.
struct Tile {
    right: [*const f32; N],
    to: [*mut f32; N],
    /// Less than N at the end: columns that are missing are the last one again, and what comes of them is not stored.
    columns: usize,
    /// Rows that are multiplied, and how many.
    rows: *const u32,
    depth: usize,
}

impl Tile {
    /// All rows of these columns of b, whose rows are next to each other, and the same columns of dst.
    fn new(b: MatRef<'_, f32>, dst: &MatMut<'_, f32>, columns: &[usize]) -> Self {
        let column = |j: usize| columns[j.min(columns.len() - 1)] as isize;
        Self {
            right: from_fn(|j| b.as_ptr().wrapping_offset(b.col_stride() * column(j))),
            to: from_fn(|j| dst.as_ptr_mut().wrapping_offset(dst.col_stride() * column(j))),
            columns: columns.len(),
            rows: ALL.as_ptr(),
            depth: b.nrows(),
        }
    }
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
        unsafe { pack(a, &mut lines) };
        Some(Self { rows, columns, lines })
    }

    /// dst = a b, or dst += a b; with an order of the columns of b rows that are 0 in columns next to each other are passed
    /// over.
    ///
    /// # Panics
    /// If the shapes or the order do not fit, or if columns of dst are not contiguous.
    pub fn times(&self, dst: MatMut<'_, f32>, accum: Accum, b: MatRef<'_, f32>, order: Option<&[usize]>) {
        assert_eq!(b.nrows(), self.columns, "rows of the right factor");
        assert_eq!(dst.shape(), (self.rows, b.ncols()), "shape of a product");
        assert_eq!(dst.row_stride(), 1, "columns of a product are contiguous");
        let is_ordered = order.is_some();
        let natural: Vec<usize>;
        let order = if let Some(order) = order {
            assert!(order.len() == b.ncols() && order.iter().all(|&k| k < b.ncols()), "an order of columns");
            order
        } else {
            natural = (0..b.ncols()).collect();
            &natural
        };
        MEMORY.with_borrow_mut(|memory| {
            let Memory { block, tiles, rows } = memory;
            for start in (0..self.columns).step_by(K) {
                let depth = K.min(self.columns - start);
                let add = start > 0 || accum == Accum::Add;
                let b = b.subrows(start, depth);
                // SAFETY: there is a Packed only on machines with AVX-512; the shapes and the order fit.
                unsafe {
                    let b = if b.row_stride() == 1 { b } else { laid_out(b, block) };
                    for columns in order.chunks(COLUMNS) {
                        tiles.clear();
                        tiles.extend(columns.chunks(N).map(|columns| Tile::new(b, &dst, columns)));
                        if is_ordered {
                            pass_over_zeros(tiles, rows);
                        }
                        self.add_tiles(tiles, add, start, depth);
                    }
                }
            }
        });
    }

    /// Adds products with a block of B to where they belong, or writes them there, for the block of `depth` columns of A
    /// from `start` on.
    ///
    /// # Safety
    /// AVX-512; tiles are of a block of `depth` rows, and of columns as long as those of A.
    #[target_feature(enable = "avx512f")]
    unsafe fn add_tiles(&self, tiles: &[Tile], add: bool, start: usize, depth: usize) {
        let panels = self.rows.div_ceil(M);
        let a = &self.lines[start * panels * M / LANES..];
        let panel_lines = depth * M / LANES;
        let fetched = panel_lines.div_ceil(tiles.len());
        for panel in 0..panels {
            let rows = M.min(self.rows - panel * M);
            let lines = a[panel * panel_lines..].as_ptr();
            let (left, next) = (lines.cast::<f32>(), lines.wrapping_add(panel_lines));
            for (k, tile) in tiles.iter().enumerate() {
                let fetch = slice_from_raw_parts(next.wrapping_add(k * fetched), fetched);
                // SAFETY: panels of A are `depth` long, and columns end with their last row.
                unsafe {
                    let to = tile.to.map(|column| column.wrapping_add(panel * M));
                    let sums = product_of(left, tile, &to, fetch);
                    store(&sums, &to[..tile.columns], rows, add);
                }
            }
        }
    }
}

/// The product of a panel of A and a tile of B; fetches some lines, and those that the sums go to.
///
/// # Safety
/// AVX-512; the panel has the columns that the tile names, which has as many rows.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn product_of(
    left: *const f32,
    tile: &Tile,
    to: &[*mut f32; N],
    fetch: *const [Line],
) -> [[__m512; 2]; N] {
    let mut sums = [[_mm512_setzero_ps(); 2]; N];
    for column in to {
        _mm_prefetch::<_MM_HINT_T0>(column.wrapping_add(LANES - 1).cast());
        _mm_prefetch::<_MM_HINT_T0>(column.wrapping_add(M - 1).cast());
    }
    let Tile { right, rows, depth, .. } = *tile;
    let mut at = 0;
    let mut step = || {
        // SAFETY: called `depth` times.
        unsafe {
            let row = *rows.add(at) as usize;
            let left = left.add(row * M);
            let a = [_mm512_load_ps(left), _mm512_load_ps(left.add(LANES))];
            for (sums, right) in sums.iter_mut().zip(right) {
                let b = _mm512_set1_ps(*right.add(row));
                *sums = from_fn(|half| _mm512_fmadd_ps(a[half], b, sums[half]));
            }
        }
        at += 1;
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

/// Writes the first rows of the product with a tile, or adds them.
///
/// # Safety
/// AVX-512; each column has that many rows.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn store(sums: &[[__m512; 2]; N], to: &[*mut f32], rows: usize, add: bool) {
    let masks = [first(rows), first(rows.saturating_sub(LANES))];
    for (sums, to) in sums.iter().zip(to) {
        for (half, &sum) in sums.iter().enumerate() {
            // SAFETY: the mask leaves out what is beyond the rows.
            unsafe {
                let to = to.wrapping_add(half * LANES);
                let before = if add { _mm512_maskz_loadu_ps(masks[half], to) } else { _mm512_setzero_ps() };
                _mm512_mask_storeu_ps(to, masks[half], _mm512_add_ps(before, sum));
            }
        }
    }
}

/// Lets tiles pass over rows that are 0 in all their columns.
///
/// # Safety
/// AVX-512; tiles hold all rows of a block, at most K.
#[target_feature(enable = "avx512f")]
unsafe fn pass_over_zeros(tiles: &mut [Tile], rows: &mut Vec<u32>) {
    rows.resize(tiles.len() * (K + LANES), 0);
    for (tile, rows) in zip(tiles, rows.chunks_mut(K + LANES)) {
        let mut kept = 0;
        for start in (0..tile.depth).step_by(LANES) {
            let mask = first(tile.depth - start);
            // SAFETY: the mask leaves out what is beyond the rows; kept <= start, and there is room for LANES more.
            unsafe {
                let any = tile.right.iter().fold(0, |any, column| {
                    let numbers = _mm512_maskz_loadu_ps(mask, column.wrapping_add(start));
                    any | _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(numbers, _mm512_setzero_ps())
                });
                let all = _mm512_loadu_si512(ALL.as_ptr().add(start).cast());
                let to = rows.as_mut_ptr().add(kept);
                _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi32(any, all));
                kept += any.count_ones() as usize;
            }
        }
        tile.depth = kept;
        tile.rows = rows.as_ptr();
    }
}

/// A block of B with contiguous columns, [`APART`] apart.
///
/// # Safety
/// AVX-512; b has at most K rows.
#[target_feature(enable = "avx512f")]
unsafe fn laid_out<'a>(b: MatRef<'_, f32>, block: &'a mut Vec<Line>) -> MatRef<'a, f32> {
    block.resize(b.ncols() * APART / LANES, Line([0.0; LANES]));
    // SAFETY: a panel of all rows, which has that many numbers.
    unsafe {
        pack_panel::<APART>(b, block.as_mut_ptr().cast());
        MatRef::from_raw_parts(block.as_ptr().cast(), b.nrows(), b.ncols(), 1, APART as isize)
    }
}

/// A mask of the first `count` lanes.
fn first(count: usize) -> u16 {
    if count >= LANES { u16::MAX } else { (1 << count) - 1 }
}

/// Lays a matrix out in blocks of K columns, in each panel after panel of M rows, column after column; rows that are
/// missing in the last panel are zeros.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f")]
unsafe fn pack(from: MatRef<'_, f32>, lines: &mut Vec<Line>) {
    let (rows, columns) = from.shape();
    let panels = rows.div_ceil(M);
    let count = (panels * M * columns).div_ceil(LANES);
    lines.clear();
    lines.reserve(count);
    if let Some(last) = lines.spare_capacity_mut()[..count].last_mut() {
        last.write(Line([0.0; LANES]));
    }
    let mut to = lines.as_mut_ptr().cast::<f32>();
    for start in (0..columns).step_by(K) {
        let depth = K.min(columns - start);
        for panel in 0..panels {
            let rows = M.min(rows - panel * M);
            let from = from.submatrix(panel * M, start, rows, depth);
            // SAFETY: all panels of all blocks together have as many numbers as are reserved.
            unsafe {
                pack_panel::<M>(from, to);
                to = to.add(M * depth);
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
