//! Large pages for large arrays.
//!
//! In training the arrays of a network of 1024 neurons lie on 15 000 pages of 4 KB, of which a processor keeps the places of
//! some 2000: looking up the others slows products with them, on a virtual machine most.
#![allow(unsafe_code)] // An allocator is.

use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes of a large page.
const PAGE: usize = 1 << 21;

/// The allocator of the system, which puts blocks of 2 MB and more on pages of that size where Linux has them.
///
/// The `tinyfold` command uses it; a program that uses the library may.
///
/// ```
/// #[global_allocator]
/// static MEMORY: tinyfold::memory::LargePages = tinyfold::memory::LargePages;
///
/// let states = vec![0.0_f32; 1 << 20];
/// assert!(states.as_ptr().addr() % (1 << 21) == 0 || !cfg!(target_os = "linux"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LargePages;

/// What is asked of the system.
fn aligned(layout: Layout) -> Layout {
    if cfg!(target_os = "linux") && layout.size() >= PAGE {
        layout.align_to(PAGE).unwrap_or(layout)
    } else {
        layout
    }
}

/// Asks for large pages, as far as the block fills them. Where there are none nothing changes.
fn advise(block: *mut u8, size: usize) {
    #[cfg(target_os = "linux")]
    if size >= PAGE && !block.is_null() {
        // SAFETY: the range is a part of the block; how it is mapped changes, not what it holds.
        unsafe { libc::madvise(block.cast(), size / PAGE * PAGE, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (block, size);
}

// SAFETY: blocks are those of the system, with the alignment asked for or a larger one, and the same layout is given for a
// block whenever it is named.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        let block = unsafe { System.alloc(aligned(layout)) };
        advise(block, layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: it was allocated with this layout.
        unsafe { System.dealloc(block, aligned(layout)) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if aligned(layout) == layout {
            // SAFETY: as the caller's.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: as the caller's; the block has this size. Zeros are written after the advice, as they bring the pages.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's alignment and size go together.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if aligned(layout) == layout && aligned(new) == new {
            // SAFETY: as the caller's.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: two blocks, of which the part that both have is copied; the old one was allocated with its layout.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks hold what they held when they grow and shrink across 2 MB; zeros are zeros, also in memory that was used before.
    #[test]
    fn blocks_keep_what_they_hold() {
        let layout = |size| Layout::from_size_align(size, 64).unwrap();
        let sizes = [100, PAGE - 1, PAGE, 3 * PAGE + 5, PAGE + 1, 70];
        // SAFETY: every block is named with the layout that it has, and read within it.
        unsafe {
            let mut block = LargePages.alloc(layout(1));
            block.write(0);
            let mut before = 1;
            for size in sizes {
                block = LargePages.realloc(block, layout(before), size);
                let least = if size >= PAGE && cfg!(target_os = "linux") { PAGE } else { 64 };
                assert!(block.addr().is_multiple_of(least), "{size}");
                assert!((0..before.min(size)).all(|i| block.add(i).read() == (i % 251) as u8), "{size}");
                (0..size).for_each(|i| block.add(i).write((i % 251) as u8));
                before = size;
            }
            LargePages.dealloc(block, layout(before));
            for size in sizes {
                let used = LargePages.alloc(layout(size));
                used.write_bytes(1, size);
                LargePages.dealloc(used, layout(size));
                let zeros = LargePages.alloc_zeroed(layout(size));
                assert!((0..size).all(|i| zeros.add(i).read() == 0), "{size}");
                LargePages.dealloc(zeros, layout(size));
            }
        }
    }
}
