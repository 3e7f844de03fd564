//! Keeps guests' calls away from what is the engine's: the arena, the blob, the stubs, and the descriptors of the
//! first two.
//!
//! Every call that Linux carries out for a guest is checked here. A guest's own loads and stores are not. If they hit
//! the arena, the marks in it may show that (`memory::marks`).

use fated_kernel::arch::Call;
use fated_kernel::errno::Errno;
use fated_kernel::syscall::table;
use fated_kernel::syscall::table::{Arg, Ret};
use linux_raw_sys::general::*;

use crate::enter::gate;
use crate::memory::reserved::{around, is_reserved, range_starts};
use crate::process::descriptors::Descriptors;
use crate::protocol::layout::ARENA;
use crate::sys;

/// Which arguments of a call may refer to something of the engine's. Bit 0 is the first argument.
#[derive(Clone, Copy)]
struct Shape {
    descriptors: u8,
    addresses: u8,
    /// Addresses whose length is the next argument.
    buffers: u8,
    /// It returns a descriptor.
    opens: bool,
    /// It needs a look of its own, before or afterwards.
    is_special: bool,
}

/// By a call's place in the table.
static SHAPES: [Shape; table::PLACES] = {
    let mut shapes =
        [Shape { descriptors: 0, addresses: 0, buffers: 0, opens: false, is_special: false }; table::PLACES];
    let calls = table::all();
    let mut index = 0;
    while index < calls.len() {
        let shape = &mut shapes[calls[index].number as usize];
        let args = calls[index].args;
        let mut place = 0;
        while place < args.len() {
            match args[place] {
                Arg::Fd | Arg::Dir => shape.descriptors |= 1 << place,
                Arg::In | Arg::Out if place + 1 < args.len() && matches!(args[place + 1], Arg::Len) => {
                    shape.buffers |= 1 << place;
                    shape.addresses |= 1 << place;
                }
                Arg::In | Arg::Out | Arg::Path | Arg::Str | Arg::Strs | Arg::Ptr => shape.addresses |= 1 << place,
                _ => {}
            }
            place += 1;
        }
        let number = calls[index].number as u32;
        shape.opens = matches!(calls[index].ret, Ret::Fd);
        shape.is_special = changes_mappings(number) || takes_vector(number) || is_noted(number);
        index += 1;
    }
    shapes
};

/// Whether a call changes mappings.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
const fn changes_mappings(number: u32) -> bool {
    matches!(
        number,
        __NR_mmap
            | __NR_munmap
            | __NR_mprotect
            | __NR_madvise
            | __NR_mlock
            | __NR_mlock2
            | __NR_munlock
            | __NR_msync
            | __NR_mbind
            | __NR_mremap
    )
}

/// Whether a call takes a vector of buffers.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
const fn takes_vector(number: u32) -> bool {
    matches!(number, __NR_readv | __NR_writev | __NR_preadv | __NR_pwritev | __NR_preadv2 | __NR_pwritev2)
}

/// Whether the engine tracks its effect: on descriptors, locks, or the bases of segments.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
const fn is_noted(number: u32) -> bool {
    matches!(
        number,
        __NR_close_range
            | __NR_dup2
            | __NR_dup3
            | __NR_fcntl
            | __NR_pipe2
            | __NR_flock
            | __NR_prlimit64
            | __NR_arch_prctl
    )
}

/// Whether a call refers to nothing of the engine's, and needs no tracking but for a descriptor that it returns.
/// Nearly all calls are like that, so this is a part of what each one costs.
#[inline]
pub fn is_harmless(call: &Call, own: &Descriptors) -> bool {
    let shape = &SHAPES[table::place(call.number)];
    let names = |place: usize| {
        let (bit, value) = (1 << place, call.args[place]);
        shape.descriptors & bit != 0 && own.hold(value)
            || shape.addresses & bit != 0 && {
                let len = if shape.buffers & bit != 0 { call.args[place + 1] } else { 1 };
                is_reserved(value, len)
            }
    };
    !shape.is_special && !(0..call.args.len()).any(names)
}

/// Whether a call returns a descriptor.
#[inline]
pub fn opens(call: &Call) -> bool {
    SHAPES[table::place(call.number)].opens
}

/// Changes a call so that Linux may carry it out in the guest's name, or returns its result instead. Otherwise it
/// could unmap the engine or let the guest in. A reference to something of the engine's becomes one to nothing at
/// all, so that Linux still finds the first error of several.
pub fn restrict(call: &mut Call, own: &Descriptors) -> Option<i64> {
    if call.number as u32 == __NR_close_range {
        return Some(close_range(call.args, own));
    }
    if let Some(result) = mapping(call) {
        return Some(result);
    }
    hide(call, own);
    None
}

/// The result of a call that would change the engine's mappings.
#[expect(non_upper_case_globals, reason = "the numbers have the names of Linux's headers")]
fn mapping(call: &Call) -> Option<i64> {
    const FIXED: u64 = (MREMAP_FIXED | MREMAP_MAYMOVE) as u64;
    let [a, b, c, d, e, f] = call.args;
    let fails = |errno: Errno| Some(-i64::from(errno.number()));
    match call.number as u32 {
        // The address is a hint unless it is fixed.
        __NR_mmap if d & u64::from(MAP_FIXED | MAP_FIXED_NOREPLACE) == 0 => None,
        __NR_mmap if is_refused(a, b) || !f.is_multiple_of(PAGE) => None,
        // Linux refuses a place with other errors before it looks for what is to be moved there.
        __NR_mremap if d & FIXED == FIXED && e.checked_add(c).is_none_or(|end| end > ADDRESSES) => None,
        __NR_mremap if d & u64::from(MREMAP_FIXED) == 0 && is_refused(a, b) => None,
        __NR_mremap if is_reserved(a, b) || d & FIXED == FIXED && is_reserved(e, c) => fails(Errno::EFAULT),
        __NR_mremap => None,
        __NR_mmap if is_reserved(a, b) => fails(Errno::ENOMEM),
        number if changes_mappings(number) && is_reserved(a, b) => in_pieces(call),
        _ => None,
    }
}

const PAGE: u64 = 4096;

/// Whether Linux refuses a range before it changes anything in it.
fn is_refused(at: u64, len: u64) -> bool {
    !at.is_multiple_of(PAGE) || at.checked_add(len).is_none_or(|end| end > ADDRESSES)
}

/// A call on a range that the engine has a part of: it is made for what lies around that, where to a guest nothing is mapped. `None`:
/// Linux refuses the range as a whole.
fn in_pieces(call: &Call) -> Option<i64> {
    let [at, len, rest @ ..] = call.args;
    let end = at.checked_add(len.checked_next_multiple_of(PAGE)?).filter(|&end| end <= ADDRESSES && at % PAGE == 0)?;
    let number = call.number as u32;
    // These go on behind a gap; the others stop there.
    let whole = [__NR_munmap, __NR_madvise, __NR_msync].contains(&number);
    for (from, to) in around(at, end).take(if whole { usize::MAX } else { 1 }).filter(|&(from, _)| whole || from == at)
    {
        let mut args = [from, to - from, 0, 0, 0, 0];
        args[2..].copy_from_slice(&rest);
        // What fails because of another gap fails here, too.
        let _ = sys::call(number, args);
    }
    Some(if number == __NR_munmap { 0 } else { -i64::from(Errno::ENOMEM.number()) })
}

/// An address where nothing is mapped: below the arena.
const NOWHERE: u64 = ARENA - 4096;

/// Removes the engine's descriptors and memory from the arguments.
fn hide(call: &mut Call, own: &Descriptors) {
    let Some(info) = table::call(call.number) else { return };
    // The address of a mapping may be a hint.
    let hint = call.number as u32 == __NR_mmap;
    for (kind, value) in info.args.iter().zip(&mut call.args) {
        match kind {
            Arg::Fd | Arg::Dir if own.hold(*value) => *value = u64::MAX,
            Arg::In | Arg::Out | Arg::Path | Arg::Str | Arg::Strs | Arg::Ptr if !hint && is_reserved(*value, 1) => {
                *value = NOWHERE;
            }
            _ => {}
        }
    }
    shorten(call, info.args);
    if vector_is_ours(call) {
        call.args[1] = NOWHERE;
    }
}

/// Ends buffers where the engine's memory begins, as if nothing were mapped there. Linux uses as much of a long
/// buffer as it needs.
fn shorten(call: &mut Call, kinds: &[Arg]) {
    for place in 1..kinds.len() {
        if matches!(kinds[place - 1..=place], [Arg::In | Arg::Out, Arg::Len]) {
            let (at, len) = (call.args[place - 1], call.args[place]);
            // Beyond the last address Linux refuses the buffer, or needs far less of it.
            if at.checked_add(len).is_some_and(|end| end <= ADDRESSES) && is_reserved(at, len) {
                let begins = range_starts().filter(|&begin| begin > at).min();
                call.args[place] = begins.map_or(len, |begin| len.min(begin - at));
            }
        }
    }
}

/// The end of user addresses (`TASK_SIZE_MAX`).
const ADDRESSES: u64 = (1 << 47) - 4096;
/// The most bytes of one call (`MAX_RW_COUNT`).
const MOST_BYTES: u64 = 0x7fff_f000;

/// Whether the call takes a vector that has a buffer in the engine's memory.
fn vector_is_ours(call: &Call) -> bool {
    const MOST: u64 = 1024;
    // What can't be read here Linux can't read either, and it reports that.
    takes_vector(call.number as u32)
        && (0..call.args[2].min(MOST)).any(|index| {
            let mut part = [0_u64; 2];
            let size = size_of_val(&part) as u64;
            let Some(from) = call.args[1].checked_add(index * size) else { return false };
            // SAFETY: `part` is writable; `copy_guest` survives a fault at the other address.
            let left = unsafe { gate::copy_guest(part.as_mut_ptr() as u64, from, size) };
            left == 0 && part[1] > 0 && is_reserved(part[0], part[1].min(MOST_BYTES))
        })
}

/// close_range(2), but for the engine's descriptors.
fn close_range([first, last, flags, ..]: [u64; 6], own: &Descriptors) -> i64 {
    let (first, last) = (u64::from(first as u32), u64::from(last as u32));
    let [low, .., high] = own.all().map(|fd| fd as u64);
    if first > last {
        return -i64::from(Errno::EINVAL.number());
    }
    let range = |from: u64, to: u64| {
        if from > to { 0 } else { sys::call(__NR_close_range, [from, to, flags, 0, 0, 0]) }
    };
    let below = range(first, last.min(low - 1));
    if below < 0 { below } else { range(first.max(high + 1), last) }
}
