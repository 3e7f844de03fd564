//! Builds the blob, a program of its own: freestanding, not position independent, always optimised. Cargo calls this; the
//! blob's cargo works in this package's output directory, so that the two don't wait for each other.

#![expect(clippy::disallowed_methods, reason = "a build script's business: the environment, and a process")]

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    let var = |name| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let source = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(var("OUT_DIR"));
    for path in ["build.rs", "blob", "src/wire.rs", "../fated-engine", "../fated-kernel/src", "../fated-wait/src"] {
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
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Crelocation-model=static");
    cargo.args(["build", "--release", "--offline", "--locked", "--quiet"]);
    cargo.arg("--manifest-path").arg(source.join("blob/Cargo.toml"));
    // With a target named, the flags are for the blob alone and not for macros that run in the compiler.
    cargo.arg("--target").arg(var("TARGET")).arg("--target-dir").arg(out.join("blob"));
    let status = cargo.status().unwrap_or_else(|error| panic!("failed to start cargo for the blob: {error}"));
    assert!(status.success(), "failed to build the blob ({status}); its messages stand above");
    let built = out.join("blob").join(var("TARGET")).join("release/blob");
    let blob = fs::read(&built).unwrap_or_else(|error| panic!("failed to read {}: {error}", built.display()));
    // What is embedded, in two pieces: text without the zeros that fill its block, and what follows the block.
    let (text, rest) = blob.split_at_checked(BLOCK_SIZE).expect("link.ld makes the text as long as a block");
    let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for (name, bytes) in [("fated-blob", &blob[..]), ("blob-text", &text[..end]), ("blob-rest", rest)] {
        fs::write(out.join(name), bytes).unwrap_or_else(|error| panic!("failed to write {name}: {error}"));
    }
}

/// As in `src/wire.rs`.
const BLOCK_SIZE: usize = 2 << 20;
