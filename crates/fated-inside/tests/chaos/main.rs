//! Guests that store to random addresses: no hang, no silent wrong result.
//!
//! Natively such a store faults. It does so here as well, except where the engine's own memory lies: a run that hits
//! it either gives the right result nevertheless, or ends with a message that says so. `FATED_CHAOS_SEED` (0 if unset)
//! names the first seed, `FATED_CHAOS_SEEDS` (3) says how many there are.

#![expect(clippy::disallowed_methods, reason = "reads how often, starts gcc and the native program")]

#[path = "../alike/compare.rs"]
#[expect(dead_code, reason = "one engine alone has an arena")]
mod compare;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use compare::{Case, config};
use fated_inside::{ARENA, ARENA_SIZE};
use fated_kernel::host::Ending;

/// How many stores each of the processes makes.
const STORES: &str = "3000";

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |it| it.parse().unwrap_or_else(|_| panic!("{name} is not a number: {it}")))
}

/// The program; once for all tests.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    fs::create_dir_all(&folder).expect("the folder is ours");
    let program = folder.join("chaos");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/chaos.c");
    let output = Command::new("gcc").args(["-O1", "-o"]).arg(&program).arg(source).output();
    let Ok(output) = output else {
        println!("skipped: there is no gcc");
        return None;
    };
    assert!(output.status.success(), "gcc failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// For each seed: what the program says natively, and its run.
fn each(place: &[&str], check: impl Fn(u64, &str, &Ending, &str)) {
    let Some(program) = program() else { return };
    let first = number("FATED_CHAOS_SEED", 0);
    for seed in first..first + number("FATED_CHAOS_SEEDS", 3) {
        let mut command = vec![program.to_string_lossy().into_owned(), seed.to_string(), STORES.into()];
        command.extend(place.iter().map(ToString::to_string));
        let native = Command::new(&command[0]).args(&command[1..]).output().expect("it can be started");
        assert!(native.status.success(), "natively {command:?} ends with {}", native.status);
        let mut config = config(seed);
        config.log = false;
        let run = Case { command, cwd: None, config, rewrite: true }.inside();
        check(seed, &String::from_utf8_lossy(&native.stdout), &run.ending, &run.output[0]);
    }
}

#[test]
fn a_store_to_nothing_faults() {
    for place in ["anywhere", "near"] {
        each(&[place], |seed, native, ending, output| {
            assert_eq!((ending, output), (&Ending::Exited(0), native), "seed {seed}, {place}");
        });
    }
}

/// Most of the arena is empty, and what isn't there faults for guests, too.
#[test]
fn a_store_to_the_arena_is_harmless_or_reported() {
    let (from, to) = (ARENA.to_string(), (ARENA + ARENA_SIZE).to_string());
    each(&["range", &from, &to], right_or_reported);
}

/// With protection keys, the engine's memory isn't there for a guest's stores; without, they may go unnoticed.
#[test]
fn protection_keys_keep_guests_out() {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !flags.split_ascii_whitespace().any(|flag| flag == "ospke") {
        println!("skipped: this processor has no protection keys");
        return;
    }
    let (from, to) = (ARENA.to_string(), (ARENA + (4 << 20)).to_string());
    each(&["range", &from, &to], |seed, native, ending, output| {
        assert_eq!((ending, output), (&Ending::Exited(0), native), "seed {seed}");
    });
}

fn right_or_reported(seed: u64, native: &str, ending: &Ending, output: &str) {
    match ending {
        // Stores that hit something are no news; what the worker has worked out is.
        Ending::Exited(0) => {
            assert_eq!(output.lines().next(), native.lines().next(), "seed {seed}: a silent wrong result")
        }
        Ending::Broken(why) => assert!(why.contains("--engine ptrace"), "seed {seed}: {why}"),
        ending => panic!("seed {seed}: {ending:?}\n{output}"),
    }
}
