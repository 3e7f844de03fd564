//! The one CPU of a run.

use fated_kernel::ports::Trace;

use crate::error::Error;
use crate::sys::{self, Os};

/// Keeps this thread, and all that it forks, on one CPU until dropped: handing over to a guest then takes a context switch
/// rather than the wake-up of another CPU.
pub struct OneCpu {
    before: Option<libc::cpu_set_t>,
}

impl std::fmt::Debug for OneCpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneCpu")
    }
}

impl OneCpu {
    /// Binds this thread to `cpu`, or to its current CPU. If that fails, it is an error when the user has chosen the CPU, and a
    /// notice otherwise.
    pub fn stay(cpu: Option<usize>, trace: &dyn Trace) -> Result<OneCpu, Error> {
        let before = sys::affinity().ok();
        match (cpu, stay(cpu)) {
            (_, Ok(())) => {}
            (Some(_), Err(errno)) => {
                let remedy = "; choose one that fated may use with --cpu";
                return Err(Error::Start { step: "run on one CPU".into(), errno, remedy });
            }
            (None, Err(errno)) => trace.notice(format!(
                "guests and fated can't be kept on one CPU ({errno}): each stop takes several times as long"
            )),
        }
        Ok(OneCpu { before })
    }
}

fn stay(cpu: Option<usize>) -> Os<()> {
    let cpu = cpu.map_or_else(sys::current_cpu, Ok)?;
    sys::set_affinity(&sys::only_cpu(cpu))
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // These were this thread's CPUs before. If they are no longer permitted, it stays on the one.
            let _ = sys::set_affinity(before);
        }
    }
}
