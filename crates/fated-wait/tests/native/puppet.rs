//! The puppet: a real task that does what it is told over a pipe. It uses raw system calls only, since it forks and
//! makes threads behind the back of libc and std.

use std::arch::asm;

/// What a puppet is told; `args` by command.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub what: u64,
    pub args: [i64; 5],
}

/// What it answers: the result of the call, negative for an errno, and what the call stored.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub result: i64,
    pub values: [i64; 5],
}

/// args: system call number, then its arguments.
pub const CALL: u64 = 0;
/// args: flags, exit signal, label of the child.
pub const FORK: u64 = 1;
/// args: label of the thread.
pub const THREAD: u64 = 2;
/// args: own label.
pub const EXEC: u64 = 3;
/// args: pid, options, whether to give a bad pointer. Stores the status, and the time used in µs.
pub const WAIT4: u64 = 4;
/// args: idtype, id, options.
pub const WAITID: u64 = 5;
/// args: handler (0 default, 1 ignore, 2 count), flags.
pub const SIGCHLD: u64 = 6;
pub const TAKE_SIGCHLD: u64 = 7;
/// args: whether to block.
pub const MASK: u64 = 8;
/// args: who. Stores the time used in µs.
pub const RUSAGE: u64 = 9;
/// args: pid, whether a thread.
pub const PIDFD: u64 = 10;
/// args: milliseconds of processor time.
pub const BURN: u64 = 11;
/// How often the SIGCHLD handler ran.
pub const COUNT: u64 = 12;

/// Where the ends of a puppet's pipes are.
pub const fn fds(label: usize) -> (i32, i32) {
    (200 + 2 * label as i32, 201 + 2 * label as i32)
}

const SIGCHLD_SET: u64 = 1 << 16;
const ALL_SIGNALS: u64 = !0;
const STACK: usize = 64 << 10;

/// A system call without a trace in thread-local storage.
///
/// # Safety
/// As the call demands.
unsafe fn call(number: i64, args: [i64; 5]) -> i64 {
    let result;
    // SAFETY: the registers are those of the kernel's convention; memory is the caller's to answer for.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") 0, lateout("rcx") _, lateout("r11") _);
    }
    result
}

static mut HANDLED: u32 = 0;

extern "C" fn handler(_: i32) {
    // SAFETY: only one thread of a puppet takes the signal.
    unsafe { HANDLED += 1 };
}

extern "C" fn thread(label: *mut libc::c_void) -> i32 {
    act(label as usize)
}

/// Blocks all signals that can be blocked and does as told for ever.
pub fn act(label: usize) -> ! {
    let (orders, replies) = fds(label);
    loop {
        let mut order = Order { what: 0, args: [0; 5] };
        let size = size_of::<Order>() as i64;
        // SAFETY: the buffer is as large as said.
        let got = unsafe { call(libc::SYS_read, [orders.into(), &raw mut order as i64, size, 0, 0]) };
        if got != size {
            // SAFETY: ends this process; whoever gave orders is gone.
            unsafe { call(libc::SYS_exit_group, [111, 0, 0, 0, 0]) };
        }
        say(replies, obey(&order));
    }
}

/// The first answer of a puppet that comes from exec.
pub fn return_from_exec(label: usize) -> ! {
    say(fds(label).1, Reply::default());
    act(label)
}

pub fn block_signals() {
    let set = ALL_SIGNALS;
    // SAFETY: the set is eight bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK.into(), &raw const set as i64, 0, 8, 0]) };
}

fn say(fd: i32, reply: Reply) {
    // SAFETY: the buffer is as large as said.
    unsafe { call(libc::SYS_write, [fd.into(), &raw const reply as i64, size_of::<Reply>() as i64, 0, 0]) };
}

fn obey(order: &Order) -> Reply {
    let args = order.args;
    let mut values = [0; 5];
    // SAFETY: every pointer is to a local of the right size; what CALL is told passes none.
    let result = unsafe {
        match order.what {
            CALL => call(args[0], [args[1], args[2], args[3], args[4], 0]),
            FORK => {
                let pid = call(libc::SYS_clone, [args[0] | args[1], 0, 0, 0, 0]);
                if pid == 0 {
                    act(args[2] as usize);
                }
                pid
            }
            THREAD => make_thread(args[0]),
            EXEC => exec(args[0] as usize),
            WAIT4 => {
                let mut status = -1i32;
                let place = if args[2] != 0 { 8 } else { &raw mut status as i64 };
                let mut usage = [0i64; 18];
                let result = call(libc::SYS_wait4, [args[0], place, args[1], &raw mut usage as i64, 0]);
                values[0] = status.into();
                values[1] = (usage[0] + usage[2]) * 1_000_000 + usage[1] + usage[3];
                result
            }
            WAITID => {
                let mut info = [0x5a5a_5a5ai32; 32];
                let result = call(libc::SYS_waitid, [args[0], args[1], &raw mut info as i64, args[2], 0]);
                values = [info[0], info[2], info[4], info[6], info[5]].map(i64::from);
                result
            }
            SIGCHLD => {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = match args[0] {
                    0 => libc::SIG_DFL,
                    1 => libc::SIG_IGN,
                    _ => handler as *const () as usize,
                };
                action.sa_flags = args[1] as i32;
                libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut()).into()
            }
            TAKE_SIGCHLD => {
                let (set, mut info, timeout) = (SIGCHLD_SET, [0i32; 32], [0i64; 2]);
                let places = [&raw const set as i64, &raw mut info as i64, &raw const timeout as i64, 8, 0];
                let result = call(libc::SYS_rt_sigtimedwait, places);
                values = [info[0], info[2], info[4], info[6], info[5]].map(i64::from);
                result
            }
            MASK => {
                let set = SIGCHLD_SET;
                let how = if args[0] != 0 { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
                call(libc::SYS_rt_sigprocmask, [how.into(), &raw const set as i64, 0, 8, 0])
            }
            RUSAGE => {
                let mut usage = [0i64; 18];
                let result = call(libc::SYS_getrusage, [args[0], &raw mut usage as i64, 0, 0, 0]);
                values[0] = (usage[0] + usage[2]) * 1_000_000 + usage[1] + usage[3];
                result
            }
            PIDFD => call(libc::SYS_pidfd_open, [args[0], args[1], 0, 0, 0]),
            BURN => burn(args[0]),
            COUNT => i64::from(std::ptr::read_volatile(&raw const HANDLED)),
            _ => -38,
        }
    };
    Reply { result, values }
}

/// # Safety
/// The label's pipes are there.
unsafe fn make_thread(label: i64) -> i64 {
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping is the thread's own stack; it is never unmapped.
    unsafe {
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let stack = libc::mmap(std::ptr::null_mut(), STACK, prot, private, -1, 0);
        libc::clone(thread, stack.byte_add(STACK), flags, label as *mut libc::c_void).into()
    }
}

/// # Safety
/// None beyond that of execve.
unsafe fn exec(label: usize) -> i64 {
    let number = [b'0' + (label / 10) as u8, b'0' + (label % 10) as u8, 0];
    let argv = [c"native".as_ptr(), c"--puppet".as_ptr(), number.as_ptr().cast(), std::ptr::null()];
    let envp = [std::ptr::null::<libc::c_char>()];
    let path = c"/proc/thread-self/exe".as_ptr() as i64;
    // SAFETY: strings end in zero, lists in null.
    unsafe { call(libc::SYS_execve, [path, argv.as_ptr() as i64, envp.as_ptr() as i64, 0, 0]) }
}

fn burn(milliseconds: i64) -> i64 {
    let mut time = [0i64; 2];
    loop {
        // SAFETY: the buffer is a timespec.
        unsafe { call(libc::SYS_clock_gettime, [libc::CLOCK_THREAD_CPUTIME_ID.into(), &raw mut time as i64, 0, 0, 0]) };
        if time[0] * 1000 + time[1] / 1_000_000 >= milliseconds {
            return 0;
        }
    }
}
