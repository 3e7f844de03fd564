//! The log of calls, in the manner of strace(1): arguments decoded while the guest still has them, and lines for records.

use crate::arch::Call;
use crate::cx::Cx;
use crate::record::{Ended, What};
use crate::signal::SigSet;
use crate::syscall::table;
use crate::syscall::table::{Arg, Ret};
use alloc::{format, string::String, vec::Vec};
use core::fmt;
use linux_raw_sys::general as c;

pub mod names;

/// How many bytes of a buffer or string are shown.
const SHOWN: usize = 32;
/// How many strings of a list are shown.
const STRINGS: usize = 32;

/// The arguments of a call that a task is about to make.
#[must_use]
pub fn arguments(cx: &Cx, call: Call) -> Vec<String> {
    let Some(info) = table::call(call.number) else {
        return call.args.iter().map(|arg| format!("{arg:#x}")).collect();
    };
    let decode = |(index, &kind)| {
        let value = call.args[index];
        symbolic(call, index).or_else(|| structure(cx, call, index)).unwrap_or_else(|| match kind {
            Arg::Path => string(cx, value, crate::cx::PATH_MAX),
            Arg::Str => string(cx, value, SHOWN),
            Arg::Strs => strings(cx, value),
            Arg::In => bytes(cx, value, call.args.get(index + 1).copied().unwrap_or(0)),
            kind => raw(kind, value),
        })
    };
    info.args.iter().enumerate().filter(|(index, _)| is_used(call, *index)).map(decode).collect()
}

/// Adds what a call that gave `value` has written to the guest's memory.
pub(crate) fn add_results(cx: &Cx, call: Call, value: u64, args: &mut [String]) {
    let Some(info) = table::call(call.number) else { return };
    for (index, (arg, kind)) in args.iter_mut().zip(info.args).enumerate() {
        let addr = call.args[index];
        let shown = match (call.number as u32, index) {
            _ if addr == 0 => None,
            _ if *kind == Arg::Out && info.ret == Ret::Len => Some(bytes(cx, addr, value)),
            (c::__NR_pipe | c::__NR_pipe2, 0) | (c::__NR_socketpair, 3) => {
                let pair = cx.read_u32(addr).and_then(|one| Ok((one, cx.read_u32(addr.wrapping_add(4))?)));
                pair.ok().map(|(one, other)| format!("[{one}, {other}]"))
            }
            (c::__NR_wait4, 1) if value != 0 => cx.read_u32(addr).ok().map(|status| wait_status(status as i32)),
            (c::__NR_clock_gettime, 1) => timespec(cx, addr),
            _ => None,
        };
        if let Some(shown) = shown {
            *arg = shown;
        }
    }
}

/// A status as wait(2) gives it.
fn wait_status(status: i32) -> String {
    let signal = |number| names::signal(number);
    match status & 0xff {
        0 => format!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {}}}]", status >> 8 & 0xff),
        0x7f => format!("[{{WIFSTOPPED(s) && WSTOPSIG(s) == {}}}]", signal(status >> 8 & 0xff)),
        _ if status == 0xffff => "[{WIFCONTINUED(s)}]".into(),
        killed => format!("[{{WIFSIGNALED(s) && WTERMSIG(s) == {}}}]", signal(killed & 0x7f)),
    }
}

/// A call from its numbers alone.
#[must_use]
pub fn call_line(call: Call) -> String {
    let Some(info) = table::call(call.number) else {
        return format!("call {}", call.number);
    };
    let args: Vec<String> = info
        .args
        .iter()
        .zip(call.args)
        .enumerate()
        .filter(|(index, _)| is_used(call, *index))
        .map(|(index, (&kind, value))| symbolic(call, index).unwrap_or_else(|| raw(kind, value)))
        .collect();
    format!("{}({})", info.name, args.join(", "))
}

/// A call that waits: what it waits with, without addresses. `name` tells what stands at a descriptor.
#[must_use]
pub fn waiting_line(call: Call, name: impl Fn(i32) -> Option<String>) -> String {
    let Some(info) = table::call(call.number) else { return call_line(call) };
    let show = |(index, (&kind, &value)): (usize, (&Arg, &u64))| match kind {
        Arg::Path | Arg::Str | Arg::Strs | Arg::In | Arg::Out => None,
        Arg::Ptr if call.number != u64::from(c::__NR_futex) => None,
        Arg::Fd => Some(name(value as i32).map_or(raw(kind, value), |name| format!("{} <{name}>", value as i32))),
        kind => Some(symbolic(call, index).unwrap_or_else(|| raw(kind, value))),
    };
    let args = info.args.iter().zip(&call.args).enumerate().filter(|(index, _)| is_used(call, *index));
    let shown: Vec<String> = args.filter_map(show).collect();
    format!("{}({})", info.name, shown.join(", "))
}

/// Whether the call looks at the argument: some only do with certain flags.
fn is_used(call: Call, index: usize) -> bool {
    const MAKES: u64 = 0o100 | 0o20_000_000;
    match (call.number as u32, index) {
        (c::__NR_open, 2) => call.args[1] & MAKES != 0,
        (c::__NR_openat, 3) => call.args[2] & MAKES != 0,
        _ => true,
    }
}

/// A value by its kind alone.
fn raw(kind: Arg, value: u64) -> String {
    match kind {
        Arg::Dir if value as i32 == c::AT_FDCWD => "AT_FDCWD".into(),
        Arg::Fd | Arg::Dir | Arg::Int | Arg::Pid | Arg::Id => format!("{}", value as i32),
        Arg::Signal => names::signal(value as i32),
        Arg::Clock => names::value(value as u32 as u64, names::CLOCK),
        Arg::Len => format!("{value}"),
        Arg::Off => format!("{}", value as i64),
        Arg::Uint => format!("{}", value as u32),
        Arg::Flags => format!("{:#x}", value as u32),
        Arg::Mode => format!("{:#o}", value as u32),
        Arg::Word => format!("{value:#x}"),
        Arg::Path | Arg::Str | Arg::Strs | Arg::In | Arg::Out | Arg::Ptr if value == 0 => "NULL".into(),
        Arg::Path | Arg::Str | Arg::Strs | Arg::In | Arg::Out | Arg::Ptr => format!("{value:#x}"),
    }
}

/// Arguments whose numbers have names.
fn symbolic(call: Call, index: usize) -> Option<String> {
    use names::{flags, value};
    let arg = call.args[index];
    let low = arg & 0xffff_ffff;
    Some(match (call.number as u32, index) {
        (c::__NR_open, 1) | (c::__NR_openat, 2) => open_flags(low),
        (c::__NR_pipe2, 1) | (c::__NR_dup3, 2) => flags(low, names::OPEN, "0"),
        (c::__NR_mmap, 2) | (c::__NR_mprotect, 2) => flags(low, names::PROT, "PROT_NONE"),
        (c::__NR_mmap, 3) => flags(low, names::MAP, "0"),
        (c::__NR_mremap, 3) => flags(low, names::MREMAP, "0"),
        (c::__NR_madvise, 2) => value(low, names::MADVISE),
        (c::__NR_clone, 0) => {
            let signal =
                if arg & 0xff == 0 { String::new() } else { format!("|{}", names::signal((arg & 0xff) as i32)) };
            format!("{}{signal}", flags(arg & !0xff, names::CLONE, "0"))
        }
        (c::__NR_wait4, 2) | (c::__NR_waitid, 3) => flags(low, names::WAIT, "0"),
        (c::__NR_waitid, 0) => value(low, names::IDTYPE),
        (c::__NR_access, 1) | (c::__NR_faccessat, 2) | (c::__NR_faccessat2, 2) => flags(low, names::ACCESS, "F_OK"),
        (c::__NR_newfstatat | c::__NR_faccessat2, 3) | (c::__NR_unlinkat | c::__NR_statx, 2) => {
            flags(low, names::AT, "0")
        }
        (c::__NR_linkat | c::__NR_execveat, 4) => flags(low, names::AT, "0"),
        (c::__NR_lseek, 2) => value(low, names::SEEK),
        (c::__NR_rt_sigprocmask, 0) => value(low, names::HOW),
        (c::__NR_fcntl, 1) => value(low, names::FCNTL),
        (c::__NR_fcntl, 2) if call.args[1] as u32 == c::F_SETFL => open_flags(low),
        (c::__NR_fcntl, 2) if call.args[1] as u32 == c::F_SETFD => flags(low, &[(1, "FD_CLOEXEC")], "0"),
        (c::__NR_ioctl, 1) => value(low, names::IOCTL),
        (c::__NR_futex, 1) => {
            let clock = if low & u64::from(c::FUTEX_CLOCK_REALTIME) != 0 { "|FUTEX_CLOCK_REALTIME" } else { "" };
            let command = value(low & 0x7f, names::FUTEX);
            let private = if low & u64::from(c::FUTEX_PRIVATE_FLAG) != 0 { "_PRIVATE" } else { "" };
            format!("{command}{private}{clock}")
        }
        (c::__NR_getrlimit | c::__NR_setrlimit, 0) | (c::__NR_prlimit64, 1) => value(low, names::RLIMIT),
        (c::__NR_setitimer | c::__NR_getitimer, 0) => value(low, names::ITIMER),
        (c::__NR_clock_nanosleep | c::__NR_timer_settime, 1) => flags(low, &[(1, "TIMER_ABSTIME")], "0"),
        (c::__NR_epoll_ctl, 1) => value(low, names::EPOLL_OP),
        (c::__NR_getrandom, 2) => flags(low, names::GRND, "0"),
        (c::__NR_arch_prctl, 0) => value(low, names::ARCH),
        (c::__NR_prctl, 0) => value(low, names::PRCTL),
        _ => return None,
    })
}

fn open_flags(value: u64) -> String {
    let mode = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][(value & 3) as usize];
    match names::flags(value & !3, names::OPEN, "") {
        flags if flags.is_empty() => mode.into(),
        flags => format!("{mode}|{flags}"),
    }
}

/// Arguments that point to a structure with a short form.
fn structure(cx: &Cx, call: Call, index: usize) -> Option<String> {
    let addr = call.args[index];
    if addr == 0 {
        return None;
    }
    match (call.number as u32, index) {
        (c::__NR_nanosleep, 0)
        | (c::__NR_clock_nanosleep | c::__NR_rt_sigtimedwait | c::__NR_ppoll, 2)
        | (c::__NR_pselect6, 4)
        | (c::__NR_epoll_pwait2, 3) => timespec(cx, addr),
        (c::__NR_futex, 3) => match call.args[1] as u32 & 0x7f {
            c::FUTEX_WAIT | c::FUTEX_WAIT_BITSET | c::FUTEX_LOCK_PI | c::FUTEX_LOCK_PI2 => timespec(cx, addr),
            c::FUTEX_REQUEUE | c::FUTEX_CMP_REQUEUE | c::FUTEX_WAKE_OP => Some(format!("{}", addr as u32)),
            _ => None,
        },
        (c::__NR_timer_settime, 2) => {
            let (interval, value) = (timespec(cx, addr)?, timespec(cx, addr.wrapping_add(16))?);
            Some(format!("{{it_interval={interval}, it_value={value}}}"))
        }
        (c::__NR_setitimer, 1) => {
            let [seconds, micros, value_seconds, value_micros]: [u64; 4] = cx.read_words(addr).ok()?;
            let part = |name, s, us| format!("it_{name}={{tv_sec={}, tv_usec={}}}", s as i64, us as i64);
            Some(format!("{{{}, {}}}", part("interval", seconds, micros), part("value", value_seconds, value_micros)))
        }
        (c::__NR_rt_sigprocmask, 1) | (c::__NR_rt_sigtimedwait | c::__NR_rt_sigsuspend, 0) => sigset(cx, addr),
        (c::__NR_rt_sigaction, 1) => {
            let [handler, flags, restorer, mask]: [u64; 4] = cx.read_words(addr).ok()?;
            let handler = match handler {
                0 => "SIG_DFL".into(),
                1 => "SIG_IGN".into(),
                handler => format!("{handler:#x}"),
            };
            let mask = set(SigSet(mask));
            Some(format!("{{sa_handler={handler}, sa_mask={mask}, sa_flags={flags:#x}, sa_restorer={restorer:#x}}}"))
        }
        _ => None,
    }
}

fn timespec(cx: &Cx, addr: u64) -> Option<String> {
    let [seconds, nanos]: [u64; 2] = cx.read_words(addr).ok()?;
    Some(format!("{{tv_sec={}, tv_nsec={}}}", seconds as i64, nanos as i64))
}

fn sigset(cx: &Cx, addr: u64) -> Option<String> {
    cx.read_u64(addr).ok().map(|bits| set(SigSet(bits)))
}

/// `[CHLD USR1]`, or `~[…]` with what is missing if that is shorter.
fn set(set: SigSet) -> String {
    let (mark, shown) = if set.0.count_ones() > 32 { ("~", SigSet(!set.0)) } else { ("", set) };
    let names: Vec<String> = (1..=64)
        .filter(|&number| shown.has(number))
        .map(|number| names::signal(number).trim_start_matches("SIG").into())
        .collect();
    format!("{mark}[{}]", names.join(" "))
}

/// A string that ends with a NUL, cut at `max` bytes.
fn string(cx: &Cx, addr: u64, max: usize) -> String {
    if addr == 0 {
        return "NULL".into();
    }
    match cx.read_str(addr, max + 1) {
        Ok(text) => quote(&text, false),
        Err(crate::errno::Errno::ENAMETOOLONG) => match cx.read_vec(addr, max) {
            Ok(text) => quote(&text, true),
            Err(_) => format!("{addr:#x}"),
        },
        Err(_) => format!("{addr:#x}"),
    }
}

fn strings(cx: &Cx, addr: u64) -> String {
    if addr == 0 {
        return "NULL".into();
    }
    let mut list = Vec::new();
    for index in 0..STRINGS as u64 {
        match cx.read_u64(addr.wrapping_add(index * 8)) {
            Err(_) => return format!("{addr:#x}"),
            Ok(0) => return format!("[{}]", list.join(", ")),
            Ok(at) => list.push(string(cx, at, SHOWN)),
        }
    }
    format!("[{}, ...]", list.join(", "))
}

fn bytes(cx: &Cx, addr: u64, len: u64) -> String {
    if addr == 0 {
        return "NULL".into();
    }
    let shown = usize::try_from(len).unwrap_or(usize::MAX).min(SHOWN);
    match cx.read_vec(addr, shown) {
        Ok(data) => quote(&data, len > shown as u64),
        Err(_) => format!("{addr:#x}"),
    }
}

fn quote(data: &[u8], cut: bool) -> String {
    let mut text = String::with_capacity(data.len() + 8);
    text.push('"');
    for (index, &byte) in data.iter().enumerate() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            b' '..=b'~' => text.push(byte as char),
            _ if data.get(index + 1).is_some_and(u8::is_ascii_digit) => text.push_str(&format!("\\{byte:03o}")),
            _ => text.push_str(&format!("\\{byte:o}")),
        }
    }
    text.push('"');
    if cut {
        text.push_str("...");
    }
    text
}

/// The result of a call by the kind that the table gives it.
fn result(call: Call, value: u64) -> String {
    match table::call(call.number).map(|info| info.ret) {
        Some(Ret::Ptr | Ret::Flags) if value != 0 => format!("{value:#x}"),
        Some(Ret::Mode) => format!("{value:#o}"),
        _ => format!("{}", value as i64),
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Call { call, args, ended } => {
                match table::call(call.number) {
                    Some(info) => write!(f, "{}({}) = ", info.name, args.join(", "))?,
                    None => write!(f, "call_{}({}) = ", call.number, args.join(", "))?,
                }
                match ended {
                    Ended::Value(value) => f.write_str(&result(*call, *value)),
                    Ended::Failed(error) => write!(f, "-1 {error} ({})", names::error(error.number())),
                    Ended::Away => f.write_str("?"),
                }
            }
            What::Signal { signal, code } => {
                let name = names::signal(*signal);
                write!(f, "--- {name} {{si_signo={name}, si_code={}}} ---", names::code(*signal, *code))
            }
            What::Exit { status } if status & 0x7f == 0 => write!(f, "+++ exited with {} +++", status >> 8 & 0xff),
            What::Exit { status } => {
                let core = if status & 0x80 == 0 { "" } else { " (core dumped)" };
                write!(f, "+++ killed by {}{core} +++", names::signal(status & 0x7f))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{call_line, names, quote, set};
    use crate::arch::Call;
    use crate::errno::Errno;
    use crate::record::{Ended, What};
    use crate::signal::SigSet;
    use alloc::{string::ToString, vec};

    #[test]
    fn lines_read_like_those_of_strace() {
        let call = Call { number: 257, args: [0; 6] };
        let args = vec!["AT_FDCWD".into(), "\"/x\"".into(), "O_RDONLY".into()];
        assert_eq!(
            What::Call { call, args, ended: Ended::Failed(Errno::ENOENT) }.to_string(),
            "openat(AT_FDCWD, \"/x\", O_RDONLY) = -1 ENOENT (No such file or directory)"
        );
        assert_eq!(
            What::Signal { signal: 17, code: 1 }.to_string(),
            "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---"
        );
        assert_eq!(What::Exit { status: 0x300 }.to_string(), "+++ exited with 3 +++");
        assert_eq!(What::Exit { status: 9 }.to_string(), "+++ killed by SIGKILL +++");
    }

    #[test]
    fn numbers_become_names() {
        assert_eq!(
            call_line(Call { number: 202, args: [16, 128, 2, 0, 0, 0] }).split(',').nth(1),
            Some(" FUTEX_WAIT_PRIVATE")
        );
        let open = call_line(Call { number: 257, args: [(-100i64) as u64, 0, 0o2_000_001, 0o777, 0, 0] });
        assert_eq!(open, "openat(AT_FDCWD, NULL, O_WRONLY|O_CLOEXEC)");
        assert_eq!(call_line(Call { number: 9999, args: [0; 6] }), "call 9999");
        assert_eq!(names::signal(34), "SIGRT_2");
        assert_eq!(names::signal(-1), "-1");
        assert_eq!(set(SigSet(!1)), "~[HUP]");
        assert_eq!(set(SigSet(1 << 9 | 1 << 16)), "[USR1 CHLD]");
    }

    #[test]
    fn text_is_quoted_so_that_it_can_be_read_back() {
        assert_eq!(quote(b"a\"\\\n\x01\x012\xff", true), "\"a\\\"\\\\\\n\\1\\0012\\377\"...");
    }
}
