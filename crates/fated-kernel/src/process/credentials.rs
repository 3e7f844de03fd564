//! Who a process is, and what it may do (credentials(7)).
//!
//! The real process has the same ids and capabilities, so that the real Linux decides about real files. [`Credentials::may`] is the one
//! place that decides what a process may do.

use crate::errno::Errno;
use crate::fs::inode::FileStat;
use crate::process::capabilities::{Capabilities, cap};
use alloc::vec::Vec;

/// `X_OK` of access(2).
const EXECUTE: u32 = 1;

/// The users and groups of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user id.
    pub uid: [u32; 3],
    /// Real, effective and saved group id.
    pub gid: [u32; 3],
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// What the process may do beyond that.
    pub caps: Capabilities,
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials::new([0; 3], [0; 3], Vec::new())
    }
}

/// Something that takes a right.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// What is kept for those with this capability.
    Capable(u32),
    /// To read (4), write (2) or execute (1) a file of the kernel's own.
    Access(&'a FileStat, u32),
    /// To send a signal to a process with these credentials (kill(2)). SIGCONT within a session needs no right.
    Signal(&'a Credentials),
    /// To change the nice value or the scheduling policy of such a process.
    Schedule(&'a Credentials),
    /// To read or change the limits of such a process (prlimit(2)).
    Limit(&'a Credentials),
}

/// A user id or group id that a call leaves as it is (-1).
pub const KEEP: u32 = u32::MAX;

/// Which of the two triples a call sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// The user ids.
    User,
    /// The group ids.
    Group,
}

impl Credentials {
    /// Those of a process that has been started with these ids.
    #[must_use]
    pub fn new(uid: [u32; 3], gid: [u32; 3], groups: Vec<u32>) -> Credentials {
        Credentials { uid, gid, groups, caps: Capabilities::of_user(uid[1]) }
    }

    /// The effective user id.
    #[must_use]
    pub fn euid(&self) -> u32 {
        self.uid[1]
    }

    /// The effective group id.
    #[must_use]
    pub fn egid(&self) -> u32 {
        self.gid[1]
    }

    /// Whether a process with these credentials may do something.
    #[must_use]
    pub fn may(&self, act: Act<'_>) -> bool {
        let has = |capability| self.caps.has(capability);
        match act {
            Act::Capable(capability) => has(capability),
            Act::Access(file, mode) => mode & !self.granted(file) == 0,
            Act::Signal(to) => {
                has(cap::KILL) || [self.uid[0], self.euid()].iter().any(|uid| *uid == to.uid[0] || *uid == to.uid[2])
            }
            Act::Schedule(whom) => has(cap::SYS_NICE) || self.euid() == whom.uid[0] || self.euid() == whom.euid(),
            Act::Limit(whom) => {
                has(cap::SYS_RESOURCE)
                    || whom.uid.iter().all(|&id| id == self.uid[0]) && whom.gid.iter().all(|&id| id == self.gid[0])
            }
        }
    }

    /// The permissions on a file, by its mode (`generic_permission` in Linux's `fs/namei.c`).
    fn granted(&self, file: &FileStat) -> u32 {
        let by_mode = if self.euid() == file.uid {
            file.mode >> 6 & 7
        } else if self.egid() == file.gid || self.groups.contains(&file.gid) {
            file.mode >> 3 & 7
        } else {
            file.mode & 7
        };
        if self.caps.has(cap::DAC_OVERRIDE) {
            by_mode | 6 | if file.mode & 0o111 != 0 { EXECUTE } else { 0 }
        } else if self.caps.has(cap::DAC_READ_SEARCH) {
            by_mode | 4
        } else {
            by_mode
        }
    }

    fn may_set(&self, kind: IdKind) -> bool {
        self.caps.has(match kind {
            IdKind::User => cap::SETUID,
            IdKind::Group => cap::SETGID,
        })
    }

    fn ids(&mut self, kind: IdKind) -> &mut [u32; 3] {
        match kind {
            IdKind::User => &mut self.uid,
            IdKind::Group => &mut self.gid,
        }
    }

    /// Sets real, effective and saved id (setresuid(2), setresgid(2)). Root may set each to anything, others to one of the three.
    pub fn set(&mut self, kind: IdKind, wanted: [u32; 3]) -> Result<(), Errno> {
        let root = self.may_set(kind);
        let old = self.uid;
        let ids = self.ids(kind);
        if !root && wanted.iter().any(|id| *id != KEEP && !ids.contains(id)) {
            return Err(Errno::EPERM);
        }
        for (id, wanted) in ids.iter_mut().zip(wanted) {
            if wanted != KEEP {
                *id = wanted;
            }
        }
        let new = self.uid;
        self.caps.change_user(&old, &new);
        Ok(())
    }

    /// Sets the effective id, and for root the other two too (setuid(2), setgid(2)).
    pub fn set_effective(&mut self, kind: IdKind, id: u32) -> Result<(), Errno> {
        if id == KEEP {
            return Err(Errno::EINVAL);
        }
        if self.may_set(kind) {
            return self.set(kind, [id; 3]);
        }
        let [real, _, saved] = *self.ids(kind);
        if id != real && id != saved {
            return Err(Errno::EPERM);
        }
        self.set(kind, [KEEP, id, KEEP])
    }

    /// Sets real and effective id (setreuid(2), setregid(2)). The saved one follows the effective one unless only the latter is set, to
    /// the real one.
    pub fn set_real_and_effective(&mut self, kind: IdKind, real: u32, effective: u32) -> Result<(), Errno> {
        let before = self.ids(kind)[0];
        let saved = if real != KEEP || (effective != KEEP && effective != before) { effective } else { KEEP };
        self.set(kind, [real, effective, saved])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32) -> Credentials {
        Credentials::new([uid; 3], [uid; 3], alloc::vec![7])
    }

    #[test]
    fn modes_count_for_owner_group_and_others() {
        let file = |uid, gid, mode| FileStat { uid, gid, mode, ..FileStat::default() };
        assert!(user(5).may(Act::Access(&file(5, 0, 0o400), 4)));
        assert!(!user(5).may(Act::Access(&file(5, 5, 0o077), 4)), "the owner has the owner's rights alone");
        assert!(user(5).may(Act::Access(&file(0, 7, 0o010), 1)), "by a supplementary group");
        assert!(!user(5).may(Act::Access(&file(0, 0, 0o770), 1)));
        assert!(user(0).may(Act::Access(&file(5, 5, 0), 6)));
        assert!(!user(0).may(Act::Access(&file(5, 5, 0o666), 1)), "root executes what somebody may execute");
    }

    #[test]
    fn processes_of_other_users_are_left_alone() {
        let [root, one, other] = [0, 5, 6].map(user);
        for [to_one, to_other, to_root] in [
            [&one, &other, &root].map(Act::Signal),
            [&one, &other, &root].map(Act::Schedule),
            [&one, &other, &root].map(Act::Limit),
        ] {
            assert!(one.may(to_one) && root.may(to_one));
            assert!(!one.may(to_other) && !one.may(to_root));
        }
        let changed = Credentials { uid: [5, 6, 5], ..user(5) };
        assert!(user(5).may(Act::Signal(&changed)) && !user(6).may(Act::Signal(&changed)));
        assert!(user(6).may(Act::Schedule(&changed)) && !user(5).may(Act::Limit(&changed)));
    }

    #[test]
    fn ids_are_set_as_far_as_one_has_them() {
        let mut root = user(0);
        assert_eq!(root.set_effective(IdKind::User, 5), Ok(()));
        assert_eq!(root.uid, [5; 3]);
        assert_eq!(root.set_effective(IdKind::User, 0), Err(Errno::EPERM));
        assert_eq!(root.set_effective(IdKind::User, KEEP), Err(Errno::EINVAL));
        let mut two = Credentials::new([5, 6, 7], [0; 3], Vec::new());
        assert_eq!(two.set_real_and_effective(IdKind::User, KEEP, 5), Ok(()));
        assert_eq!(two.uid, [5, 5, 7]);
        assert_eq!(two.set_real_and_effective(IdKind::User, 5, 7), Ok(()));
        assert_eq!(two.uid, [5, 7, 7]);
        assert_eq!(two.set(IdKind::User, [8, KEEP, KEEP]), Err(Errno::EPERM));
    }
}
