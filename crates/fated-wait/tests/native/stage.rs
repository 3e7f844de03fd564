//! The stage: the puppets of one story, their pipes, and how the world's acts become orders to them.

use super::common::story::{Act, Exits};
use super::common::world::{Answer, Concrete, Done, Label, Outcome, RawWait, World, tid};
use super::puppet::{self, Order, Reply};
use fated_wait::*;
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub const MOST: usize = 17;
/// A reply or a state that does not come within this time does not come. Nothing waits for it to pass otherwise.
const PATIENCE_MS: i32 = 10_000;

pub struct Stage {
    orders: Vec<OwnedFd>,
    replies: Vec<OwnedFd>,
    /// The real number for each of the model.
    numbers: BTreeMap<u32, i32>,
}

fn check(result: i32) -> Result<i32> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

impl Stage {
    /// The first puppet on its stage: a subreaper and session leader, all signals blocked.
    pub fn new() -> Result<Self> {
        let (mut orders, mut replies, mut far) = (Vec::new(), Vec::new(), Vec::new());
        for label in 0..MOST {
            let (order_fd, reply_fd) = puppet::fds(label);
            let ([order_in, order_out], [reply_in, reply_out]) = (pipe()?, pipe()?);
            // SAFETY: the descriptors were opened just now, and nobody else has these numbers.
            unsafe {
                check(libc::dup2(order_in, order_fd))?;
                check(libc::dup2(reply_out, reply_fd))?;
                libc::close(order_in);
                libc::close(reply_out);
                far.push(OwnedFd::from_raw_fd(order_fd));
                far.push(OwnedFd::from_raw_fd(reply_fd));
                orders.push(OwnedFd::from_raw_fd(order_out));
                replies.push(OwnedFd::from_raw_fd(reply_in));
            }
        }
        // SAFETY: this program has one thread; the child makes only system calls.
        let pid = check(unsafe { libc::fork() })?;
        if pid == 0 {
            // SAFETY: plain system calls. A puppet must not hold its own director's ends.
            unsafe {
                for fd in orders.iter().chain(&replies) {
                    libc::close(fd.as_raw_fd());
                }
                libc::setsid();
                libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
            }
            puppet::block_signals();
            puppet::act(0);
        }
        Ok(Self { orders, replies, numbers: BTreeMap::from([(2, pid)]) })
    }

    pub fn order(&self, label: Label, what: u64, args: &[i64]) {
        let mut order = Order { what, args: [0; 5] };
        order.args[..args.len()].copy_from_slice(args);
        // SAFETY: the buffer is as large as said. A pipe takes so few bytes at once or none.
        unsafe { libc::write(self.orders[label].as_raw_fd(), (&raw const order).cast(), size_of::<Order>()) };
    }

    pub fn has_reply(&self, label: Label, timeout_ms: i32) -> bool {
        let mut poll = libc::pollfd { fd: self.replies[label].as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut poll, 1, timeout_ms) == 1 }
    }

    pub fn reply(&self, label: Label) -> std::result::Result<Reply, String> {
        if !self.has_reply(label, PATIENCE_MS) {
            return Err(format!("role {label} does not answer"));
        }
        let mut reply = Reply::default();
        // SAFETY: the buffer is as large as said.
        let got = unsafe { libc::read(self.replies[label].as_raw_fd(), (&raw mut reply).cast(), size_of::<Reply>()) };
        if got == size_of::<Reply>() as isize { Ok(reply) } else { Err(format!("role {label} is gone")) }
    }

    pub fn ask(&self, label: Label, what: u64, args: &[i64]) -> std::result::Result<Reply, String> {
        self.order(label, what, args);
        self.reply(label)
    }

    /// The role that has a real number.
    pub fn label(&self, world: &World, real: i64) -> Label {
        let number = self.numbers.iter().find(|&(_, &known)| i64::from(known) == real);
        number.map_or(usize::MAX, |(&number, _)| world.label(tid(number)))
    }

    /// A task that came without an order to fork.
    pub fn know(&mut self, world: &World, label: Label, real: i32) {
        self.numbers.insert(world.tid(label).get(), real);
    }

    /// The real number for one of the model; one that names nothing if there is none.
    pub fn real(&self, number: u32) -> i64 {
        match number {
            0 => 0,
            _ => self.numbers.get(&number).map_or(i64::from(PID_MAX) - 1, |&real| real.into()),
        }
    }

    /// Acts out what the world has just done, and compares.
    pub fn play(&mut self, world: &World, done: &Done) -> std::result::Result<(), String> {
        let Some(concrete) = done.act else { return Ok(()) };
        self.act(world, &concrete, done)?;
        for &(label, expected) in &done.completed {
            let reply = self.reply(label)?;
            let waitid = matches!(expected, Outcome::Waited(Answer::Waitid { .. }));
            let found = self.answer(world, waitid, &reply);
            if found != expected {
                return Err(format!("blocked role {label}: real {found:?}, model {expected:?}"));
            }
        }
        for effects in &done.effects {
            for &(_, pid) in &effects.execed {
                let reply = self.reply(world.label(pid.into()))?;
                if reply != Reply::default() {
                    return Err(format!("exec in {pid}: {reply:?}"));
                }
            }
        }
        self.settle(world)
    }

    fn act(&mut self, world: &World, c: &Concrete, done: &Done) -> std::result::Result<(), String> {
        let (by, it) = (c.by, self.real(c.it.get()));
        let next = world.size() as i64 - 1;
        let ptrace = |request: u32, data: i64| (puppet::CALL, vec![libc::SYS_ptrace, request.into(), it, 0, data]);
        let call = |number: i64, args: &[i64]| (puppet::CALL, [&[number][..], args].concat());
        let stop = |stop: bool| if stop { libc::SIGSTOP.into() } else { 0 };
        let (what, args) = match c.act {
            Act::Fork { thread: true, .. } => (puppet::THREAD, vec![next]),
            Act::Fork { parent, signal, .. } => {
                let flags = if parent { libc::CLONE_PARENT.into() } else { 0 };
                let signal = signal.map_or(0, Signal::get).into();
                (puppet::FORK, vec![flags, signal, next])
            }
            Act::Exit { code, how, .. } => {
                let number = if how == Exits::Thread { libc::SYS_exit } else { libc::SYS_exit_group };
                self.order(by, puppet::CALL, &[number, code.into()]);
                return Ok(());
            }
            Act::Kill { .. } | Act::Stop { .. } | Act::Continue { .. } => return self.send(world, c),
            Act::Setpgid { .. } => call(libc::SYS_setpgid, &[it, self.real(c.pgid)]),
            Act::Setsid { .. } => call(libc::SYS_setsid, &[]),
            Act::Subreaper { on, .. } => call(libc::SYS_prctl, &[libc::PR_SET_CHILD_SUBREAPER.into(), on.into()]),
            Act::Sigchld { action, .. } => {
                let flag = |on: bool, flag: i32| if on { flag } else { 0 };
                let flags = flag(action.no_wait, libc::SA_NOCLDWAIT) | flag(action.no_stop, libc::SA_NOCLDSTOP);
                (puppet::SIGCHLD, vec![action.ignore.into(), flags.into()])
            }
            Act::Exec { .. } => {
                self.order(by, puppet::EXEC, &[by as i64]);
                return Ok(());
            }
            Act::Traceme { .. } => call(libc::SYS_ptrace, &[libc::PTRACE_TRACEME.into()]),
            Act::Attach { .. } => ptrace(libc::PTRACE_ATTACH, 0),
            Act::Seize { exitkill, .. } => {
                ptrace(libc::PTRACE_SEIZE, if exitkill { libc::PTRACE_O_EXITKILL.into() } else { 0 })
            }
            Act::Interrupt { .. } => ptrace(libc::PTRACE_INTERRUPT, 0),
            Act::Listen { .. } => ptrace(libc::PTRACE_LISTEN, 0),
            Act::Cont { stop: with, .. } => ptrace(libc::PTRACE_CONT, stop(with)),
            Act::Detach { stop: with, .. } => ptrace(libc::PTRACE_DETACH, stop(with)),
            Act::TraceKill { .. } => ptrace(libc::PTRACE_KILL, 0),
            Act::Wait { .. } => return self.wait(world, by, c.wait.expect("cast with it"), done.outcome),
            Act::TakeSigchld { .. } => {
                let reply = self.ask(by, puppet::TAKE_SIGCHLD, &[])?;
                return self.same_signal(world, done.outcome, &reply);
            }
            Act::TraceStop { .. } | Act::Usage { .. } | Act::Pdeath { .. } => return Ok(()),
        };
        let reply = self.ask(by, what, &args)?;
        let found = match (c.act, reply.result) {
            (_, errno @ ..0) => failed(errno),
            (Act::Fork { .. }, id) => {
                self.numbers.insert(next as u32 + 2, id as i32);
                Outcome::Forked(next as usize)
            }
            _ => Outcome::Done,
        };
        same(found, done.outcome)
    }

    fn send(&self, world: &World, c: &Concrete) -> std::result::Result<(), String> {
        let id = self.real(c.it.get()) as i32;
        let leader = self.real(world.leader_of(c.it)) as i32;
        // SAFETY: plain system calls on numbers of this story's tasks.
        let result = unsafe {
            match c.act {
                Act::Kill { .. } => libc::kill(leader, libc::SIGKILL),
                Act::Continue { .. } => libc::kill(leader, libc::SIGCONT),
                _ => libc::syscall(libc::SYS_tgkill, leader, id, libc::SIGSTOP) as i32,
            }
        };
        check(result).map(drop).map_err(|error| format!("{:?}: {error}", c.act))
    }

    fn same_signal(&self, world: &World, expected: Outcome, reply: &Reply) -> std::result::Result<(), String> {
        let [_, code, pid, status, _] = reply.values;
        let found = match reply.result {
            -11 => Outcome::Signal(None),
            17 if expected == Outcome::SomeSignal => Outcome::SomeSignal,
            17 => Outcome::Signal(Some((code as i32, self.label(world, pid), status as i32))),
            errno => failed(errno),
        };
        same(found, expected)
    }

    pub fn wait(&self, world: &World, by: Label, wait: RawWait, expected: Outcome) -> std::result::Result<(), String> {
        let (id, options) = (self.real(wait.id), i64::from(wait.options));
        let (what, args) = match (wait.waitid, wait.idtype) {
            (true, P_PIDFD) => {
                let fd = self.ask(by, puppet::PIDFD, &[id, libc::O_NONBLOCK.into()])?.result;
                if fd < 0 {
                    return Err(format!("pidfd_open: errno {}", -fd));
                }
                (puppet::WAITID, [P_PIDFD.into(), fd, options])
            }
            (true, idtype) => (puppet::WAITID, [idtype.into(), id, options]),
            (false, P_ALL) => (puppet::WAIT4, [-1, options, 0]),
            (false, P_PGID) => (puppet::WAIT4, [-id, options, 0]),
            (false, _) => (puppet::WAIT4, [id, options, 0]),
        };
        self.order(by, what, &args);
        let result = if expected == Outcome::Blocked {
            self.blocks(world, by)
        } else {
            let mut tries = 0;
            loop {
                let found = self.answer(world, wait.waitid, &self.reply(by)?);
                // What the model has at once may still be on its way.
                if found != Outcome::Nothing || expected == found || tries == PATIENCE_MS * 3 {
                    break same(found, expected);
                }
                tries += 1;
                pause();
                self.order(by, what, &args);
            }
        };
        if wait.idtype == P_PIDFD && wait.waitid {
            self.ask(by, puppet::CALL, &[libc::SYS_close, args[1]])?;
        }
        result
    }

    /// It sits in its wait and says nothing.
    pub fn blocks(&self, world: &World, label: Label) -> std::result::Result<(), String> {
        let path = format!("/proc/{}/syscall", self.real(world.tid(label).get()));
        for _ in 0..PATIENCE_MS * 3 {
            if self.has_reply(label, 0) {
                return Err(format!("role {label} should block, but: {:?}", self.reply(label)?));
            }
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            if text.starts_with("61 ") || text.starts_with("247 ") {
                return Ok(());
            }
            pause();
        }
        Err(format!("role {label} does not block"))
    }

    pub fn answer(&self, world: &World, waitid: bool, reply: &Reply) -> Outcome {
        let [signo, code, pid, status, _] = reply.values;
        match (waitid, reply.result) {
            (false, 0) => Outcome::Nothing,
            (false, pid @ 1..) => {
                Outcome::Waited(Answer::Wait4 { who: self.label(world, pid), status: reply.values[0] as u32 })
            }
            (true, 0) if signo == 0 && [code, pid, status] == [0; 3] => Outcome::Nothing,
            (true, 0) if signo == 17 => {
                let who = self.label(world, pid);
                Outcome::Waited(Answer::Waitid { who, code: code as i32, status: status as i32 })
            }
            (_, errno @ ..0) => failed(errno),
            _ => {
                eprintln!("strange siginfo {reply:?}");
                Outcome::Skipped
            }
        }
    }

    /// Waits until every task is in the state that it has in the world.
    pub fn settle(&self, world: &World) -> std::result::Result<(), String> {
        for label in 0..world.size() {
            let expected = world.state(label);
            let mut found = self.state(world, label);
            let mut tries = 0;
            while !(fits(found, expected) || (found == Some('D') && world.execing(label))) {
                if tries == PATIENCE_MS * 3 {
                    return Err(format!("role {label} is {found:?}, in the model {expected:?}"));
                }
                tries += 1;
                pause();
                found = self.state(world, label);
            }
        }
        for label in 0..world.size() {
            if world.blocked(label).is_some() && self.has_reply(label, 0) {
                return Err(format!("role {label} should block on, but: {:?}", self.reply(label)?));
            }
        }
        Ok(())
    }

    /// The letter in /proc/…/stat.
    pub fn state(&self, world: &World, label: Label) -> Option<char> {
        let real = self.numbers.get(&world.tid(label).get())?;
        let stat = std::fs::read_to_string(format!("/proc/{real}/stat")).ok()?;
        stat.rsplit(')').next()?.trim_start().chars().next()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for &id in self.numbers.values().rev() {
            // SAFETY: numbers of this story's tasks; those that are gone cannot have been given out again so soon.
            unsafe { libc::kill(id, libc::SIGKILL) };
        }
        // Whoever loses its parent becomes ours, since we are a subreaper.
        loop {
            // SAFETY: no status is asked for.
            let pid = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) };
            if pid < 0 && Error::last_os_error().raw_os_error() == Some(libc::ECHILD) {
                break;
            }
        }
    }
}

fn pipe() -> Result<[i32; 2]> {
    let mut fds = [0; 2];
    // SAFETY: the buffer holds two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok(fds)
}

fn pause() {
    // SAFETY: plain system call.
    unsafe { libc::usleep(100) };
}

fn fits(found: Option<char>, expected: Option<TaskState>) -> bool {
    match expected {
        None => found.is_none(),
        Some(TaskState::Zombie) => found == Some('Z'),
        Some(TaskState::Stopped) => found == Some('T'),
        Some(TaskState::Traced) => found == Some('t'),
        // Asleep over its pipe or in its wait: it has done what it had to do on the way.
        Some(TaskState::Running) => found == Some('S'),
    }
}

fn failed(result: i64) -> Outcome {
    let known = [
        Errno::EPERM,
        Errno::ESRCH,
        Errno::EIO,
        Errno::ECHILD,
        Errno::EAGAIN,
        Errno::EACCES,
        Errno::EEXIST,
        Errno::EINVAL,
    ];
    match known.into_iter().find(|errno| i64::from(errno.raw()) == -result) {
        Some(errno) => Outcome::Failed(errno),
        None => {
            eprintln!("unexpected result {result}");
            Outcome::Skipped
        }
    }
}

fn same(found: Outcome, expected: Outcome) -> std::result::Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("real {found:?}, model {expected:?}")) }
}
