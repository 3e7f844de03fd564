//! The settings of a run, resolved from command line and environment before the run begins.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads fated's environment and the time at which a run begins"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use fated_engine::{Launch, NO_CPUID_FAULTING, Standard, inherit};
use fated_kernel::config::{Config, Input};
use fated_kernel::fs::own_tmp::OwnTmp;

use crate::cli::{EngineName, InputName, ReplayArgs, RunArgs, StdioName, TmpOf, WaitBy};
use crate::journal::{Journal, Journals};
use crate::named::Names;
use crate::scratch::{self, Scratch};
use crate::stderr;

/// The most time that a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the user's.
    pub real_time: Option<Duration>,
    /// Of its own.
    pub virtual_time: Option<Duration>,
}

/// The settings of a run, which can be started any number of times.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The kernel's configuration.
    pub config: Config,
    /// The program that the engine starts.
    pub launch: Launch,
    /// The engine that was asked for.
    pub engine: EngineName,
    /// What the standard streams look like.
    pub stdio: StdioName,
    /// When the run is ended, whatever it does.
    pub limits: Limits,
    /// Whether the user wants to know what this machine can't do.
    pub verbose: bool,
    /// What the run writes and obeys.
    pub journals: Rc<Journals>,
    /// Whether the program names files of the host's `/tmp`. A run that is repeated has them in its journal.
    names_files: bool,
    /// Where the first run's temporary files are to be kept.
    pub keep_tmp: RefCell<Option<PathBuf>>,
    /// When the run begins that this one repeats.
    real_start_ns: Option<i64>,
}

impl Settings {
    /// Reads the environment and fills in what `args` don't set.
    pub fn resolve(args: &RunArgs) -> anyhow::Result<Settings> {
        if let (Some(option), StdioName::Inherit) = (args.runs_twice(), args.stdio) {
            bail!("{option} gives both runs the same streams, so they can't be inherited: choose another --stdio");
        }
        let (program, arguments) = args.command.split_first().context("no program to run: name one")?;
        let mut launch = Launch::new(program.clone());
        launch.args = arguments.to_vec();
        launch.env = environment(args);
        launch.cwd.clone_from(&args.cwd);
        let inheritance = inherit::inheritance();
        launch.inherited = inheritance.files.iter().map(|file| file.descriptor).collect();
        if let Some(line) = inheritance.notice() {
            stderr::say(line);
        }
        launch.streams = args.stdio.stdio().into();
        launch.cpu = args.cpu;
        launch.cpus = args.cpus;
        launch.cpuid_faulting = !args.no_cpuid_faulting && !is_set(NO_CPUID_FAULTING);
        launch.cache = cache();
        launch.rewrite = !args.no_rewrite;
        launch.spin_limit = (args.spin_limit > 0).then(|| Duration::from_secs(args.spin_limit));
        let config = Config {
            seed: args.seed,
            epoch_ns: args.epoch,
            call_cost_ns: args.call_cost,
            policy: args.policy.policy,
            slice_calls: args.slice,
            hostname: args.hostname.clone(),
            cpus: args.cpus,
            max_tasks: args.max_tasks,
            input: input(args),
            wait_by_scan: args.wait == WaitBy::Scan,
            real_start_ns: 0,
            tmp: own_tmp(args)?,
            log: args.log.is_some() || args.verify,
        };
        let journals = match &args.record {
            Some(path) => Journals::default().record(path)?,
            None => Journals::default(),
        };
        let journals = Rc::new(journals);
        let limits = Limits { real_time: args.timeout, virtual_time: args.max_virtual_time };
        Ok(Settings {
            config,
            launch,
            engine: args.engine,
            stdio: args.stdio,
            limits,
            verbose: args.verbose,
            journals,
            names_files: true,
            keep_tmp: RefCell::new(args.keep_tmp.clone()),
            real_start_ns: None,
        })
    }

    /// Those of a run that obeys a journal. It takes files for old or new as the run did that is repeated.
    #[must_use]
    pub fn of_replay(
        config: Config,
        mut launch: Launch,
        args: &ReplayArgs,
        stdio: StdioName,
        journals: Rc<Journals>,
    ) -> Settings {
        launch.cpuid_faulting = !is_set(NO_CPUID_FAULTING);
        launch.cache = cache();
        let real_start_ns = Some(config.real_start_ns);
        let limits = Limits { real_time: args.timeout, virtual_time: args.max_virtual_time };
        Settings {
            config,
            launch,
            engine: args.engine,
            stdio,
            limits,
            verbose: false,
            journals,
            names_files: !args.command.is_empty(),
            keep_tmp: RefCell::new(args.keep_tmp.clone()),
            real_start_ns,
        }
    }

    /// Makes the directories for temporary files that a run of `launch` has of its own, if it has any.
    pub fn own_tmp(&self, launch: &Launch) -> anyhow::Result<Option<Tmp>> {
        let Some(own) = &self.config.tmp else { return Ok(None) };
        let cwd = std::env::current_dir().context("failed to find the working directory")?;
        let cwd = launch.cwd.as_ref().map_or_else(|| cwd.clone(), |path| cwd.join(path));
        let mut names = Names::new(&cwd);
        own.host.iter().for_each(|path| names.add_path(path));
        if self.names_files {
            names.add_launch(launch);
        }
        let scratch = Scratch::new(self.keep_tmp.take().as_deref(), self.config.epoch_ns)?;
        let own = scratch.own_tmp(names.into_paths());
        let launch = scratch::place(launch, &cwd, &own);
        Ok(Some(Tmp { own, launch, scratch }))
    }

    /// Fated's own streams.
    #[must_use]
    pub fn standard(&self) -> Standard {
        let wanted = |fd: i32| self.launch.inherited.iter().any(|it| it.fd == fd);
        let there = inherit::inheritance().files;
        Standard::with(there.iter().map(|file| file.descriptor.fd).filter(|&fd| wanted(fd)).collect())
    }

    /// The configuration and the journal of a run that begins now.
    #[must_use]
    pub fn begin(&self, launch: &Launch, tmp: Option<&Tmp>) -> (Config, Option<Journal>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_nanos());
        let now = self.real_start_ns.unwrap_or(i64::try_from(now).unwrap_or(i64::MAX));
        let tmp = tmp.map(|tmp| tmp.own.clone());
        let config = Config { real_start_ns: now, tmp, ..self.config.clone() };
        let journal = self.journals.begin(&config, launch, self.stdio);
        (config, journal)
    }
}

/// The directory that `FATED_CACHE` names: none if it is empty. By default one of this user's.
fn cache() -> Option<PathBuf> {
    let own = || format!("/var/tmp/fated-{}", fated_engine::sys::effective_uid()).into();
    Some(std::env::var_os("FATED_CACHE").unwrap_or_else(own)).filter(|it| !it.is_empty()).map(PathBuf::from)
}

/// How standard input comes in. What a person types comes line by line.
fn input(args: &RunArgs) -> Input {
    match args.input {
        Some(InputName::Blocks) => Input::Blocks,
        Some(InputName::Live) => Input::Live,
        None if args.runs_twice().is_none() && std::io::stdin().is_terminal() => Input::Live,
        None => Input::Blocks,
    }
}

/// What a run has of its own for temporary files.
#[derive(Debug)]
pub struct Tmp {
    /// For the kernel.
    pub own: OwnTmp,
    /// The program as the engine starts it.
    pub launch: Launch,
    /// The directory of the host.
    pub scratch: Scratch,
}

/// The run's own directories as the options ask for them: not made yet, with the names that `--env` gives.
fn own_tmp(args: &RunArgs) -> anyhow::Result<Option<OwnTmp>> {
    if args.tmp == TmpOf::Host {
        if args.keep_tmp.is_some() {
            bail!(
                "--keep-tmp keeps the run's own temporary files, and --tmp host means that it has none: take one of the two"
            );
        }
        return Ok(None);
    }
    let mut names = Names::new(Path::new("/"));
    args.env.iter().filter_map(|(_, value)| value.as_ref()).for_each(|value| names.add_text(value));
    Ok(Some(OwnTmp { root: Vec::new(), host: names.into_paths() }))
}

/// Whether a variable of fated's own is 1.
fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|it| it == "1")
}

/// The guest's variables, sorted by name, since the order in which shells pass them on is arbitrary.
fn environment(args: &RunArgs) -> Vec<(OsString, OsString)> {
    let inherited = std::env::vars_os().filter(|_| !args.clear_env);
    let mut variables: BTreeMap<OsString, OsString> = inherited.collect();
    for (name, value) in &args.env {
        match value.clone().or_else(|| std::env::var_os(name)) {
            Some(value) => variables.insert(name.clone(), value),
            None => variables.remove(name),
        };
    }
    variables.into_iter().collect()
}
