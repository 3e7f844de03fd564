//! prctl(2), arch_prctl(2) and personality(2). [`crate::process::settings`] has the values that are only stored.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::outcome::{Outcome, SysResult};
use crate::process::capabilities::{Capabilities, cap, is_in, secure};
use crate::process::family::Signal;
use crate::process::settings::Setting;
use crate::syscall::Args;
use linux_raw_sys::general::__NR_prctl;
use linux_raw_sys::prctl::*;

/// prctl(2).
pub fn prctl(cx: &Cx, a: Args) -> SysResult {
    let [option, second, third, fourth, fifth, _] = a;
    let option = option as u32;
    let value = |value: u64| Ok(Outcome::Value(value));
    let rest_is_zero = |rest: &[u64]| if rest.iter().all(|&arg| arg == 0) { Ok(()) } else { Err(Errno::EINVAL) };
    let flag = |arg: u64| if arg <= 1 { Ok(()) } else { Err(Errno::EINVAL) };
    let tid = cx.task.tid.get();
    let settings = &cx.process().settings;
    let caps = || cx.process().credentials.borrow().caps;
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
        PR_GET_DUMPABLE => return value(settings.get(Setting::Dumpable)),
        PR_SET_DUMPABLE => {
            flag(second)?;
            settings.set(Setting::Dumpable, second);
        }
        PR_SET_KEEPCAPS => {
            flag(second)?;
            change_caps(cx, a, |caps| caps.set_keep(second != 0))?;
        }
        PR_GET_KEEPCAPS => return value(u64::from(caps().is_secure(secure::KEEP_CAPS))),
        PR_GET_TIMING | PR_GET_SECCOMP => return value(0),
        PR_SET_TIMING if second == u64::from(PR_TIMING_STATISTICAL) => {}
        PR_SET_NAME => set_name(cx, second)?,
        PR_GET_NAME => cx.write(second, &cx.task.comm.get())?,
        PR_CAPBSET_READ => return value(is_in(caps().bounding, second)?),
        PR_CAPBSET_DROP => change_caps(cx, a, |caps| caps.drop_bounding(second))?,
        PR_SET_SECUREBITS => change_caps(cx, a, |caps| caps.set_secure(second))?,
        PR_GET_SECUREBITS => return value(caps().secure.into()),
        PR_SET_IO_FLUSHER if !caps().has(cap::SYS_RESOURCE) => return Err(Errno::EPERM),
        PR_SET_MM => return Err(Errno::EPERM),
        PR_GET_TSC => cx.write_u32(second, PR_TSC_ENABLE)?,
        PR_SET_TSC if second == u64::from(PR_TSC_ENABLE) => {}
        PR_SET_TIMERSLACK => {
            cx.task.timer_slack.set(cx.task.timer_slack.get().with(if second as i64 <= 0 { 0 } else { second }));
        }
        PR_GET_TIMERSLACK => return value(cx.task.timer_slack.get().now),
        PR_SET_CHILD_SUBREAPER => {
            cx.kernel.family.borrow_mut().set_subreaper(cx.process().pid, second != 0)?;
        }
        PR_GET_CHILD_SUBREAPER => {
            let reaps = cx.kernel.family.borrow().is_subreaper(cx.process().pid);
            cx.write_u32(second, u32::from(reaps))?;
        }
        PR_SET_NO_NEW_PRIVS => {
            rest_is_zero(&[second ^ 1, third, fourth, fifth])?;
            settings.set(Setting::NoNewPrivs, 1);
        }
        PR_GET_NO_NEW_PRIVS => {
            rest_is_zero(&[second, third, fourth, fifth])?;
            return value(settings.get(Setting::NoNewPrivs));
        }
        PR_GET_TID_ADDRESS => cx.write_words(second, &[cx.task.clear_child_tid.get()])?,
        PR_SET_THP_DISABLE => {
            rest_is_zero(&[third, fourth, fifth])?;
            settings.set(Setting::ThpDisable, u64::from(second != 0));
        }
        PR_GET_THP_DISABLE => {
            rest_is_zero(&[second, third, fourth, fifth])?;
            return value(settings.get(Setting::ThpDisable));
        }
        PR_CAP_AMBIENT => return ambient(cx, a).map(Outcome::Value),
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
        PR_SET_PTRACER => settings.set(Setting::Ptracer, second),
        // Names of anonymous mappings: memory is managed by the real Linux.
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

/// Changes the capabilities of the calling process, and those of the real one by the same call.
fn change_caps(cx: &Cx, a: Args, how: impl FnOnce(&mut Capabilities) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut new = cx.process().credentials.borrow().caps;
    how(&mut new)?;
    // The real process may have fewer, where fated has.
    let _ = cx.native(__NR_prctl.into(), a);
    cx.process().credentials.borrow_mut().caps = new;
    Ok(())
}

/// `PR_CAP_AMBIENT`.
fn ambient(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let [_, command, capability, fourth, fifth, _] = a;
    let (caps, plain) = (cx.process().credentials.borrow().caps, fourth == 0 && fifth == 0);
    match command as u32 {
        PR_CAP_AMBIENT_CLEAR_ALL if capability == 0 && plain => change_caps(cx, a, |caps| {
            caps.ambient = 0;
            Ok(())
        })?,
        PR_CAP_AMBIENT_IS_SET if plain => return is_in(caps.ambient, capability),
        PR_CAP_AMBIENT_RAISE if plain => change_caps(cx, a, |caps| caps.raise_ambient(capability))?,
        PR_CAP_AMBIENT_LOWER if plain => change_caps(cx, a, |caps| caps.lower_ambient(capability))?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// arch_prctl(2). The real Linux sets the segment bases. Features that only some processors have are reported as missing.
pub fn arch_prctl(cx: &Cx, a: Args) -> SysResult {
    const SET_GS: u32 = 0x1001;
    const SET_FS: u32 = 0x1002;
    const GET_FS: u32 = 0x1003;
    const GET_GS: u32 = 0x1004;
    const GET_CPUID: u32 = 0x1011;
    const SET_CPUID: u32 = 0x1012;
    const GET_XCOMP_SUPP: u32 = 0x1021;
    const GET_XCOMP_PERM: u32 = 0x1022;
    /// x87, SSE and AVX, which every supported processor has.
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

/// personality(2). The bits are only stored: addresses are never randomized, whether or not `ADDR_NO_RANDOMIZE` is set.
pub(crate) fn personality(cx: &Cx, wanted: u32) -> Result<u64, Errno> {
    const QUERY: u32 = u32::MAX;
    let settings = &cx.process().settings;
    let old = settings.get(Setting::Personality);
    if wanted != QUERY {
        settings.set(Setting::Personality, u64::from(wanted));
    }
    Ok(old)
}
