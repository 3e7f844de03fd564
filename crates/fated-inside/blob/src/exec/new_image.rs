//! How a new image of the blob begins, after an exec.

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

/// The first thing in a new image of the blob: what an exec has taken away from the process is set up again, then the
/// kernel goes on where it called exec.
pub fn begin(sp: *const u64) -> ! {
    const ARCH_SET_CPUID: u64 = 0x1012;
    filter::arm();
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
        process.moved_out();
    }
    entry::handle_signals();
    if template().borrow().is_none() {
        // SAFETY: its handler is installed, and comes back.
        unsafe { gate::trap() };
        vdso::state().real.set(sys::read_all(b"/proc/self/maps").ok().and_then(|maps| Real::find(&maps)));
    }
    if settings().cpuid_faulting.get() && sys::call(__NR_arch_prctl, [ARCH_SET_CPUID, 0, 0, 0, 0, 0]) < 0 {
        finish(&End::Broken("Linux doesn't make cpuid fault any more".into()));
    }
    // SAFETY: `gate_exec` has left the kernel's registers there.
    unsafe { gate::resume_kernel(*process::kernel_sp()) }
}
