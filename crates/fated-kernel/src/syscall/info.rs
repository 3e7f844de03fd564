//! What the machine is: names, memory, randomness, processors.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::machine::{FREE_BYTES, MEMORY_BYTES, RELEASE, VERSION};
use crate::sched::choice::Entropy;
use crate::syscall::Args;
use linux_raw_sys::general::{GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM};

/// uname(2).
pub fn uname(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const FIELD: usize = 65;
    let config = &cx.kernel.config;
    let machine = if cx.process().settings.is_linux32() { "i686" } else { "x86_64" };
    let mut bytes = [0; 6 * FIELD];
    let fields = ["Linux", &config.hostname, RELEASE, VERSION, machine, "(none)"];
    for (slot, text) in bytes.chunks_exact_mut(FIELD).zip(fields) {
        let len = text.len().min(FIELD - 1);
        slot[..len].copy_from_slice(&text.as_bytes()[..len]);
    }
    cx.write(a[0], &bytes)?;
    Ok(0)
}

/// sysinfo(2).
pub fn sysinfo(cx: &Cx, a: Args) -> Result<u64, Errno> {
    let uptime = cx.kernel.timers.uptime().div_ceil(crate::time::timers::SECOND);
    let tasks = cx.kernel.tasks.borrow().len().min(usize::from(u16::MAX)) as u64;
    let (total, free) = (MEMORY_BYTES, FREE_BYTES);
    // Uptime, three loads, total, free, shared, buffers, swap total and free, tasks, high memory total and free, unit.
    let words = [uptime, 0, 0, 0, total, free, 0, 0, 0, 0, tasks, 0, 0, 1];
    cx.write_words(a[0], &words)?;
    Ok(0)
}

/// getrandom(2).
pub fn getrandom(cx: &Cx, a: Args) -> Result<u64, Errno> {
    const PIECE: u64 = 4096;
    let [to, len, flags, ..] = a;
    let flags = flags as u32;
    let both = GRND_RANDOM | GRND_INSECURE;
    if flags & !(GRND_NONBLOCK | both) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let len = len.min(i32::MAX as u64);
    let mut done = 0;
    let mut piece = [0; PIECE as usize];
    while done < len {
        let piece = &mut piece[..(len - done).min(PIECE) as usize];
        cx.kernel.chooser.fill(Entropy::Getrandom, piece);
        let went = cx.task.guest.write(to.wrapping_add(done), piece) as u64;
        done += went;
        if went < piece.len() as u64 {
            return if done == 0 { Err(Errno::EFAULT) } else { Ok(done) };
        }
    }
    Ok(done)
}

/// getcpu(2). One task runs at a time, and all of them run on the first processor.
pub fn getcpu(cx: &Cx, a: Args) -> Result<u64, Errno> {
    for addr in [a[0], a[1]] {
        if addr != 0 {
            cx.write_u32(addr, 0)?;
        }
    }
    Ok(0)
}

/// personality(2).
pub fn personality(cx: &Cx, a: Args) -> Result<u64, Errno> {
    crate::syscall::prctl::personality(cx, a[0] as u32)
}
