//! Carries out the kernel's plan of an exec: replaces the image by a new one of the blob, which continues the kernel
//! where it was and loads the program.

use alloc::rc::Rc;
use core::cell::RefCell;

use fated_kernel::arch::Regs;
use fated_kernel::errno::Errno;
use fated_kernel::process::exec::plan::{Exec, ExecError};
use linux_raw_sys::general::*;

use crate::enter::gate;
use crate::exec::load;
use crate::exec::program_file::file;
use crate::memory::huge;
use crate::process::image::Image;
use crate::process::{self, Process};
use crate::sys;

/// Replaces the image of the process, which runs. Returns the registers with which the program starts.
pub fn start(process: &Process, exec: Exec) -> Result<Regs, ExecError> {
    let Exec { plan, random, .. } = exec;
    let descriptors = &process.descriptors;
    let [_, blob, _] = descriptors.all();
    let argv = descriptors.arguments();
    let env = [0_u64];
    let sp = process::kernel_sp();
    let flags = u64::from(AT_EMPTY_PATH);
    huge::count();
    process::unwatch();
    // SAFETY: the kernel's stack lies in the arena; the new image resumes it (`exec::new_image`).
    let result = unsafe { gate::gate_exec(sp, blob as u64, c"".as_ptr().cast(), argv.as_ptr(), env.as_ptr(), flags) };
    if let Some(errno) = Errno::of_return(result) {
        process::watch();
        return Err(ExecError::Refused(errno));
    }
    // From here on the old image is gone.
    let loaded = load::load(&plan, &random).map_err(|_| ExecError::Lost)?;
    const PR_SET_NAME: u64 = 15;
    let base = plan.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let mut comm = [0_u8; 16];
    let len = base.len().min(15);
    comm[..len].copy_from_slice(&base[..len]);
    sys::call(__NR_prctl, [PR_SET_NAME, comm.as_ptr() as u64, 0, 0, 0, 0]);
    // The link of an open file is readable. If not, the path that was asked for is the best there is.
    let exe = file(&plan.program)
        .and_then(|file| sys::read_link(AT_FDCWD, alloc::format!("/proc/self/fd/{}", file.fd).as_bytes()));
    let (exe, auxv) = (exe.unwrap_or(plan.name), loaded.auxv);
    let texts = RefCell::new(process.image.borrow().texts.take());
    process.image.replace(Rc::new(Image { exe, auxv, texts, ..Image::default() }));
    Ok(Regs {
        rip: loaded.entry,
        rsp: loaded.stack,
        eflags: 0x202,
        cs: 0x33,
        ss: 0x2b,
        orig_rax: u64::MAX,
        ..Regs::default()
    })
}
