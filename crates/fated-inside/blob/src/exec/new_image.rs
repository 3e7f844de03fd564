//! How a new image of the blob starts, after an exec: it restores what the exec has taken from the process, and
//! resumes the kernel.

use fated_engine::vdso::Real;
use linux_raw_sys::general::__NR_arch_prctl;

use crate::arena::part;
use crate::enter::crossing::Crossing;
use crate::enter::frame::template;
use crate::enter::{entry, filter, gate};
use crate::exec::load::auxv;
use crate::exec::vdso;
use crate::memory::keys;
use crate::process;
use crate::protocol::end::End;
use crate::settings::settings;
use crate::supervisor::finish;
use crate::sys;

/// Sets up again what an exec resets. Then the kernel continues where it called exec.
pub fn begin(sp: *const u64) -> ! {
    const ARCH_SET_CPUID: u64 = 0x1012;
    filter::arm();
    process::die_with_first();
    // SAFETY: Linux has put argc, pointers with a null each, and the auxiliary vector there.
    unsafe {
        let mut at = sp.add(1 + *sp as usize + 1);
        while *at != 0 {
            at = at.add(1);
        }
        at = at.add(1);
        let mut auxv = auxv().borrow_mut();
        auxv.clear();
        while *at != 0 {
            auxv.push([*at, *at.add(1)]);
            at = at.add(2);
        }
    }
    part::<Crossing>().keyed.set(keys::protect());
    if let Some(process) = process::current() {
        process.reset_address_space();
    }
    entry::handle_signals();
    if template().borrow().is_none() {
        // SAFETY: its handler is installed, and returns.
        unsafe { gate::trap() };
        vdso::state().real.set(sys::read_all(b"/proc/self/maps").ok().and_then(|maps| Real::find(&maps)));
    }
    if settings().cpuid_faulting.get() && sys::call(__NR_arch_prctl, [ARCH_SET_CPUID, 0, 0, 0, 0, 0]) < 0 {
        finish(&End::Broken("Linux no longer makes cpuid fault".into()));
    }
    // SAFETY: `gate_exec` has pushed the kernel's registers there.
    unsafe { gate::resume_kernel(*process::kernel_sp()) }
}
