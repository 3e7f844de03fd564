//! Signals for fated itself. They have a binary of their own because they affect the whole process.

mod passthrough;

use fated_engine::{Error, Launch, Observer, Standard};
use fated_kernel::host::Ending;
use fated_ptrace::Engine;
use passthrough::Passthrough;
use std::rc::Rc;

/// Runs a guest that sends these signals to fated through its real parent's id and then spins.
fn run(signals: &str) -> Result<Ending, Error> {
    let program = format!("for s in {signals}; do /bin/kill -$s $FATED; done; while :; do :; done");
    let launch = Launch {
        args: ["-c".into(), program.into()].into(),
        env: [("FATED".into(), std::process::id().to_string().into())].into(),
        ..Launch::new("/bin/sh")
    };
    Engine::launch(&launch, Signaller::default(), Rc::new(Standard::default()), Rc::new(Observer::default()))?.run()
}

/// The passthrough driver, except that it sends signals.
#[derive(Debug, Default)]
struct Signaller(Passthrough);

impl fated_ptrace::Driver for Signaller {
    fn boot(
        &self,
        boot: &fated_kernel::host::Boot,
        guest: Rc<dyn fated_kernel::ports::RealTask>,
    ) -> fated_kernel::id::Tid {
        self.0.boot(boot, guest)
    }
    fn run_until(&self, horizon: Option<u64>) -> fated_kernel::host::Next {
        self.0.run_until(horizon)
    }
    fn stopped(&self, tid: fated_kernel::id::Tid, stop: fated_kernel::ports::Stop) {
        if let fated_kernel::ports::Stop::Call(call) = stop
            && call.number == libc::SYS_kill as u64
        {
            // The signal goes to this thread, so that the handler has run before the guest spins.
            // SAFETY: takes numbers only.
            unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), libc::gettid(), call.args[1] as i32) };
        }
        self.0.stopped(tid, stop);
    }
    fn interrupt(&self, signal: i32) {
        self.0.interrupt(signal);
    }
    fn timestamp_counter(&self) -> u64 {
        self.0.timestamp_counter()
    }
    fn auxv_random(&self) -> [u8; 16] {
        self.0.auxv_random()
    }
}

#[test]
fn the_first_one_goes_to_the_kernel_and_the_second_ends_the_run() {
    assert_eq!(run("INT").unwrap(), Ending::Exited(libc::SIGINT), "as the stand-in has it");
    assert_eq!(run("HUP").unwrap(), Ending::Exited(libc::SIGHUP));
    assert!(matches!(run("TERM"), Err(Error::Interrupted { signal: libc::SIGTERM })));
    assert_eq!(run("TERM").unwrap_err().exit_code(), 143);
}
