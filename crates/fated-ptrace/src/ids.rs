//! The ids with which fated looks at files for a guest that has changed its own: Linux decides by them what a thread may see.
//!
//! Invariant: fated's own ids are back before anything else happens.

use crate::files;
use crate::sys::{self, RealTid};

/// The ids that a thread has for files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl Ids {
    /// Those of fated.
    pub(crate) fn own() -> Option<Ids> {
        let (user, group, groups) = sys::credentials().ok()?;
        Some(Ids { user: user[1], group: group[1], groups })
    }

    /// Those of a guest's thread.
    pub(crate) fn of(tid: RealTid) -> Option<Ids> {
        let status = files::proc_file(tid, "status").ok()?;
        let status = std::str::from_utf8(&status).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        // Real, effective, saved, and that for files.
        let last = |name: &str| field(name)?.split_whitespace().nth(3)?.parse().ok();
        let groups = field("Groups:")?.split_whitespace().filter_map(|group| group.parse().ok()).collect();
        Some(Ids { user: last("Uid:")?, group: last("Gid:")?, groups })
    }

    /// Takes these on. fated, which could start a guest with other ids, may do that.
    fn take(&self) {
        sys::set_file_ids(self.user, self.group, &self.groups);
    }
}

/// While this lives, fated has a guest's ids.
#[derive(Debug)]
pub(crate) struct Assumed<'a> {
    own: &'a Ids,
}

impl Assumed<'_> {
    /// Takes on the ids of a guest, if they differ from fated's.
    pub(crate) fn new<'a>(guest: &Ids, own: &'a Ids) -> Option<Assumed<'a>> {
        if guest == own {
            return None;
        }
        guest.take();
        Some(Assumed { own })
    }
}

impl Drop for Assumed<'_> {
    fn drop(&mut self) {
        self.own.take();
    }
}
