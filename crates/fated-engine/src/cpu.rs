//! The one CPU of a thread's runs.

use fated_kernel::ports::Trace;
use std::cell::Cell;

use crate::error::{Error, in_words};
use crate::sys::{self, Os};

thread_local! {
    /// How many runs keep this thread on a CPU, and the CPUs that it had before the first of them.
    static KEPT: Cell<(usize, Option<libc::cpu_set_t>)> = const { Cell::new((0, None)) };
}

/// Keeps this thread and its children on one CPU as long as a value exists. To run a guest then takes a context switch, and no wake-up of
/// another CPU.
#[derive(Debug)]
pub struct OneCpu(());

impl OneCpu {
    /// Binds this thread to `cpu`, or to its current CPU. If that fails, it is an error when the user has chosen the CPU, and a
    /// notice otherwise.
    pub fn stay(cpu: Option<usize>, trace: &dyn Trace) -> Result<OneCpu, Error> {
        let (runs, mut before) = KEPT.get();
        if runs == 0 {
            before = sys::affinity().ok();
        }
        match (cpu, stay(cpu)) {
            (_, Ok(())) => {}
            (Some(cpu), Err(errno)) => {
                return Err(Error::Cpu { cpu, errno, allowed: before.as_ref().map_or_else(String::new, ranges) });
            }
            (None, Err(errno)) => trace.notice(format!(
                "guests and fated can't be kept on one CPU ({}): each stop takes several times as long",
                in_words(errno)
            )),
        }
        KEPT.set((runs + 1, before));
        Ok(OneCpu(()))
    }
}

/// The CPUs of a set, as `0-3,6`.
fn ranges(set: &libc::cpu_set_t) -> String {
    // SAFETY: the number is inside the set.
    let has = |cpu: usize| cpu < 8 * size_of_val(set) && unsafe { libc::CPU_ISSET(cpu, set) };
    let begins = (0..8 * size_of_val(set)).filter(|&cpu| has(cpu) && (cpu == 0 || !has(cpu - 1)));
    let range = |begin: usize| match (begin..).take_while(|&cpu| has(cpu)).last() {
        Some(end) if end > begin => format!("{begin}-{end}"),
        _ => begin.to_string(),
    };
    begins.map(range).collect::<Vec<_>>().join(",")
}

fn stay(cpu: Option<usize>) -> Os<()> {
    let cpu = cpu.map_or_else(sys::current_cpu, Ok)?;
    sys::set_affinity(&sys::only_cpu(cpu))
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        let (runs, before) = KEPT.get();
        KEPT.set((runs - 1, before));
        if let (1, Some(before)) = (runs, before) {
            // If these CPUs are no longer permitted, the thread stays on its one CPU.
            let _ = sys::set_affinity(&before);
        }
    }
}
