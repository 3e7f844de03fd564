//! Random programs with random seeds, engine against engine: output, end and log of calls are equal.
//!
//! `FATED_SOAK_SEED` (0 if unset) names the first case, `FATED_SOAK_CASES` (24) says how many there are, `FATED_SOAK_SECONDS` for
//! how long to go on instead. A difference is reported with the command that repeats it.

#![expect(clippy::disallowed_methods, reason = "reads how long, starts gcc, and watches that nothing hangs")]

#[path = "../alike/compare.rs"]
mod compare;
mod script;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use compare::{Case, config, difference};
use fated_kernel::config::Policy;
use fated_kernel::fs::own_tmp::{DIRECTORIES, OwnTmp};
use fated_kernel::sched::rng::Rng;

/// No case takes as long as this, unless it hangs.
const LIMIT: Duration = Duration::from_secs(300);
static CASES_DONE: AtomicU64 = AtomicU64::new(0);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|it| it.parse().unwrap_or_else(|_| panic!("{name} is not a number: {it}")))
}

fn main() {
    // What `cargo test` asks of every test program.
    if env::args().any(|argument| argument == "--list") {
        println!("soak: test");
        return;
    }
    let first = number("FATED_SOAK_SEED").unwrap_or(0);
    let seconds = number("FATED_SOAK_SECONDS");
    let cases = number("FATED_SOAK_CASES").unwrap_or(if seconds.is_some() { u64::MAX } else { 24 });
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak");
    std::fs::create_dir_all(&folder).expect("the folder is ours");
    let folder = folder.canonicalize().expect("the folder is there");
    let makers = makers(&folder);
    std::thread::spawn(watch);

    let began = Instant::now();
    let (mut calls, mut tried) = (0, 0);
    for seed in first..first.saturating_add(cases) {
        if seconds.is_some_and(|seconds| began.elapsed().as_secs() >= seconds) {
            break;
        }
        let case = draw(seed, &makers, &folder);
        let runs = case.both();
        if let Some(difference) = difference(&runs) {
            eprintln!("case {seed}: {:?}\n{difference}", case.command);
            eprintln!(
                "again: FATED_SOAK_SEED={seed} FATED_SOAK_CASES=1 cargo test --release -p fated-inside --test soak"
            );
            exit(1);
        }
        calls += runs[0].log.len();
        tried += 1;
        CASES_DONE.fetch_add(1, SeqCst);
        if seconds.is_some() && tried % 500 == 0 {
            println!("{tried} programs, {calls} calls, {} s", began.elapsed().as_secs());
        }
    }
    println!(
        "{tried} random programs from seed {first}: {calls} calls, no difference, {} s",
        began.elapsed().as_secs()
    );
}

/// Ends everything when nothing gets on.
fn watch() {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let done = CASES_DONE.load(SeqCst);
        if done != seen {
            (seen, since) = (done, Instant::now());
        } else if since.elapsed() > LIMIT {
            eprintln!("the case after {done} others hangs");
            exit(1);
        }
    }
}

/// Makes the arguments of a program.
type Maker = Box<dyn Fn(&Rng) -> Vec<String>>;

/// What there is to make programs with on this machine.
fn makers(folder: &Path) -> Vec<Maker> {
    let mut makers: Vec<Maker> = Vec::new();
    match compile(folder) {
        Some(program) => {
            // Half of the cases: they make more calls of more kinds than scripts do.
            for _ in 0..3 {
                let program = program.to_string_lossy().into_owned();
                makers.push(Box::new(move |rng| {
                    vec![program.clone(), rng.below(1 << 40).to_string(), (10 + rng.below(120)).to_string()]
                }));
            }
        }
        None => println!("skipped: stories in C, there is no gcc"),
    }
    let mut interpreter = |name: &str, write: fn(&Rng) -> String| {
        if env::split_paths("/usr/bin:/bin").any(|folder| folder.join(name).exists()) {
            let name = name.to_owned();
            makers.push(Box::new(move |rng| vec![name.clone(), "-c".into(), write(rng)]));
        } else {
            println!("skipped: scripts for {name}, which isn't there");
        }
    };
    interpreter("bash", script::shell);
    interpreter("dash", script::shell);
    interpreter("python3", script::python);
    assert!(!makers.is_empty(), "neither gcc nor an interpreter is there");
    makers
}

/// What stories are made of, and the small programs beside them.
const STORY: [&str; 8] = ["story", "memory", "stacks", "limits", "numbers", "events", "files", "programs"];
const SMALL: [&str; 5] = ["-O1", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none", "-Wl,--build-id=none"];

fn compile(folder: &Path) -> Option<PathBuf> {
    let gcc = |name: &str, options: &[&str], sources: &[&str]| {
        let program = folder.join(name);
        let source = |it: &&str| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/soak/story/{it}.c"));
        let mut command = Command::new("gcc");
        let output = command.args(options).arg("-o").arg(&program).args(sources.iter().map(source)).output().ok()?;
        assert!(output.status.success(), "gcc failed:\n{}", String::from_utf8_lossy(&output.stderr));
        Some(program)
    };
    gcc("victim", &[&SMALL[..], &["-static"]].concat(), &["victim"])?;
    gcc("victim-pie", &[&SMALL[..], &["-fpie", "-pie"]].concat(), &["victim"])?;
    gcc("story", &["-O1", "-pthread"], &STORY)
}

/// The case of a seed.
fn draw(seed: u64, makers: &[Maker], folder: &Path) -> Case {
    let rng = Rng::new(seed, 0);
    let maker = &makers[rng.below(makers.len() as u64) as usize];
    let mut config = config(rng.below(1 << 40));
    config.policy = match rng.below(3) {
        0 => Policy::RoundRobin,
        1 => Policy::Random,
        _ => Policy::Pct { changes: rng.below(10) as u32, span: rng.below(3) as u32 * 1000 },
    };
    config.slice_calls = 1 + rng.below(100) as u32;
    config.call_cost_ns = 100 + rng.below(5000);
    config.cpus = 1 + rng.below(4) as u32;
    config.wait_by_scan = rng.below(2) == 0;
    let in_tmp = DIRECTORIES.iter().any(|it| folder.starts_with(it));
    if rng.below(2) == 0 && !in_tmp {
        let root = folder.join("own").into_os_string().into_encoded_bytes();
        config.tmp = Some(OwnTmp { root, host: Vec::new() });
    }
    Case { command: maker(&rng), cwd: Some(folder.join("world")), config, rewrite: rng.below(4) > 0 }
}
