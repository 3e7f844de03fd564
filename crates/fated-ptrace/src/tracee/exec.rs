//! exec: the real Linux replaces a program as the kernel has planned, and the engine virtualizes what Linux gives the new program.
//!
//! Invariant: what a new program finds at its start is the same in each run and on each machine. fated's vDSO replaces Linux's, rseq
//! is hidden, random bytes and processor features come from the kernel, and `cpuid` faults from the first instruction on.

use super::{CALL_STOP, EXEC_STOP, Place, Tracee};
use crate::filter::OWN_CALL;
use crate::sys::{self, ARCH_SET_CPUID, Os};
use crate::{files, memory};
use fated_engine::vdso;
use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::process::exec::plan::{Exec, ExecError, Request};
use std::io;
use std::os::unix::fs::FileExt as _;

/// Entries of the auxiliary vector that `libc` doesn't name (`<linux/auxvec.h>`).
const AT_RSEQ_FEATURE_SIZE: u64 = 27;
const AT_RSEQ_ALIGN: u64 = 28;
const AT_HWCAP3: u64 = 29;
const AT_HWCAP4: u64 = 30;
const AT_MINSIGSTKSZ: u64 = 51;

/// The size of a signal frame. It is that of a processor with AVX-512 on all processors.
const SIGNAL_FRAME: u64 = 3632;
/// An upper bound of the number of entries (`AT_VECTOR_SIZE`).
const MAX_ENTRIES: usize = 64;

/// The auxiliary vector on a new program's stack.
#[derive(Debug)]
struct Auxv {
    addr: u64,
    entries: Vec<[u64; 2]>,
}

impl Auxv {
    /// Finds the vector behind the arguments and the environment.
    fn find(read: impl Fn(u64, &mut [u8]) -> usize, sp: u64) -> Option<Auxv> {
        let mut at = sp;
        let mut words = Words { read, buf: [0; 4096], len: 0, next: 0 };
        let argc = words.take(&mut at)?;
        // The arguments end with a null pointer, and so does the environment.
        for _ in 0..=argc {
            words.take(&mut at)?;
        }
        while words.take(&mut at)? != 0 {}
        let addr = at;
        let mut entries = Vec::new();
        loop {
            let entry = [words.take(&mut at)?, words.take(&mut at)?];
            if entry[0] == libc::AT_NULL || entries.len() == MAX_ENTRIES {
                return Some(Auxv { addr, entries });
            }
            entries.push(entry);
        }
    }

    fn get(&self, kind: u64) -> Option<u64> {
        self.entries.iter().find(|entry| entry[0] == kind).map(|entry| entry[1])
    }

    /// Makes the vector the same on all machines. The entry of the vDSO stays if fated's vDSO stands there.
    fn virtualize(&mut self, hwcap: u64, has_vdso: bool) {
        for entry in &mut self.entries {
            match entry[0] {
                libc::AT_SYSINFO_EHDR if has_vdso => {}
                libc::AT_SYSINFO_EHDR | AT_RSEQ_FEATURE_SIZE | AT_RSEQ_ALIGN | AT_HWCAP3 | AT_HWCAP4 => {
                    *entry = [libc::AT_IGNORE, 0];
                }
                libc::AT_HWCAP => entry[1] = hwcap,
                libc::AT_HWCAP2 => entry[1] = 0,
                AT_MINSIGSTKSZ => entry[1] = SIGNAL_FRAME,
                _ => {}
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.entries.iter().chain([&[libc::AT_NULL, 0]]).flatten().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Words of guest memory in ascending order, read a page at a time.
struct Words<R> {
    read: R,
    buf: [u8; 4096],
    len: usize,
    next: usize,
}

impl<R: Fn(u64, &mut [u8]) -> usize> Words<R> {
    fn take(&mut self, at: &mut u64) -> Option<u64> {
        if self.next + 8 > self.len {
            // Up to the end of the page: the next one may not exist.
            let there = self.buf.len() - *at as usize % self.buf.len();
            self.len = (self.read)(*at, &mut self.buf[..there]);
            self.next = 0;
        }
        let word = self.buf[..self.len].get(self.next..self.next + 8)?.try_into().ok()?;
        self.next += 8;
        *at += 8;
        Some(u64::from_le_bytes(word))
    }
}

impl Tracee {
    /// Has Linux start a program that the kernel has planned. Linux follows the same chain of scripts with the same result.
    pub(crate) fn replace_program(&self, exec: &Exec) -> Result<(), ExecError> {
        let Request { dirfd, path, argv, envp, flags, .. } = exec.request;
        let call = if dirfd == libc::AT_FDCWD && flags == 0 {
            Call { number: libc::SYS_execve as u64, args: [path, argv, envp, 0, 0, 0] }
        } else {
            let dirfd = i64::from(dirfd).cast_unsigned();
            Call { number: libc::SYS_execveat as u64, args: [dirfd, path, argv, envp, u64::from(flags), 0] }
        };
        let old = self.tid.get();
        self.carry_out_exec(call).inspect_err(|_| self.tid.set(old))?;
        self.becomes_leader();
        self.new_program(exec);
        Ok(())
    }

    /// Makes the exec. Returns when the new program is loaded.
    fn carry_out_exec(&self, call: Call) -> Result<(), ExecError> {
        self.begin(call).map_err(ExecError::Refused)?;
        loop {
            let Some(status) = self.wait() else {
                // A successful exec gives a thread that isn't the leader the leader's id, and its own id is free.
                if self.tid.replace(self.process.tgid) == self.process.tgid {
                    return Err(ExecError::Refused(Errno::ESRCH));
                }
                continue;
            };
            if !libc::WIFSTOPPED(status) {
                let lost = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV;
                let errno = self.died(status);
                return Err(if lost { ExecError::Lost } else { ExecError::Refused(errno) });
            }
            match status >> 8 {
                EXEC_STOP => return Ok(()),
                CALL_STOP => {
                    let result = self.finish().map_err(ExecError::Refused)?;
                    if self.has_pending(libc::SIGSEGV) {
                        self.process.kill();
                        return Err(ExecError::Lost);
                    }
                    return Err(ExecError::Refused(Errno::of_return(result).unwrap_or(Errno::EIO)));
                }
                _ => sys::cont_to_call(self.tid.get()).map_err(ExecError::Refused)?,
            }
        }
    }

    /// Whether a signal for this task is pending. If an exec fails behind the point of no return, Linux sends SIGSEGV to the task and then
    /// reports the call's error to the tracer.
    fn has_pending(&self, signal: i32) -> bool {
        let status = files::proc_file(self.tid.get(), "status").unwrap_or_default();
        files::status_field(&status, "SigPnd:", 16).is_some_and(|set| set >> (signal - 1) & 1 != 0)
    }

    /// Prepares a program that is loaded and hasn't run yet: virtualizes what Linux has given it, and makes `cpuid` fault.
    fn new_program(&self, exec: &Exec) {
        self.place.set(Place::Elsewhere);
        // Those for files are now the effective ones.
        if self.ids.borrow().is_some() {
            self.note_ids();
        }
        // A failure here means that the process is gone, which the next run reports.
        let Ok(regs) = self.fetch_regs() else { return };
        let tid = self.tid.get();
        let read = |addr, buf: &mut [u8]| memory::read(tid, addr, buf);
        let mut vdso = None;
        if let Some(mut auxv) = Auxv::find(read, regs.rsp) {
            vdso = auxv.get(libc::AT_SYSINFO_EHDR).filter(|&base| self.write_vdso(base).is_ok());
            self.process.gate.set(vdso.map(|base| base + vdso::SYSCALL_AT));
            if let Some(addr) = auxv.get(libc::AT_RANDOM) {
                memory::write(tid, addr, &exec.random);
            }
            if let Some((base, entry)) = auxv.get(libc::AT_BASE).zip(auxv.get(libc::AT_ENTRY)) {
                self.program_mapped(&exec.plan, base, entry);
            }
            if exec.request.stands_for_name {
                self.name_program(exec, regs.rsp, auxv.get(libc::AT_EXECFN));
            }
            auxv.virtualize(u64::from(self.shared.cpuid.hwcap()), vdso.is_some());
            let bytes = auxv.bytes();
            memory::write(tid, auxv.addr, &bytes);
            self.process.auxv.replace(bytes);
        }
        self.load_regs(Regs { rax: 0, orig_rax: u64::MAX, ..regs }, true);
        // As above.
        let _ = vdso.map_or(Ok(()), |vdso| self.make_own_calls(&regs, vdso));
    }

    /// Puts the name of the program where Linux has put the path that stands for it: behind `AT_EXECFN`, and in the arguments of a script's
    /// interpreter. Both are as long.
    fn name_program(&self, exec: &Exec, sp: u64, name_at: Option<u64>) {
        let tid = self.tid.get();
        if let Some(addr) = name_at {
            memory::write(tid, addr, &exec.plan.name);
        }
        let mut pointers = vec![0; exec.plan.argv.len() * 8];
        let len = memory::read(tid, sp + 8, &mut pointers);
        let (pointers, _) = pointers[..len].as_chunks();
        for (&addr, arg) in pointers.iter().zip(&exec.plan.argv).filter(|(_, arg)| **arg == exec.plan.name) {
            memory::write(tid, u64::from_le_bytes(addr), arg);
        }
    }

    /// Overwrites Linux's vDSO with fated's.
    fn write_vdso(&self, base: u64) -> io::Result<()> {
        let real = self.shared.vdso.ok_or(io::ErrorKind::NotFound)?;
        let mut image = vdso::IMAGE.to_vec();
        image.resize(real.size() as usize, 0);
        memory::file(self.tid.get())?.write_all_at(&image, base)
    }

    /// Makes two calls before the program's first instruction. The first one makes `cpuid` fault, which an exec has switched off. The
    /// second one unmaps the real clocks of Linux's vDSO.
    fn make_own_calls(&self, regs: &Regs, vdso: u64) -> Os<()> {
        let clocks = self.shared.vdso.map_or(0, |real| real.clocks());
        // Neither call fails: fated's own thread has tried the first one, and the clocks are mapped. Without clocks, munmap(2) refuses
        // a size of 0, which does no harm.
        let first = if self.shared.traps_cpuid { vdso::ARCH_PRCTL_AT } else { vdso::MUNMAP_AT };
        // The task is still inside the exec, whose end overwrites rax. The code sets rax itself.
        let (rdi, rsi, rdx) = (ARCH_SET_CPUID, 0, OWN_CALL);
        self.run_to_trap(&Regs { rip: vdso + first, rdi, rsi, rdx, r8: vdso - clocks, r9: clocks, ..*regs })
    }

    /// Continues with these registers until an `int3`.
    fn run_to_trap(&self, regs: &Regs) -> Os<()> {
        let tid = self.tid.get();
        sys::set_regs(tid, regs)?;
        loop {
            sys::cont(tid)?;
            match self.next_stop()? {
                libc::SIGTRAP => return Ok(()),
                // The code isn't there. The program then starts without these calls.
                libc::SIGSEGV | libc::SIGBUS | libc::SIGILL => return Err(Errno::EFAULT),
                // The filter lets both calls pass, so this is a signal from outside, which is dropped.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_is_found_behind_the_environment_and_virtualized() {
        let stack: Vec<u64> =
            [2, 0x10, 0x20, 0, 0x30, 0, libc::AT_SYSINFO_EHDR, 0x7000, libc::AT_HWCAP, 99, 0, 0].into();
        let bytes: Vec<u8> = stack.iter().flat_map(|word| word.to_le_bytes()).collect();
        let read = |addr: u64, buf: &mut [u8]| {
            let from = bytes.get((addr - 0x1000) as usize..).unwrap_or_default();
            let len = from.len().min(buf.len());
            buf[..len].copy_from_slice(&from[..len]);
            len
        };
        let mut auxv = Auxv::find(read, 0x1000).unwrap();
        assert_eq!(auxv.addr, 0x1000 + 6 * 8);
        assert_eq!(auxv.get(libc::AT_SYSINFO_EHDR), Some(0x7000));
        auxv.virtualize(5, true);
        assert_eq!(auxv.entries, [[libc::AT_SYSINFO_EHDR, 0x7000], [libc::AT_HWCAP, 5]]);
        auxv.virtualize(5, false);
        assert_eq!(auxv.entries, [[libc::AT_IGNORE, 0], [libc::AT_HWCAP, 5]]);
        assert!(Auxv::find(read, 0x1000 + 8 * 9).is_none(), "ends before a null");
    }
}
