//! A minimal driver on which real programs run. Every call goes to Linux, except those that create, end and await tasks and those
//! that could block. It has no signals and no time, and tests the engine alone.

use fated_kernel::arch::Call;
use fated_kernel::errno::Errno;
use fated_kernel::host::{Boot, Ending, Next};
use fated_kernel::id::Tid;
use fated_kernel::ports::{Memory, RealTask, Spawn, Stop};
use fated_kernel::process::exec::plan::{Exec, ExecError, Request};
use fated_kernel::process::exec::planner::{self, Rules, Target};
use fated_kernel::process::exec::strings::Strings;
use fated_ptrace::Driver;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

#[derive(Debug)]
struct Task {
    guest: Rc<dyn RealTask>,
    pid: u32,
    parent: u32,
    clear_tid: Cell<u64>,
    /// The call in which it waits.
    blocked: Cell<Option<Call>>,
    /// It waits until this task, which borrows its memory, execs or exits.
    lent_to: Cell<Option<u32>>,
}

/// An exec depends on files alone.
struct NoRules;
impl Rules for NoRules {}

/// A driver that passes calls on to Linux.
#[derive(Debug, Default)]
pub struct Passthrough {
    tasks: RefCell<BTreeMap<u32, Rc<Task>>>,
    turns: RefCell<VecDeque<u32>>,
    /// Process, parent, wait status.
    zombies: RefCell<Vec<(u32, u32, i32)>>,
    last: Cell<u32>,
    ending: RefCell<Option<Ending>>,
    tsc: Cell<u64>,
}

const FIRST: u32 = 100;

fn number(value: i64) -> u64 {
    value.cast_unsigned()
}

fn failed(errno: Errno) -> u64 {
    number(-i64::from(errno.number()))
}

fn read_word(guest: &dyn Memory, addr: u64) -> u64 {
    let mut word = [0; 8];
    guest.read(addr, &mut word);
    u64::from_le_bytes(word)
}

fn read_string(guest: &dyn Memory, addr: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let len = guest.read(addr, &mut bytes);
    bytes.truncate(bytes[..len].iter().position(|&byte| byte == 0).unwrap_or(len));
    bytes
}

/// The outcome of a call.
enum Done {
    /// It has this result.
    With(u64),
    /// Linux carries it out, and the driver doesn't use the result.
    Pass,
    /// It is retried later.
    Blocked,
    /// The task doesn't return from it.
    Away,
}

impl Passthrough {
    fn task(&self, tid: u32) -> Option<Rc<Task>> {
        self.tasks.borrow().get(&tid).cloned()
    }

    fn finish(&self, tid: u32, call: Call) -> bool {
        let Some(task) = self.task(tid) else { return true };
        let set_result = |result| task.guest.set_regs(&fated_kernel::arch::Regs { rax: result, ..task.guest.regs() });
        match self.call(tid, &task, call) {
            Done::With(result) => set_result(result),
            // Without a result, it passes when the task runs on.
            Done::Pass => task.guest.pass(call).into_iter().for_each(|result| set_result(result as u64)),
            Done::Blocked => {
                task.blocked.set(Some(call));
                self.turns.borrow_mut().push_back(tid);
                return false;
            }
            Done::Away => return true,
        }
        task.blocked.set(None);
        if task.lent_to.get().is_none() {
            self.turns.borrow_mut().push_front(tid);
        }
        true
    }

    fn call(&self, tid: u32, task: &Rc<Task>, call: Call) -> Done {
        let guest = &*task.guest;
        let [a, b, c, d, e, _] = call.args;
        match call.number as i64 {
            libc::SYS_fork => self.spawn(tid, task, 0, None, 0, [0; 3]),
            libc::SYS_vfork => self.spawn(tid, task, (libc::CLONE_VM | libc::CLONE_VFORK) as u64, None, 0, [0; 3]),
            libc::SYS_clone => self.spawn(tid, task, a, (b != 0).then_some(b), e, [c, d, d]),
            libc::SYS_clone3 => {
                let field = |at: u64| read_word(guest, a + 8 * at);
                let stack = (field(5) != 0).then(|| field(5) + field(6));
                self.spawn(tid, task, field(0), stack, field(7), [field(3), field(2), field(2)])
            }
            libc::SYS_execve => self.exec(tid, task, libc::AT_FDCWD, [a, b, c], 0),
            libc::SYS_execveat => self.exec(tid, task, a as i32, [b, c, d], e as u32),
            libc::SYS_exit => {
                self.exit(tid, task, (a as i32 & 0xff) << 8);
                Done::Away
            }
            libc::SYS_exit_group => {
                self.exit_group(task.pid, (a as i32 & 0xff) << 8);
                Done::Away
            }
            libc::SYS_wait4 => self.wait4(task, a as i32, b, c as i32),
            libc::SYS_getpid => Done::With(u64::from(task.pid)),
            libc::SYS_gettid => Done::With(u64::from(tid)),
            libc::SYS_getppid => Done::With(u64::from(task.parent)),
            libc::SYS_set_tid_address => {
                task.clear_tid.set(a);
                Done::With(u64::from(tid))
            }
            libc::SYS_futex => self.futex(task, call),
            libc::SYS_rt_sigaction | libc::SYS_rt_sigprocmask => {
                // The old action or mask: nothing handled, nothing blocked.
                let size = if call.number as i64 == libc::SYS_rt_sigaction { 32 } else { 8 };
                if c != 0 {
                    guest.write(c, &vec![0; size]);
                }
                Done::With(0)
            }
            libc::SYS_set_robust_list | libc::SYS_sigaltstack => Done::With(0),
            libc::SYS_kill | libc::SYS_tkill | libc::SYS_tgkill => Done::With(0),
            libc::SYS_nanosleep | libc::SYS_clock_nanosleep | libc::SYS_sched_yield => {
                // The other tasks run first.
                if task.blocked.get().is_none() { Done::Blocked } else { Done::With(0) }
            }
            libc::SYS_rseq => Done::With(failed(Errno::ENOSYS)),
            libc::SYS_read | libc::SYS_readv => self.when_ready(guest, call, libc::POLLIN),
            libc::SYS_write | libc::SYS_writev => self.when_ready(guest, call, libc::POLLOUT),
            libc::SYS_poll if c != 0 => self.without_waiting(guest, call, 2, 0),
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait if d != 0 => self.without_waiting(guest, call, 3, 0),
            libc::SYS_ppoll | libc::SYS_select | libc::SYS_pselect6 => {
                let at = if call.number as i64 == libc::SYS_ppoll { 2 } else { 4 };
                let zeros = guest.regs().rsp - 1024;
                guest.write(zeros, &[0; 16]);
                self.without_waiting(guest, call, at, zeros)
            }
            _ => Done::Pass,
        }
    }

    /// Makes a call with a timeout of 0 instead of its own. It blocks if nothing is ready.
    fn without_waiting(&self, guest: &dyn RealTask, call: Call, at: usize, timeout: u64) -> Done {
        let mut args = call.args;
        args[at] = timeout;
        let result = guest.native(Call { args, ..call });
        if result == 0 && call.args[at] != 0 && self.others_run() { Done::Blocked } else { Done::With(number(result)) }
    }

    fn others_run(&self) -> bool {
        self.tasks.borrow().len() > 1
    }

    /// Makes a call on a descriptor when it won't block.
    fn when_ready(&self, guest: &dyn RealTask, call: Call, event: i16) -> Done {
        if !self.others_run() {
            return Done::Pass;
        }
        let pollfd = guest.regs().rsp - 1024;
        let fd = (call.args[0] as i32).to_le_bytes();
        guest.write(pollfd, &[fd, i32::from(event).to_le_bytes()].concat());
        let poll = Call { number: libc::SYS_poll as u64, args: [pollfd, 1, 0, 0, 0, 0] };
        if guest.native(poll) == 0 { Done::Blocked } else { Done::With(number(guest.native(call))) }
    }

    fn futex(&self, task: &Task, call: Call) -> Done {
        let [addr, op, expected, ..] = call.args;
        let operation = op as i32 & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
        if operation != libc::FUTEX_WAIT && operation != libc::FUTEX_WAIT_BITSET {
            return Done::With(0);
        }
        if read_word(&*task.guest, addr) as u32 != expected as u32 {
            return Done::With(failed(Errno::EAGAIN));
        }
        // A spurious wake-up after the other tasks have run. A timeout expires at once.
        if task.blocked.get().is_none() {
            return Done::Blocked;
        }
        Done::With(if call.args[3] != 0 { failed(Errno::ETIMEDOUT) } else { 0 })
    }

    /// `tids`: the addresses of the new id in the parent and in the child, and the one to clear at the child's exit.
    fn spawn(&self, tid: u32, task: &Rc<Task>, flags: u64, stack: Option<u64>, tls: u64, tids: [u64; 3]) -> Done {
        let has = |flag: i32| flags & flag as u64 != 0;
        let new = self.last.get() + 1;
        let Some(key) = Tid::new(new) else { return Done::With(failed(Errno::EAGAIN)) };
        let guest = match task.guest.spawn(&Spawn { tid: key, flags, stack, tls }) {
            Ok(guest) => guest,
            Err(errno) => return Done::With(failed(errno)),
        };
        self.last.set(new);
        let thread = has(libc::CLONE_THREAD);
        let (pid, parent) = if thread { (task.pid, task.parent) } else { (new, task.pid) };
        let bytes = new.to_le_bytes();
        if has(libc::CLONE_PARENT_SETTID) {
            task.guest.write(tids[0], &bytes);
        }
        if has(libc::CLONE_CHILD_SETTID) {
            guest.write(tids[1], &bytes);
        }
        let clear_tid = Cell::new(if has(libc::CLONE_CHILD_CLEARTID) { tids[2] } else { 0 });
        let (blocked, lent_to) = (Cell::new(None), Cell::new(None));
        self.tasks.borrow_mut().insert(new, Rc::new(Task { guest, pid, parent, clear_tid, blocked, lent_to }));
        self.turns.borrow_mut().push_back(new);
        if has(libc::CLONE_VFORK) {
            task.lent_to.set(Some(new));
        }
        let _ = tid;
        Done::With(u64::from(new))
    }

    fn exec(&self, tid: u32, task: &Rc<Task>, dirfd: i32, [path_addr, argv, envp]: [u64; 3], flags: u32) -> Done {
        let target = Target { dirfd, path: read_string(&*task.guest, path_addr), flags, name: None };
        let strings = |name: &[u8]| Strings::read(&*task.guest, argv, envp, 8 << 20, name);
        let plan = match planner::make(&*task.guest, &NoRules, &target, strings) {
            Ok(plan) => plan,
            Err(refusal) => return Done::With(failed(refusal.errno())),
        };
        let request = Request { dirfd, path: path_addr, argv, envp, flags, stands_for_name: false };
        let exec = Exec { plan, request, random: *b"0123456789abcdef" };
        let others: Vec<_> =
            self.tasks.borrow().iter().filter(|(_, other)| other.pid == task.pid).map(|(&other, _)| other).collect();
        for other in others.into_iter().filter(|&other| other != tid) {
            if let Some(other) = self.remove(other) {
                other.guest.exit();
            }
        }
        match task.guest.exec(exec) {
            Ok(()) => {}
            Err(ExecError::Refused(errno)) => return Done::With(failed(errno)),
            Err(ExecError::Lost) => panic!("a test started a damaged program"),
        }
        self.give_back(tid);
        task.clear_tid.set(0);
        if tid != task.pid {
            self.remove(tid);
            self.tasks.borrow_mut().insert(task.pid, task.clone());
        }
        self.turns.borrow_mut().push_front(task.pid);
        Done::Away
    }

    fn remove(&self, tid: u32) -> Option<Rc<Task>> {
        self.turns.borrow_mut().retain(|&turn| turn != tid);
        self.tasks.borrow_mut().remove(&tid)
    }

    /// Returns the memory that the task has borrowed.
    fn give_back(&self, tid: u32) {
        for (&owner, task) in &*self.tasks.borrow() {
            if task.lent_to.get() == Some(tid) {
                task.lent_to.set(None);
                self.turns.borrow_mut().push_back(owner);
            }
        }
    }

    fn exit(&self, tid: u32, task: &Task, status: i32) {
        if self.tasks.borrow().values().filter(|other| other.pid == task.pid).count() == 1 {
            return self.exit_group(task.pid, status);
        }
        if task.clear_tid.get() != 0 {
            task.guest.write(task.clear_tid.get(), &[0; 4]);
        }
        task.guest.exit();
        self.remove(tid);
    }

    fn exit_group(&self, pid: u32, status: i32) {
        let members: Vec<_> =
            self.tasks.borrow().iter().filter(|(_, task)| task.pid == pid).map(|(&tid, _)| tid).collect();
        for tid in members {
            self.give_back(tid);
            if let Some(task) = self.remove(tid) {
                task.guest.exit_group();
                if tid == pid {
                    self.zombies.borrow_mut().push((pid, task.parent, status));
                }
            }
        }
        if pid == FIRST {
            self.ending.replace(Some(Ending::Exited(status)));
        }
    }

    fn wait4(&self, task: &Task, pid: i32, status_addr: u64, options: i32) -> Done {
        let fits = |&(zombie, parent, _): &(u32, u32, i32)| parent == task.pid && (pid <= 0 || zombie == pid as u32);
        let found = self.zombies.borrow().iter().position(fits);
        if let Some(at) = found {
            let (zombie, _, status) = self.zombies.borrow_mut().remove(at);
            if status_addr != 0 {
                task.guest.write(status_addr, &status.to_le_bytes());
            }
            return Done::With(u64::from(zombie));
        }
        if !self.tasks.borrow().values().any(|child| child.parent == task.pid && child.pid != task.pid) {
            return Done::With(failed(Errno::ECHILD));
        }
        if options & libc::WNOHANG != 0 { Done::With(0) } else { Done::Blocked }
    }
}

impl Driver for Passthrough {
    fn boot(&self, _boot: &Boot, guest: Rc<dyn RealTask>) -> Tid {
        let (clear_tid, blocked, lent_to) = (Cell::new(0), Cell::new(None), Cell::new(None));
        self.tasks
            .borrow_mut()
            .insert(FIRST, Rc::new(Task { guest, pid: FIRST, parent: 1, clear_tid, blocked, lent_to }));
        self.turns.borrow_mut().push_back(FIRST);
        self.last.set(FIRST);
        Tid::new(FIRST).unwrap()
    }

    fn run_until(&self, _horizon: Option<u64>) -> Next {
        let mut idle = 0;
        loop {
            if let Some(ending) = self.ending.take() {
                return Next::Finished(ending);
            }
            let Some(tid) = self.turns.borrow_mut().pop_front() else {
                return Next::Finished(Ending::Deadlock(vec!["nobody can run".into()]));
            };
            match self.task(tid).map(|task| task.blocked.get()) {
                Some(None) => return Next::Run(Tid::new(tid).unwrap()),
                Some(Some(call)) => {
                    idle = if self.finish(tid, call) { 0 } else { idle + 1 };
                    if idle > 10 * self.tasks.borrow().len() {
                        return Next::Finished(Ending::Deadlock(vec![format!("{tid} waits in {call:?}")]));
                    }
                }
                None => {}
            }
        }
    }

    fn stopped(&self, tid: Tid, stop: Stop) {
        let tid = tid.get();
        match stop {
            Stop::Call(call) => {
                self.finish(tid, call);
            }
            Stop::Fault(fault) => {
                if let Some(task) = self.task(tid) {
                    self.exit_group(task.pid, fault.signal);
                }
            }
            Stop::Killed { signal } => {
                self.ending.replace(Some(Ending::Broken(format!("{tid} was killed by signal {signal}"))));
            }
        }
    }

    fn interrupt(&self, signal: i32) {
        self.exit_group(FIRST, signal);
    }

    fn timestamp_counter(&self) -> u64 {
        self.tsc.set(self.tsc.get() + 1000);
        self.tsc.get()
    }

    fn auxv_random(&self) -> [u8; 16] {
        *b"0123456789abcdef"
    }
}
