//! Random life stories through index and scan: every return value, wake-up and notification is equal.
//!
//! `FATED_WAIT_STORIES` sets how many, `FATED_WAIT_SEED` where to begin.
#![expect(clippy::disallowed_methods, reason = "the number of stories is an option of the test run")]

mod common;

use common::rng::Rng;
use common::story::{ACT_BYTES, Act, decode};
use common::twins::differ;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn option(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Leaves acts out as long as the rest still fails.
fn shrink(mut acts: Vec<Act>, seed: u64) -> Vec<Act> {
    let fails = |acts: &[Act]| catch_unwind(AssertUnwindSafe(|| differ(acts, seed).is_some())).unwrap_or(true);
    let mut step = acts.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at + step <= acts.len() {
            let mut fewer = acts.clone();
            fewer.drain(at..at + step);
            if fails(&fewer) { acts = fewer } else { at += step }
        }
        step /= 2;
    }
    acts
}

#[test]
fn index_equals_scan() {
    let first = option("FATED_WAIT_SEED", 1);
    let stories = option("FATED_WAIT_STORIES", 1500);
    for seed in first..first + stories {
        let mut rng = Rng(seed);
        let events = 1 + rng.next() as usize % 500;
        let acts = decode(&rng.bytes(events * ACT_BYTES));
        let run = |acts: &[Act]| catch_unwind(AssertUnwindSafe(|| differ(acts, seed)));
        if !matches!(run(&acts), Ok(None)) {
            let acts = shrink(acts, seed);
            let what = run(&acts).map_or("a panic".into(), |what| what.unwrap_or_default());
            panic!(
                "seed {seed}: {what}\nthe acts that are left: {acts:#?}\nagain: \
                 FATED_WAIT_SEED={seed} FATED_WAIT_STORIES=1 cargo test -p fated-wait --test property"
            );
        }
    }
}

/// What the fuzzer found worth keeping (fuzz/corpus/story).
#[test]
fn the_corpus_is_told_alike() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/story");
    let mut told = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("readable").path();
        let bytes = std::fs::read(&path).expect("readable");
        if let Some(difference) = differ(&decode(&bytes), bytes.len() as u64) {
            panic!("{}: {difference}", path.display());
        }
        told += 1;
    }
    assert!(told > 0, "no corpus in {folder}");
}
