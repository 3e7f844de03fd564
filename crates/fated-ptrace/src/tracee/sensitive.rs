//! Sensitive instructions: puts breakpoints in their place when text is mapped, and emulates them.
//!
//! Invariant: only private mappings of files are changed. A guest that reads its own text sees the breakpoints.

use super::Tracee;
use crate::driver::Driver;
use crate::files::At;
use crate::{memory, sys};
use fated_engine::cpuid::Cpuid;
use fated_engine::sensitive::{Answers, BREAKPOINT, Identity, LONGEST, ReadAt, Sensitive, Text, maps_text};
use fated_kernel::arch::{Call, Regs};
use fated_kernel::errno::Errno;
use fated_kernel::process::exec::plan::{Image, Plan};
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

const PAGE: u64 = 4096;

impl Tracee {
    /// Handles the text of a program that an exec has loaded. `base` and `entry` are `AT_BASE` and `AT_ENTRY`.
    pub(super) fn program_mapped(&self, plan: &Plan, base: u64, entry: u64) {
        self.process.texts.take();
        let linker = plan.interpreter.as_ref().map(|image| (image, if image.headers.moves { base } else { 0 }));
        let program = (&plan.program, entry.wrapping_sub(plan.program.headers.entry));
        for (Image { file, headers }, bias) in [Some(program), linker].into_iter().flatten() {
            for segment in headers.loads().filter(|segment| segment.flags & 1 != 0 && segment.file_size > 0) {
                let at = bias.wrapping_add(segment.address);
                let begin = at & !(PAGE - 1);
                let end = (at + segment.file_size).next_multiple_of(PAGE);
                let offset = segment.offset & !(PAGE - 1);
                let text = Text { begin, end, offset, file: Identity::of(file.stat()) };
                self.text_mapped(text, &|buf, offset| file.read_at(buf, offset));
            }
        }
    }

    /// Handles text that the guest has mapped by mmap(2) at `begin`.
    pub(super) fn library_mapped(&self, call: Call, begin: u64) {
        if !maps_text(call.args) {
            return;
        }
        let Ok(at) = At::new(self.tid.get(), call.args[4] as i32, b"") else { return };
        let Ok(stat) = at.stat(0) else { return };
        let text = Text::of_mapping(call.args, begin, Identity::of(&stat));
        if self.shared.sites.borrow().has(text.file) {
            return self.text_mapped(text, &|_, _| Ok(0));
        }
        let Ok(file) = at.open(libc::O_RDONLY | libc::O_NONBLOCK) else { return };
        self.text_mapped(text, &|buf, offset| sys::read_at(file.as_raw_fd(), buf, offset));
    }

    /// `read_at` reads the file, if its sites aren't known yet.
    fn text_mapped(&self, text: Text, read_at: ReadAt<'_>) {
        if !self.shared.rewrite {
            return;
        }
        self.process.texts.borrow_mut().add(text);
        let window = Window { read_at, last: RefCell::default() };
        let mut sites = self.shared.sites.borrow_mut();
        let sites =
            sites.within(text.file, &|buf, offset| window.read_at(buf, offset), text.offset, text.end - text.begin);
        if sites.is_empty() {
            return;
        }
        let Ok(memory) = memory::file(self.tid.get()) else { return };
        let addresses: Vec<u64> = sites.iter().map(|site| site.offset - text.offset + text.begin).collect();
        for near in addresses.chunk_by(|one, next| one / PAGE == next / PAGE) {
            put_breakpoints(&memory, near);
        }
    }

    /// Emulates the sensitive instruction that has faulted, or whose breakpoint has, if it was one. Returns the registers behind it.
    pub(super) fn emulate(&self, signal: i32, mut regs: Regs, driver: &dyn Driver) -> Option<Regs> {
        let read = |at, buf: &mut [u8]| memory::read(self.tid.get(), at, buf);
        let (instruction, len) = match signal {
            libc::SIGSEGV => {
                let mut code = [0; LONGEST];
                let len = read(regs.rip, &mut code);
                Sensitive::that_faults(&code[..len])?
            }
            libc::SIGTRAP => {
                regs.rip = regs.rip.wrapping_sub(1);
                // What has been executed is code, so it may be read in any way.
                let peek = |at, buf: &mut [u8]| match sys::peek(self.tid.get(), at) {
                    Ok(code) if code.len() == buf.len() => {
                        buf.copy_from_slice(&code);
                        code.len()
                    }
                    _ => read(at, buf),
                };
                self.process.texts.borrow().replaced(&self.shared.sites.borrow(), regs.rip, peek)?
            }
            _ => return None,
        };
        instruction.answer(&mut regs, len, &Emulated { cpuid: &self.shared.cpuid, driver });
        self.shared.count(|stats| stats.traps += 1);
        Some(regs)
    }
}

/// Puts breakpoints at these addresses of one page, which ascend. If that fails, the instructions stay as they are.
fn put_breakpoints(memory: &File, addresses: &[u64]) {
    let ([first, ..], [.., last]) = (addresses, addresses) else { return };
    let mut code = vec![0; (last - first) as usize + 1];
    if memory.read_exact_at(&mut code, *first).is_ok() {
        for at in addresses {
            code[(at - first) as usize] = BREAKPOINT;
        }
        let _ = memory.write_all_at(&code, *first);
    }
}

/// A file of which small pieces are read, most of them near the one before.
struct Window<'a> {
    read_at: ReadAt<'a>,
    /// What was read last, and its offset.
    last: RefCell<(u64, Vec<u8>)>,
}

impl Window<'_> {
    const SIZE: usize = 1 << 14;

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if buf.len() >= Window::SIZE {
            return (self.read_at)(buf, offset);
        }
        let (begin, bytes) = &mut *self.last.borrow_mut();
        let holds = offset >= *begin && offset.saturating_add(buf.len() as u64) <= *begin + bytes.len() as u64;
        if !holds {
            bytes.resize(Window::SIZE, 0);
            let read = (self.read_at)(bytes, offset);
            bytes.truncate(read.unwrap_or(0));
            *begin = offset;
            read?;
        }
        let from = &bytes[(offset - *begin) as usize..];
        let len = buf.len().min(from.len());
        buf[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }
}

/// What emulated instructions get from kernel and engine.
struct Emulated<'a> {
    cpuid: &'a Cpuid,
    driver: &'a dyn Driver,
}

impl Answers for Emulated<'_> {
    fn cpuid(&self) -> &Cpuid {
        self.cpuid
    }

    fn timestamp(&self) -> u64 {
        self.driver.timestamp_counter()
    }

    fn random(&self) -> u64 {
        self.driver.instruction_random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn small_pieces_are_read_together() {
        let file: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
        let reads = Cell::new(0);
        let read_at: ReadAt<'_> = &|buf, offset| {
            reads.set(reads.get() + 1);
            let rest = &file[file.len().min(offset as usize)..];
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        };
        let window = Window { read_at, last: RefCell::default() };
        let read = |offset: u64, len: usize| {
            let mut buf = vec![0; len];
            let len = window.read_at(&mut buf, offset).unwrap();
            assert_eq!(buf[..len], file[file.len().min(offset as usize)..][..len]);
            len
        };
        for offset in [10, 20, 500, 16_000] {
            assert_eq!((read(offset, 8), reads.get()), (8, 1));
        }
        assert_eq!((read(39_990, 8), reads.get()), (8, 2));
        assert_eq!((read(39_996, 8), reads.get()), (4, 3), "the end of the file");
        assert_eq!((read(100_000, 8), reads.get()), (0, 4));
        assert_eq!((read(0, 20_000), reads.get()), (20_000, 5), "a large piece by itself");
    }
}
