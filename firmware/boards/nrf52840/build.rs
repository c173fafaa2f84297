//! Passes memory.x to the linker.

fn main() {
    tinyfold_link::board();
}
