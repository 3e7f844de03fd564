//! Capabilities, as far as they are data of a process: the five sets, the secure bits, and what calls and an exec make of them
//! (capabilities(7), Linux: `security/commoncap.c`). Capabilities of files are not looked at.
//!
//! Invariant: the effective set is part of the permitted one, and the ambient set of the permitted and the inheritable one.

use crate::errno::Errno;

/// The capabilities that the kernel asks for.
#[expect(missing_docs, reason = "the names are Linux's own")]
pub mod cap {
    pub const DAC_OVERRIDE: u32 = 1;
    pub const DAC_READ_SEARCH: u32 = 2;
    pub const KILL: u32 = 5;
    pub const SETGID: u32 = 6;
    pub const SETUID: u32 = 7;
    pub const SETPCAP: u32 = 8;
    pub const IPC_LOCK: u32 = 14;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYS_NICE: u32 = 23;
    pub const SYS_RESOURCE: u32 = 24;
    pub const WAKE_ALARM: u32 = 35;
    pub const CHECKPOINT_RESTORE: u32 = 40;
    /// `CAP_LAST_CAP`.
    pub const LAST: u32 = CHECKPOINT_RESTORE;
}

/// All capabilities.
pub const ALL: u64 = (1 << (cap::LAST + 1)) - 1;

/// `SECBIT_*`: each has its lock one bit higher.
pub mod secure {
    /// User id 0 gives no capabilities.
    pub const NOROOT: u32 = 1 << 0;
    /// A change of user ids changes no capabilities.
    pub const NO_SETUID_FIXUP: u32 = 1 << 2;
    /// `PR_SET_KEEPCAPS`.
    pub const KEEP_CAPS: u32 = 1 << 4;
    /// Nothing can be raised in the ambient set.
    pub const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
    /// The locks.
    pub const LOCKS: u32 = 0xaa;
    /// All of them.
    pub const ALL: u32 = 0xff;
}

/// The capabilities of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What an exec keeps, as far as the file does.
    pub inheritable: u64,
    /// What it may make effective.
    pub permitted: u64,
    /// What it may do.
    pub effective: u64,
    /// What an exec gives at most.
    pub bounding: u64,
    /// What an exec of a program without capabilities of its own gives.
    pub ambient: u64,
    /// `SECBIT_*`.
    pub secure: u32,
}

const fn bit(capability: u32) -> u64 {
    1 << capability
}

impl Capabilities {
    /// Those of a process that has been started with this effective user id.
    #[must_use]
    pub const fn of_user(euid: u32) -> Capabilities {
        let permitted = if euid == 0 { ALL } else { 0 };
        Capabilities { inheritable: 0, permitted, effective: permitted, bounding: ALL, ambient: 0, secure: 0 }
    }

    /// Whether a capability is effective.
    #[must_use]
    pub const fn has(&self, capability: u32) -> bool {
        self.effective & bit(capability) != 0
    }

    /// Whether a secure bit is set.
    #[must_use]
    pub const fn is_secure(&self, which: u32) -> bool {
        self.secure & which != 0
    }

    /// capset(2): effective, permitted and inheritable.
    pub fn set(&mut self, [effective, permitted, inheritable]: [u64; 3]) -> Result<(), Errno> {
        let [effective, permitted, inheritable] = [effective & ALL, permitted & ALL, inheritable & ALL];
        let inherits = inheritable & !(self.inheritable | self.permitted) == 0 || self.has(cap::SETPCAP);
        let bounded = inheritable & !(self.inheritable | self.bounding) == 0;
        if !inherits || !bounded || permitted & !self.permitted != 0 || effective & !permitted != 0 {
            return Err(Errno::EPERM);
        }
        let ambient = self.ambient & permitted & inheritable;
        *self = Capabilities { effective, permitted, inheritable, ambient, ..*self };
        Ok(())
    }

    /// What a change of the user ids makes of them (`cap_emulate_setxuid`).
    pub fn change_user(&mut self, old: &[u32; 3], new: &[u32; 3]) {
        if self.is_secure(secure::NO_SETUID_FIXUP) {
            return;
        }
        if old.contains(&0) && !new.contains(&0) {
            if !self.is_secure(secure::KEEP_CAPS) {
                (self.permitted, self.effective) = (0, 0);
            }
            self.ambient = 0;
        }
        match (old[1], new[1]) {
            (0, 0) => {}
            (0, _) => self.effective = 0,
            (_, 0) => self.effective = self.permitted,
            _ => {}
        }
    }

    /// What an exec makes of them, of a program without set-user-ID bits.
    pub fn exec(&mut self, uid: &[u32; 3]) {
        let [real, effective, _] = *uid;
        let by_root = !self.is_secure(secure::NOROOT);
        let of_root = by_root && (real == 0 || effective == 0);
        self.permitted = if of_root { self.bounding | self.inheritable } else { 0 } | self.ambient;
        self.effective = if by_root && effective == 0 { self.permitted } else { self.ambient };
        self.secure &= !secure::KEEP_CAPS;
    }

    /// `PR_CAPBSET_DROP`.
    pub fn drop_bounding(&mut self, capability: u64) -> Result<(), Errno> {
        if !self.has(cap::SETPCAP) {
            return Err(Errno::EPERM);
        }
        self.bounding &= !bit(known(capability)?);
        Ok(())
    }

    /// `PR_SET_KEEPCAPS`.
    pub fn set_keep(&mut self, keep: bool) -> Result<(), Errno> {
        if self.is_secure(secure::KEEP_CAPS << 1) {
            return Err(Errno::EPERM);
        }
        self.secure = if keep { self.secure | secure::KEEP_CAPS } else { self.secure & !secure::KEEP_CAPS };
        Ok(())
    }

    /// `PR_SET_SECUREBITS`.
    pub fn set_secure(&mut self, bits: u64) -> Result<(), Errno> {
        let new = u32::try_from(bits).ok().filter(|bits| bits & !secure::ALL == 0).ok_or(Errno::EPERM)?;
        let locks = self.secure & secure::LOCKS;
        if locks >> 1 & (self.secure ^ new) != 0 || locks & !new != 0 || !self.has(cap::SETPCAP) {
            return Err(Errno::EPERM);
        }
        self.secure = new;
        Ok(())
    }

    /// Raises a capability in the ambient set.
    pub fn raise_ambient(&mut self, capability: u64) -> Result<(), Errno> {
        let wanted = bit(known(capability)?);
        let barred = self.is_secure(secure::NO_CAP_AMBIENT_RAISE);
        if barred || self.permitted & self.inheritable & wanted == 0 {
            return Err(Errno::EPERM);
        }
        self.ambient |= wanted;
        Ok(())
    }

    /// Lowers it.
    pub fn lower_ambient(&mut self, capability: u64) -> Result<(), Errno> {
        self.ambient &= !bit(known(capability)?);
        Ok(())
    }
}

/// Whether `set` has a capability: 0 or 1.
pub fn is_in(set: u64, capability: u64) -> Result<u64, Errno> {
    known(capability).map(|capability| set >> capability & 1)
}

fn known(capability: u64) -> Result<u32, Errno> {
    u32::try_from(capability).ok().filter(|&it| it <= cap::LAST).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_can_only_shrink() {
        let mut caps = Capabilities::of_user(0);
        assert_eq!(caps.set([1, 3, 0]), Ok(()));
        assert_eq!((caps.effective, caps.permitted), (1, 3));
        assert_eq!(caps.set([3, 3, 0]), Ok(()), "what is permitted may be effective");
        assert_eq!(caps.set([3, 7, 0]), Err(Errno::EPERM));
        assert_eq!(caps.set([3, 1, 0]), Err(Errno::EPERM));
        assert_eq!(caps.set([3, 3, 4]), Err(Errno::EPERM), "without CAP_SETPCAP");
        assert_eq!(caps.set([3, 3, 2]), Ok(()));
        assert_eq!(caps.raise_ambient(0), Err(Errno::EPERM));
        assert_eq!(caps.raise_ambient(1), Ok(()));
        caps.exec(&[5; 3]);
        assert_eq!((caps.permitted, caps.effective, caps.inheritable), (2, 2, 2));
    }

    #[test]
    fn root_has_them_back_after_an_exec() {
        let mut caps = Capabilities::of_user(0);
        assert_eq!(caps.drop_bounding(5), Ok(()));
        assert_eq!(caps.drop_bounding(41), Err(Errno::EINVAL));
        assert_eq!(caps.set([0, 0, 0]), Ok(()));
        assert_eq!(caps.drop_bounding(6), Err(Errno::EPERM));
        caps.exec(&[0; 3]);
        assert_eq!((caps.permitted, caps.effective), (ALL & !32, ALL & !32));
        caps.change_user(&[0; 3], &[5; 3]);
        assert_eq!((caps.permitted, caps.effective, caps.bounding), (0, 0, ALL & !32));
    }

    #[test]
    fn a_change_of_user_may_keep_them() {
        let mut caps = Capabilities::of_user(0);
        assert_eq!(caps.set_keep(true), Ok(()));
        caps.change_user(&[0; 3], &[5; 3]);
        assert_eq!((caps.permitted, caps.effective), (ALL, 0));
        assert_eq!(caps.set_secure(0x30), Err(Errno::EPERM));
        assert_eq!(caps.set([ALL, ALL, 0]), Ok(()));
        assert_eq!(caps.set_secure(0x30), Ok(()));
        assert_eq!((caps.set_keep(false), caps.set_secure(0)), (Err(Errno::EPERM), Err(Errno::EPERM)));
        let mut for_a_while = Capabilities::of_user(0);
        for_a_while.change_user(&[0; 3], &[0, 5, 0]);
        assert_eq!((for_a_while.permitted, for_a_while.effective), (ALL, 0));
        for_a_while.change_user(&[0, 5, 0], &[0; 3]);
        assert_eq!(for_a_while.effective, ALL);
    }
}
