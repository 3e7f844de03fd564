//! The limits of a process (getrlimit(2)): one table by the number of the resource, with names, units and defaults.
//!
//! Here they are kept and reported. Where one is enforced, that subsystem asks [`Limits::soft`].

use crate::errno::Errno;
use core::cell::Cell;
use linux_raw_sys::general::RLIMIT_NOFILE;

/// No limit (`RLIM_INFINITY`).
pub const INFINITY: u64 = u64::MAX;

/// The limit on descriptors that the first process has. No Linux has a lower hard one by default. The real Linux gives out the numbers
/// of descriptors, so engines set it for the first process, or what there is of it: [`real_descriptors`].
pub const DESCRIPTORS: Limit = Limit { soft: 1024, hard: 4096 };

/// How many descriptors an engine may hold in a guest's process, above the guest's own.
pub const OF_ENGINE: u64 = 3;

/// The real soft limits with which first processes start. The hard one leaves room for the engine above.
pub const REAL_DESCRIPTORS: [u64; 3] = [256 - OF_ENGINE, 1024 - OF_ENGINE, DESCRIPTORS.soft];

/// The lowest real hard limit under which an engine works.
pub const LEAST_DESCRIPTORS: u64 = REAL_DESCRIPTORS[0] + OF_ENGINE;

/// The real soft limit for the first process under this real hard one.
#[must_use]
pub fn real_descriptors(hard: u64) -> u64 {
    let [least, ..] = REAL_DESCRIPTORS;
    REAL_DESCRIPTORS.into_iter().rev().find(|soft| soft + OF_ENGINE <= hard).unwrap_or(least)
}

/// The limit on the stack that the first process has. It decides where mappings begin.
pub const STACK: Limit = Limit { soft: 8 << 20, hard: INFINITY };

/// The highest limit on descriptors that there can be (`/proc/sys/fs/nr_open`).
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The soft limit, which counts.
    pub soft: u64,
    /// The hard limit, which bounds the soft one.
    pub hard: u64,
}

impl Limit {
    const fn both(value: u64) -> Limit {
        Limit { soft: value, hard: value }
    }
}

/// A resource that is limited.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// What `/proc/PID/limits` calls it.
    pub name: &'static str,
    /// Its unit there.
    pub unit: &'static str,
    initial: Limit,
}

const fn resource(name: &'static str, unit: &'static str, initial: Limit) -> Resource {
    Resource { name, unit, initial }
}

/// How many resources there are (`RLIM_NLIMITS`).
const COUNT: usize = 16;

/// All resources by number.
pub static RESOURCES: [Resource; COUNT] = [
    resource("Max cpu time", "seconds", Limit::both(INFINITY)),
    resource("Max file size", "bytes", Limit::both(INFINITY)),
    resource("Max data size", "bytes", Limit::both(INFINITY)),
    resource("Max stack size", "bytes", STACK),
    // No core is ever written.
    resource("Max core file size", "bytes", Limit { soft: 0, hard: INFINITY }),
    resource("Max resident set", "bytes", Limit::both(INFINITY)),
    resource("Max processes", "processes", Limit::both(31_000)),
    resource("Max open files", "files", DESCRIPTORS),
    resource("Max locked memory", "bytes", Limit::both(8 << 20)),
    resource("Max address space", "bytes", Limit::both(INFINITY)),
    resource("Max file locks", "locks", Limit::both(INFINITY)),
    resource("Max pending signals", "signals", Limit::both(31_000)),
    resource("Max msgqueue size", "bytes", Limit::both(819_200)),
    resource("Max nice priority", "", Limit::both(0)),
    resource("Max realtime priority", "", Limit::both(0)),
    resource("Max realtime timeout", "us", Limit::both(INFINITY)),
];

/// The limits of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits([Cell<Limit>; COUNT]);

impl Default for Limits {
    /// Those of the first process.
    fn default() -> Limits {
        Limits(RESOURCES.map(|resource| Cell::new(resource.initial)))
    }
}

impl Limits {
    /// The limit on resource `number` (`RLIMIT_*`).
    pub fn get(&self, number: u32) -> Result<Limit, Errno> {
        self.0.get(number as usize).map(Cell::get).ok_or(Errno::EINVAL)
    }

    /// The soft limit on resource `number`; one that doesn't exist has none.
    #[must_use]
    pub fn soft(&self, number: u32) -> u64 {
        self.get(number).map_or(INFINITY, |limit| limit.soft)
    }

    /// Whether a limit may be set to `new`. Only the privileged may raise a hard limit.
    pub fn check(&self, number: u32, new: Limit, privileged: bool) -> Result<(), Errno> {
        let old = self.get(number)?;
        if new.soft > new.hard {
            return Err(Errno::EINVAL);
        }
        let raises = new.hard > old.hard && !privileged;
        if raises || number == RLIMIT_NOFILE && new.hard > MOST_DESCRIPTORS {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Sets a limit that [`Limits::check`] has allowed.
    pub fn set(&self, number: u32, new: Limit) {
        if let Some(limit) = self.0.get(number as usize) {
            limit.set(new);
        }
    }

    /// All resources with their limits.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Resource, Limit)> {
        RESOURCES.iter().zip(self.0.iter().map(Cell::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general::{RLIMIT_NPROC, RLIMIT_STACK};

    #[test]
    fn the_table_has_the_numbers_of_linux() {
        assert_eq!(RESOURCES[RLIMIT_STACK as usize].name, "Max stack size");
        assert_eq!(RESOURCES[RLIMIT_NPROC as usize].name, "Max processes");
        assert_eq!(Limits::default().get(RLIMIT_NOFILE), Ok(DESCRIPTORS));
        assert_eq!(Limits::default().get(16), Err(Errno::EINVAL));
    }

    #[test]
    fn a_low_hard_limit_leaves_room_for_the_engine() {
        for (hard, soft) in [(256, 253), (1023, 253), (1024, 1021), (1026, 1021), (1027, 1024), (1 << 20, 1024)] {
            assert_eq!(real_descriptors(hard), soft);
        }
    }

    #[test]
    fn only_the_privileged_raise_a_hard_limit() {
        let limits = Limits::default();
        let set = |soft, hard, root| {
            let new = Limit { soft, hard };
            limits.check(RLIMIT_NPROC, new, root).map(|()| limits.set(RLIMIT_NPROC, new))
        };
        assert_eq!(set(10, 20, false), Ok(()));
        assert_eq!(set(10, 21, false), Err(Errno::EPERM));
        assert_eq!(set(10, 21, true), Ok(()));
        assert_eq!(set(22, 21, true), Err(Errno::EINVAL));
        assert_eq!(limits.soft(RLIMIT_NPROC), 10);
        let many = Limit { soft: 1, hard: MOST_DESCRIPTORS + 1 };
        assert_eq!(limits.check(RLIMIT_NOFILE, many, true), Err(Errno::EPERM));
    }
}
