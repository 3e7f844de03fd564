//! The table of all Linux system calls of x86-64, up to Linux 6.18: whether the kernel models them, how they pass the engine, and
//! how to print them.
//!
//! Invariants, checked when this crate is compiled: every number that Linux has is in the table once, in ascending
//! order, and each entry has one of the four statuses. `docs/SYSCALLS.md` is generated from the table.
//!
//! Source: `arch/x86/entry/syscalls/syscall_64.tbl` of Linux 6.18.

mod calls;

use calls::CALLS;

/// Who carries out a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The simulated kernel carries it out, as Linux would.
    Modelled,
    /// Modelled, but not all of it; the reason says what differs or is missing.
    Partial(&'static str),
    /// Linux carries it out. Where the call names a descriptor that the simulated kernel owns, the kernel answers instead.
    Native,
    /// Fails with `ENOSYS`, is counted, and is shown to the user at the end.
    Refused(&'static str),
}

/// How a call gets past the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passage {
    /// One stop, on the way in; then the simulated kernel answers or lets Linux do it, unchanged.
    Seen,
    /// One or two stops: Linux answers, and the kernel virtualizes what depends on the machine.
    Virtualized,
    /// One stop; the call never reaches Linux as the guest made it.
    Emulated,
}

/// The kind of one argument, for checks and logs. Kinds of 32 bits ignore the upper half of the register, as Linux does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A descriptor.
    Fd,
    /// A descriptor of a directory, or `AT_FDCWD`.
    Dir,
    /// The address of a path that ends with a NUL.
    Path,
    /// The address of another string that ends with a NUL.
    Str,
    /// The address of a list of strings that ends with a null pointer (`argv`, `envp`).
    Strs,
    /// The address of bytes that the call reads; the next `Len` says how many.
    In,
    /// The address of bytes that the call fills; a result of kind `Len` says how many.
    Out,
    /// The address of anything else: a structure, a vector, a word.
    Ptr,
    /// A count of bytes or of entries: 64 bits, unsigned.
    Len,
    /// 64 bits, signed: an offset.
    Off,
    /// 32 bits, signed.
    Int,
    /// 32 bits, unsigned.
    Uint,
    /// 32 bits of flags or an operation's code, in hex.
    Flags,
    /// 64 bits, in hex.
    Word,
    /// Permission bits, in octal.
    Mode,
    /// A process, thread, group or session id; may be negative.
    Pid,
    /// A user or group id; -1 stands for none.
    Id,
    /// A signal's number.
    Signal,
    /// A clock's id.
    Clock,
}

/// The kind of a result that is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// Zero.
    Zero,
    /// The call doesn't return when it succeeds.
    Never,
    /// A descriptor.
    Fd,
    /// A process, thread, group or session id, or zero.
    Pid,
    /// A user or group id.
    Id,
    /// A count of bytes or entries, or an offset.
    Len,
    /// A signed number: whatever else the call counts.
    Int,
    /// An address.
    Ptr,
    /// Flags, in hex.
    Flags,
    /// Permission bits, in octal.
    Mode,
}

/// One system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallInfo {
    /// Its number in `rax`.
    pub number: u16,
    /// Its name in Linux's table.
    pub name: &'static str,
    /// Who carries it out.
    pub status: Status,
    /// How it gets past the engine.
    pub passage: Passage,
    /// Its arguments, in order.
    pub args: &'static [Arg],
    /// Its result.
    pub ret: Ret,
}

/// How many calls have each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// See [`Status::Modelled`].
    pub modelled: usize,
    /// See [`Status::Partial`].
    pub partial: usize,
    /// See [`Status::Native`].
    pub native: usize,
    /// See [`Status::Refused`].
    pub refused: usize,
}

/// Linux's numbers come in two runs: the old ones, and from 424 on those that all architectures share.
const OLD: core::ops::RangeInclusive<u64> = 0..=336;
const NEW: core::ops::RangeInclusive<u64> = 424..=469;

/// The number of calls in Linux 6.18.
const TOTAL: usize = 337 + 46;

/// How many calls have each status.
pub const COUNTS: Counts = count();

/// The call of a number, in constant time. `None`: Linux 6.18 has none with this number (x32's numbers are none).
#[must_use]
pub fn call(number: u64) -> Option<&'static CallInfo> {
    let index = if OLD.contains(&number) {
        number - OLD.start()
    } else if NEW.contains(&number) {
        number - NEW.start() + OLD.end() + 1
    } else {
        return None;
    };
    CALLS.get(usize::try_from(index).ok()?)
}

/// The number of places in an array with one for each call. All numbers of calls are below this.
pub const PLACES: usize = 512;

/// Whether programs and libraries make a refused call only to find out what there is, and do without.
#[must_use]
pub fn is_probe(number: u64) -> bool {
    const PROBES: [&str; 10] = [
        "pkey_alloc",
        "get_mempolicy",
        "cachestat",
        "map_shadow_stack",
        "statmount",
        "listmount",
        "lsm_get_self_attr",
        "lsm_set_self_attr",
        "lsm_list_modules",
        "mseal",
    ];
    call(number).is_some_and(|info| PROBES.contains(&info.name))
}

/// The place of a number. Those that Linux doesn't have share the last one, which it hasn't either.
#[must_use]
#[inline]
pub fn place(number: u64) -> usize {
    (number as usize).min(PLACES - 1)
}

/// All calls, by ascending number.
#[must_use]
pub const fn all() -> &'static [CallInfo] {
    CALLS
}

const fn count() -> Counts {
    let mut counts = Counts { modelled: 0, partial: 0, native: 0, refused: 0 };
    let mut i = 0;
    while i < CALLS.len() {
        match CALLS[i].status {
            Status::Modelled => counts.modelled += 1,
            Status::Partial(_) => counts.partial += 1,
            Status::Native => counts.native += 1,
            Status::Refused(_) => counts.refused += 1,
        }
        i += 1;
    }
    counts
}

const _: () = {
    assert!(CALLS.len() == TOTAL, "the table is not complete");
    assert!(COUNTS.modelled + COUNTS.partial + COUNTS.native + COUNTS.refused == TOTAL);
    let mut expected = *OLD.start();
    let mut i = 0;
    while i < CALLS.len() {
        assert!(CALLS[i].number as u64 == expected, "a number is missing, twice there or out of order");
        expected = if expected == *OLD.end() { *NEW.start() } else { expected + 1 };
        let native = matches!(CALLS[i].status, Status::Native);
        let refused = matches!(CALLS[i].status, Status::Refused(_));
        let emulated = matches!(CALLS[i].passage, Passage::Emulated);
        assert!(!(native && emulated), "a native call reaches Linux");
        assert!(!refused || emulated, "a refused call doesn't reach Linux");
        i += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::{all, call};

    #[test]
    fn each_number_finds_its_call() {
        for info in all() {
            assert_eq!(call(u64::from(info.number)), Some(info));
        }
        for number in [337, 423, 470, 512, 0x4000_0000, u64::MAX] {
            assert_eq!(call(number), None);
        }
    }

    #[test]
    fn no_call_has_more_than_six_arguments() {
        for info in all() {
            assert!(info.args.len() <= 6, "{}", info.name);
        }
    }
}
