//! What a wait costs with 1 to 1,000,000 children: by index, and by the scan that Linux did.
//!
//! `cargo bench -p fated-wait`; the scan leaves out what would take minutes.
#![expect(missing_docs, reason = "criterion's macros make public functions without docs")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fated_wait::*;
use std::hint::black_box;

const SIZES: [u32; 4] = [1, 100, 10_000, 1_000_000];
const KINDS: [LookupKind; 2] = [LookupKind::Index, LookupKind::Scan];

fn tid(id: u32) -> Tid {
    Tid::new(id).expect("an id")
}

/// Init with so many children, 2 the oldest, in two process groups: the even ones in that of 2.
struct Nursery {
    family: Family,
    fx: Effects,
    children: u32,
}

impl Nursery {
    fn new(kind: LookupKind, children: u32) -> Self {
        let (mut family, mut fx) = (Family::new(kind), Effects::new());
        family.init(tid(1)).expect("the first");
        for child in 2..2 + children {
            family.fork(tid(1), tid(child), ForkFlags::default(), Some(Signal::SIGCHLD), &mut fx).expect("free");
            if child % 2 == 0 {
                let (pid, pgid) = (tid(child).into(), Pgid::new(2));
                family.setpgid(tid(1), Some(pid), pgid, &mut fx).expect("may");
            }
        }
        Self { family, fx, children }
    }

    fn youngest(&self) -> Tid {
        tid(1 + self.children)
    }

    fn exit(&mut self, child: Tid) {
        self.fx.clear();
        let code = ExitCode::exited(0);
        self.family.exit_thread(child, code, Usage::default(), &mut self.fx).expect("alive");
    }

    fn wait(&mut self, request: &WaitRequest) -> WaitOutcome {
        self.fx.clear();
        self.family.wait(tid(1), black_box(request), &mut self.fx).expect("init is alive")
    }
}

fn request(selector: Selector, options: u32) -> WaitRequest {
    WaitRequest { selector, options: options | WEXITED, again: false }
}

fn waits(c: &mut Criterion) {
    let look = WNOHANG | WNOWAIT;
    for kind in KINDS {
        for size in SIZES {
            let mut nursery = Nursery::new(kind, size);
            let mut group = c.benchmark_group(format!("wait/{kind:?}"));
            let mut case = |nursery: &mut Nursery, name: &str, request: WaitRequest, found: bool| {
                assert_eq!(matches!(nursery.wait(&request), WaitOutcome::Found(_)), found, "{name}");
                group.bench_function(BenchmarkId::new(name, size), |b| b.iter(|| nursery.wait(&request)));
            };
            let youngest = nursery.youngest();
            case(&mut nursery, "pid, alive", request(Selector::Task(youngest), look), false);
            case(&mut nursery, "any, none ready", request(Selector::Any, look), false);
            let group_of_2 = Selector::Group(tid_group(2));
            if size > 1 {
                case(&mut nursery, "pgid, none ready", request(group_of_2, look), false);
            }
            nursery.exit(youngest);
            case(&mut nursery, "pid, ready", request(Selector::Task(youngest), look), true);
            case(&mut nursery, "any, youngest ready", request(Selector::Any, look), true);
            let group_of_youngest = Selector::Group(nursery.family.pgid(youngest).expect("a zombie keeps its group"));
            case(&mut nursery, "pgid, youngest ready", request(group_of_youngest, look), true);
            nursery.wait(&request(Selector::Any, 0));
            if size > 1 {
                nursery.exit(tid(2));
                case(&mut nursery, "any, oldest ready", request(Selector::Any, look), true);
                case(&mut nursery, "pgid, oldest ready", request(group_of_2, look), true);
            }
            if size > 10_000 {
                // Any pid, so that nothing is in the cache.
                let mut next = 0u32;
                group.bench_function(BenchmarkId::new("pid, a random one", size), |b| {
                    b.iter(|| {
                        next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let pid = Selector::Task(tid(3 + next % (size - 2)));
                        nursery.wait(&request(pid, look))
                    });
                });
            }
        }
    }
}

fn tid_group(id: u32) -> Pgid {
    Pgid::new(id).expect("an id")
}

/// The whole life of one more child: fork, exit, wait.
fn lives(c: &mut Criterion) {
    for kind in KINDS {
        for size in SIZES {
            let mut nursery = Nursery::new(kind, size);
            let child = tid(2 + size);
            let mut group = c.benchmark_group(format!("fork, exit, wait/{kind:?}"));
            for (name, selector) in [("pid", Selector::Task(child)), ("any", Selector::Any)] {
                let request = request(selector, 0);
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    b.iter(|| {
                        let flags = ForkFlags::default();
                        nursery.fx.clear();
                        let signal = Some(Signal::SIGCHLD);
                        nursery.family.fork(tid(1), child, flags, signal, &mut nursery.fx).expect("free");
                        nursery.exit(child);
                        nursery.wait(&request)
                    });
                });
            }
        }
    }
}

/// A child stops and continues while threads of its parent are blocked, each in a wait for a child of its own; one,
/// for any child that stops, is woken.
fn wakes(c: &mut Criterion) {
    for kind in KINDS {
        for waiters in [1, 1000] {
            let mut nursery = Nursery::new(kind, 2000);
            for n in 0..waiters {
                let thread = tid(10_000 + n);
                let flags = ForkFlags { thread: true, ..ForkFlags::default() };
                nursery.family.fork(tid(1), thread, flags, None, &mut nursery.fx).expect("free");
                let selector = if n == 0 { Selector::Any } else { Selector::Task(tid(100 + n)) };
                let options = if n == 0 { WSTOPPED } else { 0 };
                nursery.family.block(thread, &request(selector, options)).expect("alive");
            }
            let mut group = c.benchmark_group(format!("stop and continue, waking one/{kind:?}"));
            group.bench_function(BenchmarkId::new("blocked waiters", waiters), |b| {
                b.iter(|| {
                    nursery.fx.clear();
                    nursery.family.stop_group(tid(2), Signal::SIGSTOP, &mut nursery.fx).expect("runs");
                    assert_eq!(nursery.fx.wake.len(), 1);
                    nursery.family.continue_group(tid(2).into(), &mut nursery.fx).expect("there");
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = waits, lives, wakes
}
criterion_main!(benches);
