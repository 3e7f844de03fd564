//! Links the program with nothing but itself, at one fixed address (`link.ld`).

fn main() {
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
    // Each run has a copy of the file, with what a debugger needs.
    println!("cargo::rustc-link-arg-bins=-Wl,--compress-debug-sections=zlib");
    // Cargo runs this where the package's manifest lies.
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}/link.ld", std::env!("CARGO_MANIFEST_DIR"));
}
