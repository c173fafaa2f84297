//! Names the instructions of the target that stable Rust does not tell.

fn main() {
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tinyfold_fpu)");
    if target.starts_with("thumb") && target.ends_with("eabihf") {
        println!("cargo::rustc-cfg=tinyfold_fpu");
    }
}
