//! One program, two engines: what can be compared of their runs.

use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::rc::Rc;

use fated_engine::{Captured, Launch, NO_CPUID_FAULTING, Observer, Streams};
use fated_kernel::config::{Config, Input, Policy};
use fated_kernel::fs::own_tmp::DIRECTORIES;
use fated_kernel::host::{Ending, Kernel};
use fated_kernel::record::Record;

const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

/// A file below the root of a run's own `/tmp`, by which a program knows it from the host's.
const OWN_TMP_MARK: &str = "tmp/of-the-soak";

/// What can be compared of a run.
#[derive(Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// Standard output, standard error.
    pub output: [String; 2],
    /// A line for each call, with its time.
    pub log: Vec<String>,
}

/// What to run.
pub struct Case {
    /// The program, which is looked for in the `PATH`, and its arguments.
    pub command: Vec<String>,
    /// Where; both engines begin with nothing in it.
    pub cwd: Option<PathBuf>,
    /// What decides the run.
    pub config: Config,
    /// Whether the engine inside rewrites call sites.
    pub rewrite: bool,
}

/// What every run is decided by that isn't about anything else.
pub fn config(seed: u64) -> Config {
    Config {
        seed,
        epoch_ns: EPOCH_NS,
        call_cost_ns: 1000,
        policy: Policy::RoundRobin,
        slice_calls: 200,
        hostname: "fated".into(),
        cpus: 1,
        max_tasks: 1000,
        input: Input::Live,
        wait_by_scan: false,
        real_start_ns: now_ns(),
        tmp: None,
        log: true,
    }
}

#[expect(clippy::disallowed_methods, reason = "files that are older than the run have their real times")]
fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
    now.as_nanos() as i64
}

/// The environment of all programs. Python must not write its caches: it would change its own input.
fn env() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    [("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("PYTHONDONTWRITEBYTECODE", "1")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}

fn watched(run: impl FnOnce(Rc<Captured>, Rc<Observer>) -> Ending) -> Run {
    let log = Rc::new(RefCell::new(Vec::new()));
    let sink = log.clone();
    let call = move |record: &Record| {
        let at = record.time_ns - EPOCH_NS;
        sink.borrow_mut().push(format!("{} {at} {:?}", record.tid, record.what));
    };
    // What is said of this machine says nothing of the run.
    let notice = |line: &str| println!("notice: {line}");
    let observer = Observer { record: Box::new(call), notice: Box::new(notice) };
    let console = Rc::new(Captured::new(b"one\ntwo\n".to_vec(), false));
    let ending = run(console.clone(), Rc::new(observer));
    let output = console.output().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let log = log.take();
    Run { ending, output, log }
}

impl Case {
    #[expect(clippy::disallowed_methods, reason = "asks how the tests are to be run")]
    pub fn launch(&self) -> Launch {
        Launch {
            cpuid_faulting: std::env::var_os(NO_CPUID_FAULTING).is_none_or(|it| it != "1"),
            args: self.command[1..].iter().map(Into::into).collect(),
            env: env(),
            cwd: self.cwd.clone(),
            streams: Streams::Placeholders,
            rewrite: self.rewrite,
            ..Launch::new(&self.command[0])
        }
    }

    /// A run begins now: the folders that are made for it are older, whatever the granularity of Linux's times.
    fn begin(&self) -> Config {
        Config { real_start_ns: now_ns(), ..self.config.clone() }
    }

    /// Runs it in the engine inside the guest.
    pub fn inside(&self) -> Run {
        let config = self.begin();
        watched(|console, trace| {
            let engine = fated_inside::Engine::launch(&self.launch(), &config, console, trace);
            engine.and_then(|mut engine| engine.run()).expect("the run comes to an end")
        })
    }

    /// Runs it in the engine that traces.
    pub fn traced(&self) -> Run {
        let config = self.begin();
        watched(|console, trace| {
            let kernel = Kernel::new(config, console.clone(), trace.clone());
            let engine = fated_ptrace::Engine::launch(&self.launch(), kernel, console, trace);
            engine.and_then(|mut engine| engine.run()).expect("the run comes to an end")
        })
    }

    /// Runs it in both, each time in an empty folder.
    pub fn both(&self) -> [Run; 2] {
        let empty = |path: PathBuf| {
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).expect("the folder is ours");
            // Old on both: Linux stamps files up to some milliseconds too early, so that one made now may be as old as the configuration
            // of the run, or newer.
            let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            std::fs::File::open(&path).and_then(|it| it.set_modified(old)).expect("the folder is ours");
        };
        let fresh = || {
            if let Some(cwd) = &self.cwd {
                empty(cwd.clone());
            }
            if let Some(tmp) = &self.config.tmp {
                let root = PathBuf::from(std::ffi::OsStr::from_bytes(&tmp.root));
                DIRECTORIES.iter().for_each(|it| empty(root.join(it.trim_start_matches('/'))));
                std::fs::write(root.join(OWN_TMP_MARK), "").expect("the folder is ours");
            }
        };
        fresh();
        let ours = self.inside();
        fresh();
        [ours, self.traced()]
    }
}

/// Says where two runs differ first.
pub fn difference([ours, theirs]: &[Run; 2]) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let at = ours.log.iter().zip(&theirs.log).position(|(one, other)| one != other);
    let Some(at) = at.or_else(|| (ours.log.len() != theirs.log.len()).then(|| ours.log.len().min(theirs.log.len())))
    else {
        let end = |run: &Run| format!("{:?}\n{}{}", run.ending, run.output[0], run.output[1]);
        return Some(format!("the logs are equal\ninside:\n{}\nptrace:\n{}", end(ours), end(theirs)));
    };
    let line = |run: &Run| run.log.get(at).map_or_else(|| format!("no more, {:?}", run.ending), Clone::clone);
    let before = ours.log[at.saturating_sub(3)..at].join("\n");
    Some(format!("call {at}:\n{before}\ninside:\n{}\nptrace:\n{}", line(ours), line(theirs)))
}
