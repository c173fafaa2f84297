//! Build-script help: hands a board's memory.x to the linker.

use std::path::PathBuf;

/// Copies memory.x to where the linker looks for it and names the linker scripts; `-Tdefmt.x` joins
/// when the board logs. A board whose bench image needs other regions has a bench.x for it.
pub fn board() {
    let variable = |name| PathBuf::from(std::env::var_os(name).expect("cargo sets it for build scripts"));
    let out = variable("OUT_DIR");
    let folder = variable("CARGO_MANIFEST_DIR");
    let bench = std::env::var_os("CARGO_FEATURE_BENCH").is_some() && folder.join("bench.x").exists();
    let regions = if bench { "bench.x" } else { "memory.x" };
    std::fs::copy(folder.join(regions), out.join("memory.x")).expect("the board has a memory.x");
    println!("cargo:rerun-if-changed={regions}");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if std::env::var_os("CARGO_FEATURE_LOG").is_some() {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
}
