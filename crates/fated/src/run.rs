//! `fated run`: starts the program, drives it to its end, and reports how it ended.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fated_engine::processor::{self, ProcessorTime};
use fated_engine::{Blocks, Error, Launch, Observer, Progress, Shown, Terminal, signals};
use fated_kernel::config::{self, Policy};
use fated_kernel::host::{Ending, Kernel};
use fated_kernel::journal::Journal;
use fated_kernel::ports::{Console, Trace};
use fated_kernel::stats::Counters;

use crate::cli::{EngineName, RunArgs, StatsFormat, StdioName};
use crate::exit::{self, End, Failure};
use crate::fresh::Fresh;
use crate::logfile::LogFile;
use crate::settings::{Limits, Settings, Tmp};
use crate::verify_input::Input;
use crate::{policy, repeat, stats, stderr, verify};

/// Runs the program; returns how fated ends.
pub fn run(args: &RunArgs) -> anyhow::Result<End> {
    let mut settings = Settings::resolve(args)?;
    let input = args.runs_twice().map(Input::read).transpose()?;
    if let (true, Some(input)) = (args.policy.measured, &input) {
        settings.config.policy = policy::measure(args, &settings, input)?;
        if let (true, Policy::Pct { span, .. }) = (args.verbose, settings.config.policy) {
            notices(args.quiet)(&format!("the program makes {span} calls under --policy rr"));
        }
    }
    let show = Show { log: args.log.as_deref(), stats: args.stats, fresh: args.fresh.as_deref(), quiet: args.quiet };
    let result = match input {
        Some(input) if args.verify => verify::run(args, &settings, &input, log_file(args.log.as_deref(), args.epoch)?),
        Some(input) => carry_out_on(&input.settings(&settings), &show, Rc::new(input.console(true))),
        None => carry_out(&settings, &show),
    };
    repeat::tell(args, &settings, &result);
    result
}

/// What is to be seen of a run, and where it happens.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a> {
    /// The file for the log of calls.
    pub log: Option<&'a Path>,
    /// How counts and times are printed.
    pub stats: Option<StatsFormat>,
    /// Without notices.
    pub quiet: bool,
    /// The directory to copy.
    pub fresh: Option<&'a Path>,
}

fn log_file(path: Option<&Path>, epoch_ns: u64) -> anyhow::Result<Option<Rc<LogFile>>> {
    Ok(path.map(|path| LogFile::create(path, epoch_ns)).transpose()?.map(Rc::new))
}

/// Runs once, with fated's own streams; the result is how fated ends.
pub fn carry_out(settings: &Settings, show: &Show<'_>) -> anyhow::Result<End> {
    carry_out_on(settings, show, Rc::new(settings.standard()))
}

/// The same with other streams.
fn carry_out_on(settings: &Settings, show: &Show<'_>, console: Rc<dyn Console>) -> anyhow::Result<End> {
    let log = log_file(show.log, settings.config.epoch_ns)?;
    let observer = Observer { record: to_log(log.clone()), notice: notices(show.quiet) };
    let fresh = show.fresh.map(Fresh::copy_of).transpose()?;
    // Counting costs each guest a little time.
    let processor = show.stats.and_then(|_| ProcessorTime::of_children().ok());
    let run = once(settings, &launch(settings, fresh.as_ref()), console, Rc::new(observer));
    // Log and journal are needed most when the run has failed.
    let logged = log.map_or(Ok(()), |log| log.finish()).and(settings.journals.finish());
    let (ended, mut cost) = run?;
    let of_guests = processor.and_then(|processor| processor.so_far().ok());
    cost.processor = of_guests.map(|of_guests| of_guests + processor::own_time());
    stats::print(show.stats, &cost, show.quiet);
    let failed = !matches!(ended, Ok(Ending::Exited(0)));
    if !show.quiet && settings.stdio == StdioName::Pipe {
        stats::say_terminal(&cost, failed);
    }
    let code = code(ended?)?;
    logged?;
    Ok(code)
}

/// How a run ended.
pub type Ended = Result<Ending, Error>;

/// The cost of a run.
#[derive(Debug)]
pub struct Cost {
    /// The kernel's counters.
    pub kernel: Counters,
    /// How many times a guest entered the kernel.
    pub stops: u64,
    /// How many of these were for sensitive instructions, such as `rdtsc` and `cpuid`.
    pub traps: u64,
    /// Whether guests saw fated's processor instead of the real one.
    pub hides_processor: bool,
    /// How much real time it took.
    pub real: Duration,
    /// How much processor time guests and fated took, where Linux permits counting it.
    pub processor: Option<Duration>,
}

/// What a processor whose `cpuid` can't be made to fault means. It is shown on request only, as nobody can change it.
pub const REAL_PROCESSOR: &str = "this processor can't make cpuid fault: machine code that a guest generates sees the real one, so runs of \
                              such guests may differ on other machines";

/// Starts the program and drives it to its end.
#[expect(clippy::disallowed_methods, reason = "--stats shows the real time of a run")]
pub fn once(
    settings: &Settings,
    launch: &Launch,
    console: Rc<dyn Console>,
    trace: Rc<dyn Trace>,
) -> anyhow::Result<(Ended, Cost)> {
    let start = Instant::now();
    let hides_processor = launch.hides_processor();
    if settings.verbose && !hides_processor {
        trace.notice(REAL_PROCESSOR.into());
    }
    let console: Rc<dyn Console> = Rc::new(Shown::new(console, settings.stdio.stdio()));
    let console: Rc<dyn Console> = match settings.config.input {
        config::Input::Blocks => {
            let trace = trace.clone();
            Rc::new(Blocks::new(console, Box::new(move |line| trace.notice(line.into()))))
        }
        config::Input::Live => console,
    };
    let tmp = settings.own_tmp(launch)?;
    let tmp = tmp.as_ref();
    let terminal = Terminal::save();
    signals::set_timeout(settings.limits.real_time);
    let ran = by_engine(&Run { settings, launch, tmp, console, trace: trace.clone() });
    signals::set_timeout(None);
    let (ended, cost) = ran.map_err(|error| timed_out(settings, error))?;
    let ended = ended.map_err(|error| timed_out(settings, error));
    // A guest that exits leaves the terminal in the state that it wants. One that is killed can't, so its settings are
    // restored, as a shell does.
    if !matches!(ended, Ok(Ending::Exited(status)) if status & 0x7f == 0) {
        terminal.restore();
    }
    if let Some(line) = tmp.and_then(|tmp| tmp.scratch.report()) {
        trace.notice(line);
    }
    Ok((ended, Cost { hides_processor, real: start.elapsed(), ..cost }))
}

/// An error that stands for the limit of real time says so.
fn timed_out(settings: &Settings, error: Error) -> Error {
    match (settings.limits.real_time, error) {
        (Some(limit), Error::Interrupted { signal: signals::TIMEOUT }) => Error::TimedOut { limit },
        (_, error) => error,
    }
}

/// What an engine runs, and with what.
struct Run<'a> {
    settings: &'a Settings,
    launch: &'a Launch,
    tmp: Option<&'a Tmp>,
    console: Rc<dyn Console>,
    trace: Rc<dyn Trace>,
}

/// Runs with the engine that was asked for. The outer error means that the run hasn't begun.
fn by_engine(run: &Run<'_>) -> Result<(Ended, Cost), Error> {
    match run.settings.engine {
        EngineName::Inside => inside(run),
        EngineName::Ptrace => traced(run),
        EngineName::Any => match inside(run) {
            // The program has not run yet.
            Err(error) => match error.of_machine() {
                Some(why) => {
                    run.trace
                        .notice(format!("the engine inside the guest can't work here ({why}), so this run is traced"));
                    traced(run)
                }
                None => Err(error),
            },
            ran => ran,
        },
    }
}

/// Runs under the engine inside the guest.
fn inside(run: &Run<'_>) -> Result<(Ended, Cost), Error> {
    let (config, journal) = run.settings.begin(run.launch, run.tmp);
    let (console, trace) = (run.console.clone(), run.trace.clone());
    let mut engine = fated_inside::Engine::launch_with_journal(run.placed(), &config, console, trace, journal)?;
    let ended = match within(run.settings, |horizon| engine.run_until(horizon)) {
        Err(error) if !error.ends_a_run() => return Err(error),
        ended => ended,
    };
    let stats = engine.stats();
    Ok((ended, cost(stats.kernel, stats.stops, stats.traps)))
}

/// Runs under the engine that traces.
fn traced(run: &Run<'_>) -> Result<(Ended, Cost), Error> {
    let (config, journal) = run.settings.begin(run.launch, run.tmp);
    let (console, trace) = (run.console.clone(), run.trace.clone());
    let journal = journal.map_or_else(Journal::off, |(store, mode)| Journal::new(store, mode));
    let kernel = Kernel::with_journal(config, console.clone(), trace.clone(), journal);
    let mut engine = fated_ptrace::Engine::launch(run.placed(), kernel.clone(), console, trace)?;
    let ended = within(run.settings, |horizon| engine.run_until(horizon));
    let stats = engine.stats();
    Ok((ended, cost(kernel.counters(), stats.stops, stats.traps)))
}

impl Run<'_> {
    /// The program as the engine starts it, where it may be in the run's own directories.
    fn placed(&self) -> &Launch {
        self.tmp.map_or(self.launch, |tmp| &tmp.launch)
    }
}

/// Drives a run to its end, or to that of its virtual time.
fn within(settings: &Settings, mut run_until: impl FnMut(Option<u64>) -> Result<Progress, Error>) -> Ended {
    let Limits { virtual_time, .. } = settings.limits;
    let ns = virtual_time.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    let mut horizon = ns.map(|ns| settings.config.epoch_ns.saturating_add(ns));
    loop {
        match (run_until(horizon)?, virtual_time) {
            (Progress::Ended(ending), _) => return Ok(ending),
            (Progress::Idle { until: Some(_) }, Some(limit)) => return Err(Error::Overran { limit }),
            // Nothing happens any more, so no time passes.
            (Progress::Idle { .. }, _) => horizon = None,
        }
    }
}

/// The cost of a run by the engine's counters.
fn cost(kernel: Counters, stops: u64, traps: u64) -> Cost {
    Cost { kernel, stops, traps, hides_processor: false, real: Duration::ZERO, processor: None }
}

/// The program to start, in the fresh directory if there is one.
pub fn launch(settings: &Settings, fresh: Option<&Fresh>) -> Launch {
    let mut launch = settings.launch.clone();
    if let Some(fresh) = fresh {
        launch.cwd = Some(fresh.path().to_owned());
    }
    launch
}

/// Where notices go.
pub fn notices(quiet: bool) -> Box<dyn Fn(&str)> {
    Box::new(move |line| {
        if !quiet {
            stderr::say(line)
        }
    })
}

/// Passes calls on to the log, if there is one.
pub fn to_log(log: Option<Rc<LogFile>>) -> Box<dyn Fn(&fated_kernel::record::Record)> {
    match log {
        Some(log) => Box::new(move |record| log.write(record)),
        None => Box::new(|_| {}),
    }
}

/// How fated ends after a finished run, or the reason why it didn't finish.
pub fn code(ending: Ending) -> anyhow::Result<End> {
    match ending {
        Ending::Exited(status) => Ok(End::of_status(status)),
        Ending::Deadlock(tasks) => {
            let tasks: String = tasks.iter().map(|task| format!("\n  {task}")).collect();
            let message = format!("every task waits for something that can't happen any more:{tasks}");
            Err(Failure::new(exit::GIVEN_UP, message).into())
        }
        Ending::Broken(why) => Err(Failure::new(exit::FAILED, why).into()),
        Ending::LeftJournal(why) => Err(Failure::new(exit::DIFFERENT, why).into()),
    }
}
