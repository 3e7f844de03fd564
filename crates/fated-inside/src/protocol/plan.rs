//! The run that the blob is to start.

use alloc::vec::Vec;

use fated_kernel::config::{Config, Inherited, Input, Policy};
use fated_kernel::fs::own_tmp::OwnTmp;
use fated_kernel::journal::Mode;

use super::bytes::{Reader, Writer};

/// What stands at a descriptor (`fated_engine::Stream`).
pub mod file {
    /// Fated's own file.
    pub const INHERITED: u8 = 0;
    /// `/dev/null`.
    pub const NULL: u8 = 1;
    /// A pipe.
    pub const PIPE: u8 = 2;
}

/// The run that the blob is to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The configuration, which determines the run.
    pub config: Config,
    /// The arguments; the first one is the program as the user named it.
    pub argv: Vec<Vec<u8>>,
    /// The paths to try for the program.
    pub candidates: Vec<Vec<u8>>,
    /// `NAME=VALUE`.
    pub env: Vec<Vec<u8>>,
    /// The directory in which it starts.
    pub cwd: Option<Vec<u8>>,
    /// The descriptors of the first program: number, flags, and what stands there ([`file`]).
    pub descriptors: Vec<(Inherited, u8)>,
    /// Whether call sites are rewritten.
    pub rewrite: bool,
    /// Whether `cpuid` faults.
    pub cpuid_faulting: bool,
    /// The sensitive instructions that earlier runs have found in files (`fated_engine::sensitive::Sites::remembering`).
    pub sites: Vec<u8>,
    /// The use of a journal, if there is one.
    pub journal: Option<Mode>,
}

impl Plan {
    /// As bytes.
    pub fn write(&self, to: &mut Writer) {
        let config = &self.config;
        let (policy, changes, span) = match config.policy {
            Policy::RoundRobin => (0, 0, 0),
            Policy::Random => (1, 0, 0),
            Policy::Pct { changes, span } => (2, changes, span),
        };
        for value in [
            config.seed,
            config.epoch_ns,
            config.call_cost_ns,
            policy,
            u64::from(changes),
            u64::from(span),
            u64::from(config.slice_calls),
            u64::from(config.cpus),
            u64::from(config.max_tasks),
            u64::from(config.input == Input::Live),
            u64::from(config.wait_by_scan),
            config.real_start_ns as u64,
            u64::from(config.log),
            u64::from(self.rewrite),
            u64::from(self.cpuid_faulting),
            u64::from(self.cwd.is_some()),
            u64::from(config.tmp.is_some()),
        ] {
            to.number(value);
        }
        to.bytes(config.hostname.as_bytes());
        to.bytes(self.cwd.as_deref().unwrap_or_default());
        let tmp = config.tmp.clone().unwrap_or_default();
        to.bytes(&tmp.root);
        for list in [&self.argv, &self.candidates, &self.env, &tmp.host] {
            to.list(list, |to, item| to.bytes(item));
        }
        to.bytes(&self.sites);
        to.list(&self.descriptors, |to, (Inherited { fd, flags }, file)| {
            [*fd as u64, u64::from(*flags), u64::from(*file)].into_iter().for_each(|it| to.number(it));
        });
        let mode = self.journal.unwrap_or_default();
        to.number(u64::from(self.journal.is_some()));
        to.number(u64::from(mode.obey.is_some()));
        [mode.obey.unwrap_or(0), mode.begin_line, u64::from(mode.write)].into_iter().for_each(|it| to.number(it));
    }

    /// From bytes.
    pub fn read(from: &mut Reader<'_>) -> Plan {
        let [seed, epoch_ns, call_cost_ns, policy, changes, span] = core::array::from_fn(|_| from.number());
        let [slice, cpus, tasks, live, scan, start, log] = core::array::from_fn(|_| from.number());
        let [rewrite, cpuid_faulting, moved, own_tmp] = core::array::from_fn(|_| from.number() != 0);
        let mut config = Config {
            seed,
            epoch_ns,
            call_cost_ns,
            policy: match policy {
                0 => Policy::RoundRobin,
                1 => Policy::Random,
                _ => Policy::Pct { changes: changes as u32, span: span as u32 },
            },
            slice_calls: slice as u32,
            hostname: from.text(),
            cpus: cpus as u32,
            max_tasks: tasks as u32,
            input: if live != 0 { Input::Live } else { Input::Blocks },
            wait_by_scan: scan != 0,
            real_start_ns: start as i64,
            tmp: None,
            log: log != 0,
        };
        let cwd = from.bytes();
        let root = from.bytes();
        let mut list = || from.list(Reader::bytes);
        let (argv, candidates, env, host) = (list(), list(), list(), list());
        config.tmp = own_tmp.then_some(OwnTmp { root, host });
        let cwd = moved.then_some(cwd);
        let sites = from.bytes();
        let descriptors = from.list(|from| {
            let [fd, flags, file] = core::array::from_fn(|_| from.number());
            (Inherited { fd: fd as i32, flags: flags as u32 }, file as u8)
        });
        let [on, obeys] = core::array::from_fn(|_| from.number() != 0);
        let [obey, begin_line, write] = core::array::from_fn(|_| from.number());
        let journal = on.then_some(Mode { obey: obeys.then_some(obey), begin_line, write: write != 0 });
        Plan { config, argv, candidates, env, cwd, descriptors, rewrite, cpuid_faulting, sites, journal }
    }
}
