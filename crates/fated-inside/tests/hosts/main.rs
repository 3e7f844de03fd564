//! Two hosts of one process, driven by turns: two arenas and two trees of processes under one supervisor, and two kernels over one
//! tracer. Neither gets farther ahead of the other than the window; what happens on each is the same whoever goes first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fated_engine::{Captured, Error, Launch, Observer, Progress, Streams};
use fated_kernel::config::{Config, Input, Policy};
use fated_kernel::host::{Ending, Kernel};
use fated_kernel::record::Record;

const EPOCH_NS: u64 = 1_767_225_600_000_000_000;
/// The seed moves the start of a host's clock by less than this.
const SPREAD_NS: u64 = 1_000_000;
const MS: u64 = 1_000_000;

/// What an engine is for this test.
type Drive = Box<dyn FnMut(Option<u64>) -> Result<Progress, Error>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Inside,
    Traced,
}

/// A program and the seed of its host.
#[derive(Clone, Copy, Debug)]
struct Guest {
    script: &'static str,
    seed: u64,
    log: bool,
}

/// What can be compared of a run.
#[derive(Debug, PartialEq)]
struct Told {
    ending: Option<Ending>,
    output: [String; 2],
    log: Vec<String>,
}

struct Host {
    drive: Drive,
    console: Rc<Captured>,
    log: Rc<RefCell<Vec<String>>>,
    /// Up to where everything has happened, and how far it may run now.
    bounds: Rc<Cell<(u64, u64)>>,
    ending: Option<Ending>,
}

fn config(guest: Guest) -> Config {
    Config {
        seed: guest.seed,
        epoch_ns: EPOCH_NS,
        call_cost_ns: 1000,
        policy: Policy::RoundRobin,
        slice_calls: 200,
        hostname: format!("host{}", guest.seed),
        cpus: 1,
        max_tasks: 1000,
        input: Input::Live,
        wait_by_scan: false,
        real_start_ns: 0,
        tmp: None,
        log: guest.log,
    }
}

impl Host {
    fn new(kind: Kind, guest: Guest) -> Host {
        let launch = Launch {
            args: ["-c", guest.script].map(Into::into).into(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            streams: Streams::Placeholders,
            ..Launch::new("sh")
        };
        let (log, bounds) = (Rc::<RefCell<Vec<String>>>::default(), Rc::new(Cell::new((0, 0))));
        let (sink, limits) = (log.clone(), bounds.clone());
        let record = move |record: &Record| {
            let (_, horizon) = limits.get();
            assert!(record.time_ns <= horizon, "{record:?} is beyond the horizon of {horizon}");
            sink.borrow_mut().push(format!("{} {} {:?}", record.tid, record.time_ns - EPOCH_NS, record.what));
        };
        let console = Rc::new(Captured::new(Vec::new(), false));
        let trace = Rc::new(Observer { record: Box::new(record), notice: Box::new(|_| {}) });
        let drive: Drive = match kind {
            Kind::Inside => {
                let engine = fated_inside::Engine::launch(&launch, &config(guest), console.clone(), trace);
                let mut engine = engine.expect("it starts");
                Box::new(move |horizon| engine.run_until(horizon))
            }
            Kind::Traced => {
                let kernel = Kernel::new(config(guest), console.clone(), trace.clone());
                let mut engine =
                    fated_ptrace::Engine::launch(&launch, kernel, console.clone(), trace).expect("it starts");
                Box::new(move |horizon| engine.run_until(horizon))
            }
        };
        Host { drive, console, log, bounds, ending: None }
    }

    fn reached(&self) -> u64 {
        self.bounds.get().0
    }

    /// Runs up to the horizon; tells whether it can get on by itself.
    fn go_on(&mut self, horizon: Option<u64>) -> bool {
        if self.ending.is_some() {
            return false;
        }
        self.bounds.set((self.reached(), horizon.unwrap_or(u64::MAX)));
        match (self.drive)(horizon).expect("the run goes on") {
            Progress::Idle { until } => {
                let horizon = horizon.expect("there is one");
                assert!(until.is_none_or(|until| until > horizon), "{until:?} is before {horizon}");
                self.bounds.set((horizon, horizon));
                until.is_some()
            }
            Progress::Ended(ending) => {
                self.ending = Some(ending);
                true
            }
        }
    }

    fn told(self) -> Told {
        let output = self.console.output().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let log = self.log.take();
        Told { ending: self.ending, output, log }
    }
}

fn alone(kind: Kind, guest: Guest) -> Told {
    let mut host = Host::new(kind, guest);
    while host.ending.is_none() {
        host.go_on(None);
    }
    host.told()
}

/// Runs both at once. `first` is driven first; neither gets farther ahead of the other than `window` nanoseconds.
fn together(kind: Kind, guests: [Guest; 2], first: usize, window: u64) -> [Told; 2] {
    let mut hosts = guests.map(|guest| Host::new(kind, guest));
    let order = [first, 1 - first];
    for at in order {
        hosts[at].go_on(Some(EPOCH_NS + SPREAD_NS));
    }
    while hosts.iter().any(|host| host.ending.is_none()) {
        let mut moves = false;
        for at in order {
            let other = &hosts[1 - at];
            let horizon = other.ending.is_none().then(|| other.reached() + window);
            moves |= hosts[at].go_on(horizon);
            let [one, two] = [0, 1].map(|at| hosts[at].reached());
            let over = hosts.iter().any(|host| host.ending.is_some());
            assert!(over || one.abs_diff(two) <= window, "{one} and {two} are more than {window} apart");
        }
        if !moves {
            // All tasks of both wait for ever.
            for host in &mut hosts {
                host.go_on(None);
            }
        }
    }
    hosts.map(Host::told)
}

#[track_caller]
fn check(guests: [Guest; 2], windows: &[u64]) {
    for kind in [Kind::Inside, Kind::Traced] {
        let expected = guests.map(|guest| alone(kind, guest));
        assert!(expected.iter().all(|told| !told.output[0].is_empty()), "{expected:?}");
        for (&window, first) in windows.iter().flat_map(|window| [(window, 0), (window, 1)]) {
            let both = together(kind, guests, first, window);
            for (at, (told, expected)) in both.iter().zip(&expected).enumerate() {
                assert_eq!(told.ending, expected.ending, "host {at}, {kind:?}, window {window}, {first} first");
                assert_eq!(told.output, expected.output, "host {at}, {kind:?}, window {window}, {first} first");
                assert!(told.log == expected.log, "host {at}, {kind:?}, window {window}, {first} first");
            }
        }
    }
}

/// Sleeps and says what time it is, over and over, in several processes.
const SLEEPS: &str = "
for child in 1 2 3; do
    (for i in 1 2 3; do sleep 0.0$child; echo $child $i $(date +%s%N); done) &
done
wait; echo done; exit 3";
/// The same once, and then it is over.
const ENDS_EARLY: &str = "sleep 0.005; date +%s%N; echo over";
/// Computes, with few calls.
const COMPUTES: &str = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo $i; date +%s%N";
/// Waits for ever.
const HANGS: &str = "date +%s%N; sleep 0.01; kill -STOP $$; echo never";

#[test]
fn hosts_that_sleep() {
    let guest = |seed| Guest { script: SLEEPS, seed, log: true };
    check([guest(1), guest(2)], &[100_000, MS, 50 * MS]);
}

#[test]
fn a_host_that_ends_early() {
    let [one, other] = [(SLEEPS, 3), (ENDS_EARLY, 4)].map(|(script, seed)| Guest { script, seed, log: true });
    check([one, other], &[200_000, 5 * MS]);
}

#[test]
fn a_host_that_computes_without_a_log() {
    let [one, other] = [(COMPUTES, 5), (SLEEPS, 6)].map(|(script, seed)| Guest { script, seed, log: false });
    check([one, other], &[20_000, MS]);
}

#[test]
fn a_host_that_waits_for_ever() {
    let [one, other] = [(HANGS, 7), (ENDS_EARLY, 8)].map(|(script, seed)| Guest { script, seed, log: true });
    check([one, other], &[MS]);
}

#[test]
fn threads_that_read_the_clock() {
    const PROGRAM: &str = "python3 -SB -c '
import threading, time
def work(me):
    for i in range(20):
        for _ in range(100): now = time.time_ns()
        time.sleep(0.0002 * me)
    print(me, now)
threads = [threading.Thread(target=work, args=(i,)) for i in (1, 2, 3)]
for t in threads: t.start()
for t in threads: t.join()
'";
    if !std::path::Path::new("/usr/bin/python3").exists() {
        println!("skipped: no python3");
        return;
    }
    let [one, other] = [(9, false), (10, true)].map(|(seed, log)| Guest { script: PROGRAM, seed, log });
    check([one, other], &[30_000, MS]);
}
