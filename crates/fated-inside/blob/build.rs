//! Links the program with nothing but itself, at one fixed address (`link.ld`).

#![expect(clippy::disallowed_methods, reason = "a build script's business: the environment")]

use std::path::PathBuf;

fn main() {
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
    // Each run has a copy of the file, with what a debugger needs.
    println!("cargo::rustc-link-arg-bins=-Wl,--compress-debug-sections=zlib");
    // Cargo knows what to do about names in its output folder when a checkout is moved or shares that folder with another.
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    let script = PathBuf::from(out).join("link.ld");
    std::fs::write(&script, include_str!("link.ld")).expect("the output folder can be written to");
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
}
