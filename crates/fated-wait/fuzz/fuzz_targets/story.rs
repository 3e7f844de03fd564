//! Any bytes are a story: index and scan tell it alike, and nothing panics.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let acts = common::story::decode(data);
    if let Some(difference) = common::twins::differ(&acts, data.len() as u64) {
        panic!("{difference}");
    }
});
