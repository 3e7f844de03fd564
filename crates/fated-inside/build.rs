//! Builds the blob, a program of its own: freestanding, always optimised. Cargo calls this; the
//! blob's cargo works in this package's output directory, so that the two don't wait for each other.

#![expect(clippy::disallowed_methods, reason = "a build script's business: the environment, and a process")]

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    let var = |name| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let source = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(var("OUT_DIR"));
    for path in ["build.rs", "blob", "src/protocol", "../fated-engine", "../fated-kernel/src", "../fated-wait/src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut cargo = Command::new(var("CARGO"));
    // The outer build's wrappers (clippy), flags and folders are not meant for this program.
    let inherited = env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        (name.starts_with("CARGO") && name != "CARGO_HOME")
            || name.starts_with("RUSTC_")
            || name.starts_with("RUSTFLAGS")
    });
    for (name, _) in inherited {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Crelocation-model=pic");
    cargo.args(["build", "--release", "--offline", "--locked", "--quiet"]);
    cargo.arg("--manifest-path").arg(source.join("blob/Cargo.toml"));
    // A debug build is for checks and for tests of what the code does: there the time to build counts.
    if var("PROFILE") == "debug" {
        for (setting, value) in [("LTO", "off"), ("OPT_LEVEL", "1")] {
            cargo.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
    }
    // With a target named, the flags are for the blob alone and not for macros that run in the compiler.
    cargo.arg("--target").arg(var("TARGET")).arg("--target-dir").arg(out.join("blob"));
    let status = cargo.status().unwrap_or_else(|error| panic!("failed to start cargo for the blob: {error}"));
    assert!(status.success(), "failed to build the blob ({status}); its messages stand above");
    let built = out.join("blob").join(var("TARGET")).join("release/blob");
    fs::copy(&built, out.join("fated-blob"))
        .unwrap_or_else(|error| panic!("failed to copy {}: {error}", built.display()));
}
