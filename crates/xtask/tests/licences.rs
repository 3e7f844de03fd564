//! What this project uses may be used: all of it comes from crates.io and has a licence that permits what this project's does.

#![expect(clippy::disallowed_methods, reason = "starts cargo")]

use std::process::Command;

use serde_json::Value;
use xtask::root;

/// The workspaces, by their manifests. The fuzzer's isn't there unless it is built; CI does that.
const WORKSPACES: [&str; 3] = ["Cargo.toml", "crates/fated-inside/blob/Cargo.toml", "ci/freestanding/Cargo.toml"];

/// Licences without duties beyond keeping their text.
const PERMISSIVE: [&str; 7] = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unicode-3.0", "Unlicense"];

fn packages(manifest: &str) -> Vec<Value> {
    // Only what is built here has been fetched.
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(root().join(manifest))
        .output()
        .expect("cargo runs this test");
    assert!(metadata.status.success(), "{manifest}: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("cargo lists packages").clone()
}

fn is_permitted(licence: &str) -> bool {
    let permissive = |licence: &spdx::LicenseReq| {
        licence.license.id().is_some_and(|id| PERMISSIVE.contains(&id.name)) && licence.addition.is_none()
    };
    // An older form has slashes for "or".
    spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).is_ok_and(|expression| expression.evaluate(permissive))
}

#[test]
fn all_that_is_used_is_permitted() {
    let mut problems = Vec::new();
    for manifest in WORKSPACES {
        for package in packages(manifest) {
            let (name, source) = (&package["name"], package["source"].as_str());
            // This project's own packages have no source.
            let Some(source) = source else { continue };
            if source != "registry+https://github.com/rust-lang/crates.io-index" {
                problems.push(format!("{manifest}: {name} comes from {source}"));
            }
            let licence = package["license"].as_str().unwrap_or("none");
            if !is_permitted(licence) {
                problems.push(format!("{manifest}: {name} has the licence {licence}"));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn other_licences_are_told() {
    assert!(is_permitted("(MIT OR Apache-2.0) AND Unicode-3.0") && is_permitted("GPL-3.0-only OR MIT"));
    assert!(!is_permitted("GPL-3.0-only") && !is_permitted("MIT AND MPL-2.0") && !is_permitted("none"));
}
