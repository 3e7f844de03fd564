//! The first process, which is the parent of all guests. It creates the host, forks the first guest and sleeps. It
//! waits for guests that have exited, many at a time, and reports one that dies unexpectedly to the supervisor. When the
//! run is over it kills all guests.
//!
//! Invariant: when the supervisor dies this process dies, and with it every guest, whatever has killed the supervisor.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use fated_kernel::arch::Regs;
use fated_kernel::config::Inherited;
use fated_kernel::errno::Errno;
use fated_kernel::host::{Boot, Kernel};
use fated_kernel::journal::Journal;
use fated_kernel::ports::{HostFiles, RealTask as _};
use fated_kernel::process::credentials::Credentials;
use fated_kernel::process::exec::plan::{Exec, Request};
use fated_kernel::process::exec::planner;
use fated_kernel::process::limits::real_descriptors;
use linux_raw_sys::general::*;

use crate::arena::{buffer, control};
use crate::enter::crossing::{self, Leave};
use crate::enter::entry;
use crate::enter::filter;
use crate::enter::frame::Frame;
use crate::enter::turn::turn;
use crate::host;
use crate::process::task::GuestTask;
use crate::process::{self, Process, descriptors};
use crate::protocol::bytes::Reader;
use crate::protocol::end::End;
use crate::protocol::layout::ARENA;
use crate::protocol::plan::{Plan, file};
use crate::rewrite::sensitive;
use crate::settings::settings;
use crate::supervisor::{Supervisor, finish};
use crate::sys;

const SIGCHLD: u64 = 17;
const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

/// Creates the host and forks the first guest.
pub fn run() -> ! {
    let [cpus, supervisor, _] = &control().args;
    sys::die_with(supervisor.load(SeqCst) as u32);
    control().first.store(sys::getpid(), SeqCst);
    host::create(cpus.load(SeqCst) as u32);
    let plan = Plan::read(&mut Reader(buffer(control().len.load(SeqCst) as usize)));
    settings().rewrite.set(plan.rewrite);
    settings().cpuid_faulting.set(plan.cpuid_faulting);
    sensitive::remember(&plan.sites);
    settings().plan.replace(Some(plan));
    // Linux adds up the processor time of those that are waited for only.
    handle(SIGCHLD, SIG_DFL);
    let child = sys::call(__NR_clone, [SIGCHLD, 0, 0, 0, 0, 0]);
    if child != 0 {
        // What the guests inherit is theirs alone.
        let _ = descriptors::close_others(process::own_descriptors(), &[]);
    }
    if let Some(errno) = Errno::of_return(child) {
        finish(&End::NoStart("fork the first guest".into(), errno));
    }
    if child == 0 {
        process::die_with_first();
        // SAFETY: nothing uses the kernel's stack yet.
        unsafe { crossing::run_kernel(boot) }
    }
    // The guest may have set this already, and others after it.
    let _ = control().running.compare_exchange(0, child as u32, SeqCst, SeqCst);
    watch(child)
}

/// Sleeps until a guest dies unexpectedly or the run is over. `group` is the process group of all guests.
fn watch(group: i64) -> ! {
    const SIGKILL: u64 = 9;
    /// A dying process wakes this one before it is gone, which takes it no longer than this many moments.
    const PATIENCE: u32 = 1000;
    const MOMENT_NS: u64 = 1_000_000;
    let control = control();
    while control.over.load(SeqCst) == 0 {
        sys::futex_wait(&control.deaths, 0);
        process::exits::wait_for_all();
        if control.called.swap(0, SeqCst) != 0 {
            // A guest that died at this moment is seen by the supervisor when its turn comes.
            continue;
        }
        for _ in 0..PATIENCE {
            if control.over.load(SeqCst) != 0 {
                break;
            }
            if let Some(real) = process::dead_guest() {
                control.died.store(real, SeqCst);
                sys::futex_wake(&control.request);
                break;
            }
            let moment = [0, MOMENT_NS];
            sys::call(__NR_nanosleep, [moment.as_ptr() as u64, 0, 0, 0, 0, 0]);
        }
    }
    // The group exists once the first guest has started its session.
    for target in [-group, group] {
        sys::call(__NR_kill, [target as u64, SIGKILL, 0, 0, 0, 0]);
    }
    while !matches!(sys::ask(__NR_wait4, [u64::MAX, 0, __WALL.into(), 0, 0, 0]), Err(Errno::ECHILD)) {}
    sys::exit_group(0)
}

/// The first guest's start up to its first instruction, on the kernel's stack.
extern "C" fn boot() -> Leave {
    if let Err(end) = try_boot() {
        finish(&end);
    }
    entry::run()
}

fn try_boot() -> Result<(), End> {
    let Some(plan) = settings().plan.take() else { return Err(End::Broken("there is no plan".into())) };
    prepare(&plan)?;
    let step = |step: &str| {
        let step = step.into();
        move |errno| End::NoStart(step, errno)
    };
    let credentials = credentials().map_err(step("read the user and group ids of fated"))?;
    let journal = plan.journal.map_or_else(Journal::off, |mode| Journal::new(Rc::new(Supervisor), mode));
    let kernel = turn()
        .kernel
        .get_or_init(|| Kernel::with_journal(plan.config, Rc::new(Supervisor), Rc::new(Supervisor), journal));
    control().clock.store(core::ptr::from_ref(kernel.timers.now_cell()) as u64 - ARENA, SeqCst);
    let process = Process::first();
    process.has_turn();
    let task = GuestTask::new(process, Frame::empty(), Regs::default());
    let first = planner::first(&*task, &plan.candidates, &plan.argv, &plan.env).map_err(End::NoProgram)?;
    let request = Request { dirfd: AT_FDCWD, path: 0, argv: 0, envp: 0, flags: 0, stands_for_name: false };
    let exec = Exec { plan: first.plan, request, random: kernel.auxv_random() };
    task.exec(exec).map_err(|error| End::NoProgram(error.into()))?;
    let cwd = task.proc_link("cwd").map_err(step("look at the new program"))?;
    let exe = task.proc_link("exe").map_err(step("look at the new program"))?;
    // Setting the umask is the only way to read it.
    let umask = |mask: u64| sys::ask(__NR_umask, [mask, 0, 0, 0, 0, 0]).map_err(step("ask for the umask"));
    let mask = umask(0)?;
    umask(mask)?;
    let inherited = plan.descriptors.iter().map(|(it, _)| *it).filter(|it| it.fd > 2).collect();
    let [descriptors, _] = descriptors::real_limit(None).map_err(step("ask for the limit on descriptors"))?;
    kernel.boot(&Boot { exe, cwd, umask: mask as u32, credentials, inherited, descriptors }, task);
    Ok(())
}

/// Puts the process into the state in which guests start.
fn prepare(plan: &Plan) -> Result<(), End> {
    let step = |name: &str, number: u32, args: [u64; 6]| {
        sys::ask(number, args).map_err(|errno| End::NoStart(name.into(), errno))
    };
    ignore_signals();
    step("start a session for the guest", __NR_setsid, [0; 6])?;
    const ADDR_NO_RANDOMIZE: u64 = 0x004_0000;
    step("switch address space randomization off", __NR_personality, [ADDR_NO_RANDOMIZE, 0, 0, 0, 0, 0])?;
    const RLIMIT_STACK: u64 = 3;
    const RLIMIT_CORE: u64 = 4;
    let mut limit = [0_u64; 2];
    step("limit the guest's stack", __NR_prlimit64, [0, RLIMIT_STACK, 0, &raw mut limit as u64, 0, 0])?;
    limit[0] = limit[1].min(8 << 20);
    step("limit the guest's stack to 8 MiB", __NR_prlimit64, [0, RLIMIT_STACK, &raw const limit as u64, 0, 0, 0])?;
    let none = [0_u64; 2];
    step("limit the guest's core file", __NR_prlimit64, [0, RLIMIT_CORE, &raw const none as u64, 0, 0, 0])?;
    place_files(&plan.descriptors).map_err(|errno| End::NoStart("set up the guest's descriptors".into(), errno))?;
    if let Some(cwd) = &plan.cwd {
        let path = sys::c_path(cwd).map_err(End::NoDirectory)?;
        sys::ask(__NR_chdir, [path.as_ptr() as u64, 0, 0, 0, 0, 0]).map_err(End::NoDirectory)?;
    }
    let inherited: Vec<i32> = plan.descriptors.iter().map(|(it, _)| it.fd).collect();
    descriptors::close_others(process::own_descriptors(), &inherited)
        .map_err(|errno| End::NoStart("close what isn't the guest's".into(), errno))?;
    // The kernel hands out the guest's numbers. The engine's may move above all of them.
    descriptors::real_limit(None)
        .and_then(|[_, hard]| descriptors::real_limit(Some([real_descriptors(hard), hard])))
        .map_err(|errno| End::NoStart("limit the guest's descriptors".into(), errno))?;
    const PR_SET_TSC: u64 = 26;
    const PR_TSC_SIGSEGV: u64 = 2;
    const PR_SET_NO_NEW_PRIVS: u64 = 38;
    step("make rdtsc trap", __NR_prctl, [PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0, 0])?;
    step("give up new privileges", __NR_prctl, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0])?;
    filter::install().map_err(|errno| End::NoStart("install the system call filter".into(), errno))
}

/// Blocks no signal and ignores all that have no handler. The kernel raises guests' signals itself; real ones aren't
/// for guests.
fn ignore_signals() {
    (1..=64).for_each(|signal| handle(signal, SIG_IGN));
    let none = 0_u64;
    const SIG_SETMASK: u64 = 2;
    sys::call(__NR_rt_sigprocmask, [SIG_SETMASK, &raw const none as u64, 0, 8, 0, 0]);
}

fn handle(signal: u64, how: u64) {
    let action = [how, 0, 0, 0_u64];
    sys::call(__NR_rt_sigaction, [signal, action.as_ptr() as u64, 0, 8, 0, 0]);
}

/// Sets up the descriptors of the first program. A standard stream that is closed becomes `/dev/null`.
fn place_files(descriptors: &[(Inherited, u8)]) -> Result<(), Errno> {
    const F_GETFD: u64 = 1;
    for &(Inherited { fd, .. }, kind) in descriptors {
        let fd = fd as u64;
        if kind == file::INHERITED && (fd > 2 || sys::call(__NR_fcntl, [fd, F_GETFD, 0, 0, 0, 0]) >= 0) {
            continue;
        }
        let file = if kind != file::PIPE {
            sys::open(AT_FDCWD, b"/dev/null", O_RDWR)?
        } else {
            let mut ends = [0_i32; 2];
            sys::ask(__NR_pipe2, [ends.as_mut_ptr() as u64, 0, 0, 0, 0, 0])?;
            let [read, write] = ends;
            let (own, other) = if fd == 0 { (read, write) } else { (write, read) };
            sys::close(other);
            own
        };
        if file as u64 != fd {
            sys::ask(__NR_dup2, [file as u64, fd, 0, 0, 0, 0])?;
            sys::close(file);
        }
    }
    Ok(())
}

fn credentials() -> Result<Credentials, Errno> {
    let three = |number| -> Result<[u32; 3], Errno> {
        let mut ids = [0_u32; 3];
        let base = &raw mut ids as u64;
        sys::ask(number, [base, base + 4, base + 8, 0, 0, 0])?;
        Ok(ids)
    };
    let (uid, gid) = (three(__NR_getresuid)?, three(__NR_getresgid)?);
    let count = sys::ask(__NR_getgroups, [0; 6])?;
    let mut groups = vec![0_u32; count as usize];
    sys::ask(__NR_getgroups, [count, groups.as_mut_ptr() as u64, 0, 0, 0, 0])?;
    Ok(Credentials::new(uid, gid, groups))
}
