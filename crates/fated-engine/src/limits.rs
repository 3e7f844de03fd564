//! The limits of fated's own process (setrlimit(2), ulimit) that a run needs to be high enough.

use fated_kernel::process::limits::{LEAST_DESCRIPTORS, real_descriptors};

/// A limit that has to be at least so high.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    resource: libc::__rlimit_resource_t,
    name: &'static str,
    /// The option of ulimit that sets it, and the size of its unit.
    option: (&'static str, u64),
    least: u64,
}

impl Need {
    /// So many descriptors.
    #[must_use]
    pub const fn descriptors(least: u64) -> Need {
        Need { resource: libc::RLIMIT_NOFILE, name: "descriptors", option: ("n", 1), least }
    }

    /// So many bytes of address space.
    #[must_use]
    pub const fn address_space(least: u64) -> Need {
        Need { resource: libc::RLIMIT_AS, name: "address space", option: ("v", 1024), least }
    }

    /// Files of so many bytes.
    #[must_use]
    pub const fn file_size(least: u64) -> Need {
        Need { resource: libc::RLIMIT_FSIZE, name: "the size of files", option: ("f", 1024), least }
    }

    fn get(self) -> libc::rlimit {
        let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit is valid for the call.
        unsafe { libc::getrlimit(self.resource, &raw mut limit) };
        limit
    }

    /// Raises the soft limit to the hard one.
    fn raise(self) {
        let limit = self.get();
        let limit = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        // SAFETY: the limit is valid for the call.
        unsafe { libc::setrlimit(self.resource, &raw const limit) };
    }
}

/// What every run needs.
pub const EVERY_RUN: [Need; 1] = [Need::descriptors(LEAST_DESCRIPTORS)];

/// The real soft limit on descriptors with which a guest starts.
#[must_use]
pub fn descriptors() -> u64 {
    real_descriptors(Need::descriptors(0).get().rlim_max)
}

/// Checks the hard limits and raises the soft ones.
///
/// # Errors
/// The limit that is too low, and what to do.
pub fn provide(needs: &[Need]) -> Result<(), String> {
    for need in needs {
        let Need { name, option: (option, unit), least, .. } = *need;
        let hard = need.get().rlim_max;
        if hard < least {
            let (hard, least) = (hard / unit, least.div_ceil(unit));
            return Err(format!("the limit on {name} is {hard}, and it takes {least} (ulimit -{option})"));
        }
    }
    needs.iter().for_each(|need| need.raise());
    Ok(())
}
