//! prctl(2) and arch_prctl(2); personality(2) is kept beside them.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, SysResult};
use crate::process::family::Signal;
use crate::process::task::Process;
use crate::syscall::Args;
use crate::syscall::resource::is_root;
use linux_raw_sys::prctl::*;

/// Keys of [`Process::attributes`] that are no options of prctl(2).
pub(crate) const MEMBARRIERS: u32 = u32::MAX;
pub(crate) const PERSONALITY: u32 = u32::MAX - 1;
/// What was written to `/proc/PID/oom_score_adj`.
pub(crate) const OOM_SCORE_ADJ: u32 = u32::MAX - 2;

/// The default of `PR_SET_TIMERSLACK`.
const SLACK_NS: u64 = 50_000;
/// How many capabilities Linux knows (`CAP_LAST_CAP` + 1).
const CAPABILITIES: u64 = 41;
/// The bits of `PR_SET_SECUREBITS`, each with its lock.
const SECUREBITS: u64 = 0xff;

/// The attribute `key` of the calling process; 0 if it was never set.
pub(crate) fn attribute(cx: &Cx, key: u32) -> u64 {
    cx.process().attributes.borrow().get(&key).copied().unwrap_or(0)
}

/// Sets an attribute of the calling process.
pub(crate) fn set_attribute(cx: &Cx, key: u32, value: u64) {
    cx.process().attributes.borrow_mut().insert(key, value);
}

/// Exec drops what belongs to the old program.
pub(crate) fn exec(process: &Process) {
    let mut attributes = process.attributes.borrow_mut();
    for key in [MEMBARRIERS, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_PTRACER] {
        attributes.remove(&key);
    }
}

/// prctl(2).
pub fn prctl(cx: &Cx, a: Args) -> SysResult {
    let [option, second, third, fourth, fifth, _] = a;
    let option = option as u32;
    let value = |value: u64| Ok(Outcome::Value(value));
    let rest_is_zero = |rest: &[u64]| if rest.iter().all(|&arg| arg == 0) { Ok(()) } else { Err(Errno::EINVAL) };
    let flag = |arg: u64| if arg <= 1 { Ok(()) } else { Err(Errno::EINVAL) };
    let tid = cx.task.tid.get();
    match option {
        PR_SET_PDEATHSIG => {
            let signal = match second {
                0 => None,
                number => Some(u32::try_from(number).ok().and_then(Signal::new).ok_or(Errno::EINVAL)?),
            };
            cx.kernel.family.borrow_mut().set_pdeathsig(tid, signal)?;
        }
        PR_GET_PDEATHSIG => {
            let signal = cx.kernel.family.borrow().pdeathsig(tid).map_or(0, |signal| signal.get());
            cx.write_u32(second, signal)?;
        }
        PR_GET_DUMPABLE => return value(cx.process().attributes.borrow().get(&PR_SET_DUMPABLE).copied().unwrap_or(1)),
        PR_SET_DUMPABLE | PR_SET_KEEPCAPS => {
            flag(second)?;
            set_attribute(cx, option, second);
        }
        PR_GET_KEEPCAPS => return value(attribute(cx, PR_SET_KEEPCAPS)),
        PR_GET_TIMING | PR_GET_SECCOMP => return value(0),
        PR_SET_TIMING if second == u64::from(PR_TIMING_STATISTICAL) => {}
        PR_SET_NAME => set_name(cx, second)?,
        PR_GET_NAME => cx.write(second, &cx.task.comm.get())?,
        PR_CAPBSET_READ | PR_CAPBSET_DROP if second >= CAPABILITIES => return Err(Errno::EINVAL),
        PR_CAPBSET_READ => return value(!attribute(cx, PR_CAPBSET_DROP) >> second & 1),
        PR_CAPBSET_DROP | PR_SET_SECUREBITS | PR_SET_IO_FLUSHER if !is_root(cx) => return Err(Errno::EPERM),
        PR_CAPBSET_DROP => set_attribute(cx, option, attribute(cx, option) | 1 << second),
        PR_SET_SECUREBITS => set_attribute(cx, option, second & SECUREBITS),
        PR_GET_SECUREBITS => return value(attribute(cx, PR_SET_SECUREBITS)),
        PR_SET_MM => return Err(Errno::EPERM),
        PR_GET_TSC => cx.write_u32(second, PR_TSC_ENABLE)?,
        PR_SET_TSC if second == u64::from(PR_TSC_ENABLE) => {}
        PR_SET_TIMERSLACK => set_attribute(cx, option, if second as i64 <= 0 { SLACK_NS } else { second }),
        PR_GET_TIMERSLACK => {
            let slack = attribute(cx, PR_SET_TIMERSLACK);
            return value(if slack == 0 { SLACK_NS } else { slack });
        }
        PR_SET_CHILD_SUBREAPER => {
            cx.kernel.family.borrow_mut().set_subreaper(cx.process().pid, second != 0)?;
        }
        PR_GET_CHILD_SUBREAPER => {
            let reaps = cx.kernel.family.borrow().is_subreaper(cx.process().pid);
            cx.write_u32(second, u32::from(reaps))?;
        }
        PR_SET_NO_NEW_PRIVS => {
            rest_is_zero(&[second ^ 1, third, fourth, fifth])?;
            set_attribute(cx, option, 1);
        }
        PR_GET_NO_NEW_PRIVS => {
            rest_is_zero(&[second, third, fourth, fifth])?;
            return value(attribute(cx, PR_SET_NO_NEW_PRIVS));
        }
        PR_GET_TID_ADDRESS => cx.write_words(second, &[cx.task.clear_child_tid.get()])?,
        PR_SET_THP_DISABLE => {
            rest_is_zero(&[third, fourth, fifth])?;
            set_attribute(cx, option, u64::from(second != 0));
        }
        PR_GET_THP_DISABLE => {
            rest_is_zero(&[second, third, fourth, fifth])?;
            return value(attribute(cx, PR_SET_THP_DISABLE));
        }
        PR_CAP_AMBIENT => return ambient(second, third, [fourth, fifth]).map(Outcome::Value),
        PR_GET_SPECULATION_CTRL => {
            rest_is_zero(&[third, fourth, fifth])?;
            return if second <= u64::from(PR_SPEC_L1D_FLUSH) {
                value(u64::from(PR_SPEC_NOT_AFFECTED))
            } else {
                Err(Errno::ENODEV)
            };
        }
        PR_GET_MDWE => {
            rest_is_zero(&[second, third, fourth, fifth])?;
            return value(0);
        }
        PR_SET_PTRACER => set_attribute(cx, option, second),
        // Names of anonymous mappings: memory is the real Linux's.
        PR_SET_VMA => return Ok(Outcome::Pass),
        _ => return Err(Errno::EINVAL),
    }
    value(0)
}

fn set_name(cx: &Cx, addr: u64) -> Result<(), Errno> {
    const LEN: usize = 15;
    let mut comm = [0; 16];
    let name = match cx.read_str(addr, LEN) {
        Err(Errno::ENAMETOOLONG) => cx.read_vec(addr, LEN)?,
        name => name?,
    };
    comm[..name.len()].copy_from_slice(&name);
    cx.task.comm.set(comm);
    Ok(())
}

/// `PR_CAP_AMBIENT`: nothing is in the set, and nobody may add to it.
fn ambient(command: u64, capability: u64, rest: [u64; 2]) -> Result<u64, Errno> {
    let valid = capability < CAPABILITIES && rest == [0, 0];
    match command as u32 {
        PR_CAP_AMBIENT_CLEAR_ALL if capability == 0 && rest == [0, 0] => Ok(0),
        PR_CAP_AMBIENT_IS_SET | PR_CAP_AMBIENT_LOWER if valid => Ok(0),
        PR_CAP_AMBIENT_RAISE if valid => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// arch_prctl(2). The segment bases are the processor's; what differs from processor to processor is not there.
pub fn arch_prctl(cx: &Cx, a: Args) -> SysResult {
    const SET_GS: u32 = 0x1001;
    const SET_FS: u32 = 0x1002;
    const GET_FS: u32 = 0x1003;
    const GET_GS: u32 = 0x1004;
    const GET_CPUID: u32 = 0x1011;
    const SET_CPUID: u32 = 0x1012;
    const GET_XCOMP_SUPP: u32 = 0x1021;
    const GET_XCOMP_PERM: u32 = 0x1022;
    /// x87, SSE and AVX: what signal frames and guests may count on everywhere.
    const COMPONENTS: u64 = 7;
    let [option, value, ..] = a;
    match option as u32 {
        SET_GS | SET_FS | GET_FS | GET_GS => Ok(Outcome::Pass),
        GET_CPUID => Ok(Outcome::Value(1)),
        SET_CPUID => Err(Errno::ENODEV),
        GET_XCOMP_SUPP | GET_XCOMP_PERM => cx.write_words(value, &[COMPONENTS]).map(|()| Outcome::Value(0)),
        _ => Err(Errno::EINVAL),
    }
}

/// personality(2): the layout bits are kept, and what the engine has set (no randomness) shows as unset.
pub(crate) fn personality(cx: &Cx, wanted: u32) -> Result<u64, Errno> {
    const QUERY: u32 = u32::MAX;
    let old = attribute(cx, PERSONALITY);
    if wanted != QUERY {
        set_attribute(cx, PERSONALITY, u64::from(wanted));
    }
    Ok(old)
}

/// Whether the process wants to be told that this is a 32-bit machine (`PER_LINUX32`).
pub(crate) fn is_linux32(cx: &Cx) -> bool {
    const PER_MASK: u64 = 0xff;
    const PER_LINUX32: u64 = 8;
    attribute(cx, PERSONALITY) & PER_MASK == PER_LINUX32
}
