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
use fated_kernel::process::exec::plan::{Image, Plan};
use std::fs::OpenOptions;
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
        let (Ok(stat), Ok(file)) = (at.stat(0), at.open(libc::O_RDONLY | libc::O_NONBLOCK)) else { return };
        let text = Text::of_mapping(call.args, begin, Identity::of(&stat));
        self.text_mapped(text, &|buf, offset| sys::read_at(file.as_raw_fd(), buf, offset));
    }

    fn text_mapped(&self, text: Text, read_at: ReadAt<'_>) {
        if !self.shared.rewrite {
            return;
        }
        self.process.texts.borrow_mut().add(text);
        let mut sites = self.shared.sites.borrow_mut();
        let sites = sites.within(text.file, read_at, text.offset, text.end - text.begin);
        if sites.is_empty() {
            return;
        }
        // Unlike process_vm_writev(2), this file permits writing to read-only memory.
        let Ok(memory) = OpenOptions::new().write(true).open(format!("/proc/{}/mem", self.tid.get())) else { return };
        for site in sites {
            // A write that fails leaves the instruction as it is.
            let _ = memory.write_all_at(&[BREAKPOINT], site.offset - text.offset + text.begin);
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
                self.process.texts.borrow().replaced(&self.shared.sites.borrow(), regs.rip, read)?
            }
            _ => return None,
        };
        instruction.answer(&mut regs, len, &Emulated { cpuid: &self.shared.cpuid, driver });
        self.shared.count(|stats| stats.traps += 1);
        Some(regs)
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
