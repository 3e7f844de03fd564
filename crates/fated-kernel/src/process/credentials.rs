//! Who a process is, and what it may do (credentials(7)).
//!
//! The real process has the same ids, so that the real Linux decides about real files. Capabilities (`CAP_*`) are not kept one by one;
//! all of them go with the effective user id 0. [`Credentials::may`] is the one place that decides what a process may do.

use crate::errno::Errno;
use crate::fs::inode::FileStat;
use alloc::vec::Vec;

/// `X_OK` of access(2).
const EXECUTE: u32 = 1;

/// The users and groups of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective and saved user id.
    pub uid: [u32; 3],
    /// Real, effective and saved group id.
    pub gid: [u32; 3],
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// Something that takes a right.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// What is kept for those with the fitting capability.
    Privileged,
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
        let root = self.euid() == 0;
        match act {
            Act::Privileged => root,
            Act::Access(file, mode) => mode & !self.granted(file) == 0,
            Act::Signal(to) => {
                root || [self.uid[0], self.euid()].iter().any(|uid| *uid == to.uid[0] || *uid == to.uid[2])
            }
            Act::Schedule(whom) => root || self.euid() == whom.uid[0] || self.euid() == whom.euid(),
            Act::Limit(whom) => {
                root || whom.uid.iter().all(|&id| id == self.uid[0]) && whom.gid.iter().all(|&id| id == self.gid[0])
            }
        }
    }

    /// The permissions on a file, by its mode (`generic_permission` in Linux's `fs/namei.c`).
    fn granted(&self, file: &FileStat) -> u32 {
        if self.euid() == 0 {
            6 | if file.mode & 0o111 != 0 { EXECUTE } else { 0 }
        } else if self.euid() == file.uid {
            file.mode >> 6 & 7
        } else if self.egid() == file.gid || self.groups.contains(&file.gid) {
            file.mode >> 3 & 7
        } else {
            file.mode & 7
        }
    }

    fn ids(&mut self, kind: IdKind) -> &mut [u32; 3] {
        match kind {
            IdKind::User => &mut self.uid,
            IdKind::Group => &mut self.gid,
        }
    }

    /// Sets real, effective and saved id (setresuid(2), setresgid(2)). Root may set each to anything, others to one of the three.
    pub fn set(&mut self, kind: IdKind, wanted: [u32; 3]) -> Result<(), Errno> {
        let root = self.may(Act::Privileged);
        let ids = self.ids(kind);
        if !root && wanted.iter().any(|id| *id != KEEP && !ids.contains(id)) {
            return Err(Errno::EPERM);
        }
        for (id, wanted) in ids.iter_mut().zip(wanted) {
            if wanted != KEEP {
                *id = wanted;
            }
        }
        Ok(())
    }

    /// Sets the effective id, and for root the other two too (setuid(2), setgid(2)).
    pub fn set_effective(&mut self, kind: IdKind, id: u32) -> Result<(), Errno> {
        if id == KEEP {
            return Err(Errno::EINVAL);
        }
        if self.may(Act::Privileged) {
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
        Credentials { uid: [uid; 3], gid: [uid; 3], groups: alloc::vec![7] }
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
        let mut two = Credentials { uid: [5, 6, 7], ..Credentials::default() };
        assert_eq!(two.set_real_and_effective(IdKind::User, KEEP, 5), Ok(()));
        assert_eq!(two.uid, [5, 5, 7]);
        assert_eq!(two.set_real_and_effective(IdKind::User, 5, 7), Ok(()));
        assert_eq!(two.uid, [5, 7, 7]);
        assert_eq!(two.set(IdKind::User, [8, KEEP, KEEP]), Err(Errno::EPERM));
    }
}
