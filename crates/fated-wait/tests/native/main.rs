//! The crate beside the kernel that this runs on: the same stories acted out by real processes, every call compared.
//!
//! `FATED_WAIT_REAL_STORIES` sets how many, `FATED_WAIT_SEED` where to begin.
#![expect(clippy::disallowed_methods, reason = "the number of stories is an option of the test run")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod facts;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod guard;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod puppet;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stage;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("skipped: real processes are told what to do by x86-64 Linux system calls");
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, label] = &args[..]
        && flag == "--puppet"
    {
        puppet::return_from_exec(label.parse().unwrap_or(0));
    }
    guard::stand();
    real::begin();
    real::facts();
    real::stories();
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod real {
    use crate::common::rng::Rng;
    use crate::common::story::{ACT_BYTES, Act, decode};
    use crate::common::world::{Done, Outcome, World};
    use crate::facts::FACTS;
    use crate::stage::Stage;
    use fated_wait::LookupKind;
    use std::fmt::Write;

    fn option(name: &str, default: u64) -> u64 {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    pub fn begin() {
        // SAFETY: a plain system call: puppets that lose their parents come to us.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    }

    /// Each fact on the kernel and on the crate, with either way of looking up.
    pub fn facts() {
        for kind in [LookupKind::Index, LookupKind::Scan] {
            for (name, fact) in FACTS {
                fact(kind);
                println!("fact {name} ({kind:?}): ok");
            }
        }
    }

    pub fn stories() {
        let yama = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        let attach = matches!(yama.trim(), "" | "0");
        if !attach {
            println!("skipped: attach and seize, since yama's ptrace_scope is {}", yama.trim());
        }
        let (first, count) = (option("FATED_WAIT_SEED", 1), option("FATED_WAIT_REAL_STORIES", 300));
        let (mut acts, mut open) = (0, 0);
        for seed in first..first + count {
            match story(seed, attach) {
                Ok((played, cut)) => {
                    acts += played;
                    open += u64::from(cut);
                }
                Err(what) => {
                    println!(
                        "{what}\nagain: FATED_WAIT_SEED={seed} FATED_WAIT_REAL_STORIES=1 \
                         cargo test -p fated-wait --test native"
                    );
                    std::process::exit(1);
                }
            }
        }
        println!("{count} real stories from seed {first}: {acts} acts, no difference; {open} cut short");
    }

    /// How many acts were played, and whether the story was left since its outcome was open.
    fn story(seed: u64, attach: bool) -> Result<(u64, bool), String> {
        let mut rng = Rng(seed);
        let length = 1 + rng.next() as usize % 100;
        let mut world = World::new(LookupKind::Index, true);
        let mut stage = Stage::new().map_err(|error| format!("no stage: {error}"))?;
        let (mut log, mut played) = (String::new(), 0);
        for act in decode(&rng.bytes(length * ACT_BYTES)) {
            if !attach && matches!(act, Act::Attach { .. } | Act::Seize { .. }) {
                continue;
            }
            let done = world.play(act);
            if done.open {
                return Ok((played, true));
            }
            if done.outcome == Outcome::Skipped {
                continue;
            }
            note(&mut log, &done);
            stage.play(&world, &done).map_err(|what| format!("{log}{what}"))?;
            played += 1;
        }
        Ok((played, false))
    }

    fn note(log: &mut String, done: &Done) {
        if let Some(c) = done.act {
            let _ = write!(log, "{} on {} ({}): {:?}", c.by, c.target, c.it, c.act);
            let _ = writeln!(log, " -> {:?} {:?}", done.outcome, done.completed);
        }
    }
}
