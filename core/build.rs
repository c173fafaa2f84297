//! Names the instructions of the target, which stable Rust does not tell.

fn main() {
    let portable = std::env::var_os("CARGO_FEATURE_PORTABLE").is_some();
    let target = if portable { String::new() } else { std::env::var("TARGET").unwrap_or_default() };
    let (arch, float) = (target.split('-').next().unwrap_or_default(), target.ends_with("eabihf"));
    let kernels = match arch {
        "thumbv7em" => "dsp",
        // No part is known to us that has one extension without the other; the feature `portable` serves one that has.
        "thumbv8m.main" if float => "dsp",
        "thumbv7m" | "thumbv8m.main" => "thumb2",
        "thumbv6m" => "thumb1",
        _ => "portable",
    };
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["dsp", "thumb2", "thumb1", "portable", "v8m", "fpu"] {
        println!("cargo::rustc-check-cfg=cfg(tinyfold_{name})");
    }
    println!("cargo::rustc-cfg=tinyfold_{kernels}");
    if arch.starts_with("thumb") && float {
        println!("cargo::rustc-cfg=tinyfold_fpu");
    }
    if arch == "thumbv8m.main" {
        println!("cargo::rustc-cfg=tinyfold_v8m");
    }
}
