//! What a task asks for about its scheduling: policy, priority, affinity. All of it is kept and reported; none of it changes which task
//! runs next, which is for [`run_queue`](crate::sched::run_queue) to say.

use crate::errno::Errno;
use linux_raw_sys::general::{SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO, SCHED_IDLE, SCHED_NORMAL, SCHED_RR};

/// The attributes of a task (Linux: `struct sched_attr`, but for the nice value, which belongs to the process here).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `SCHED_*`, of those that Linux lets ordinary tasks have.
    pub policy: u32,
    /// From 1 to 99 under a real-time policy, else 0.
    pub priority: u32,
    /// Children get the default policy (`SCHED_RESET_ON_FORK`).
    pub reset_on_fork: bool,
    /// As ioprio_set(2) has set it; 0 for none.
    pub io_priority: u16,
    /// The processors that the task may run on; the empty set stands for all.
    affinity: CpuSet,
}

impl Attributes {
    /// What a child gets of them.
    #[must_use]
    pub fn inherited(self) -> Attributes {
        let Attributes { affinity, io_priority, .. } = self;
        if self.reset_on_fork { Attributes { affinity, io_priority, ..Attributes::default() } } else { self }
    }

    /// The processors that the task may run on, of the first `cpus`.
    #[must_use]
    pub fn affinity(&self, cpus: u32) -> CpuSet {
        if self.affinity.is_empty() { CpuSet::first(cpus) } else { self.affinity }
    }

    /// With another affinity.
    #[must_use]
    pub fn with_affinity(self, affinity: CpuSet) -> Attributes {
        Attributes { affinity, ..self }
    }

    /// With another policy and priority.
    ///
    /// # Errors
    /// `EINVAL` for a combination that Linux doesn't know, `EPERM` for one that it keeps for the privileged (`CAP_SYS_NICE`).
    pub fn with_policy(
        self,
        policy: u32,
        priority: u32,
        reset_on_fork: bool,
        privileged: bool,
    ) -> Result<Attributes, Errno> {
        let (lowest, highest) = priorities(policy).filter(|_| policy != SCHED_DEADLINE).ok_or(Errno::EINVAL)?;
        if !(lowest..=highest).contains(&priority) {
            return Err(Errno::EINVAL);
        }
        let real_time = lowest > 0;
        let leaves_idle = self.policy == SCHED_IDLE && policy != SCHED_IDLE;
        if (real_time || leaves_idle || (self.reset_on_fork && !reset_on_fork)) && !privileged {
            return Err(Errno::EPERM);
        }
        Ok(Attributes { policy, priority, reset_on_fork, ..self })
    }
}

/// The lowest and the highest priority under a policy; `None` if there is no such policy.
#[must_use]
pub fn priorities(policy: u32) -> Option<(u32, u32)> {
    match policy {
        SCHED_FIFO | SCHED_RR => Some((1, 99)),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Some((0, 0)),
        _ => None,
    }
}

/// The most processors that a run can have.
const MAX_CPUS: u32 = 1024;
const WORD_BITS: u32 = u64::BITS;

/// A set of processors (`cpu_set_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSet([u64; (MAX_CPUS / WORD_BITS) as usize]);

impl CpuSet {
    /// Its size in bytes.
    pub const SIZE: usize = MAX_CPUS as usize / 8;

    /// The size in bytes of the sets that Linux has on a machine with `cpus` processors.
    #[must_use]
    pub fn size_for(cpus: u32) -> usize {
        (cpus.clamp(1, MAX_CPUS).div_ceil(WORD_BITS) * WORD_BITS / 8) as usize
    }

    /// The first `cpus` processors.
    #[must_use]
    pub fn first(cpus: u32) -> CpuSet {
        let mut set = CpuSet::default();
        for cpu in 0..cpus.clamp(1, MAX_CPUS) {
            set.0[(cpu / WORD_BITS) as usize] |= 1 << (cpu % WORD_BITS);
        }
        set
    }

    /// From the bytes that a guest has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; CpuSet::SIZE]) -> CpuSet {
        let mut set = CpuSet::default();
        for (word, bytes) in set.0.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        set
    }

    /// As the bytes that a guest gets.
    #[must_use]
    pub fn to_bytes(self) -> [u8; CpuSet::SIZE] {
        let mut bytes = [0; CpuSet::SIZE];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// What is in both sets.
    #[must_use]
    pub fn and(mut self, other: CpuSet) -> CpuSet {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }

    /// Whether no processor is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == CpuSet::default()
    }

    /// The numbers of its processors, ascending.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..MAX_CPUS).filter(move |cpu| self.0[(cpu / WORD_BITS) as usize] >> (cpu % WORD_BITS) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn sets_keep_their_processors() {
        for cpus in [1, 63, 64, 65, 1024] {
            let set = CpuSet::first(cpus);
            assert_eq!(set.iter().collect::<Vec<_>>(), (0..cpus).collect::<Vec<_>>());
            assert_eq!(CpuSet::from_bytes(&set.to_bytes()), set);
            assert_eq!(set.and(CpuSet::first(2)), CpuSet::first(cpus.min(2)));
        }
        assert_eq!([1, 64, 65, 4096].map(CpuSet::size_for), [8, 8, 16, 128]);
    }

    #[test]
    fn real_time_is_for_the_privileged() {
        let own = Attributes::default();
        assert_eq!(own.with_policy(SCHED_FIFO, 3, false, false), Err(Errno::EPERM));
        assert_eq!(own.with_policy(SCHED_FIFO, 0, false, true), Err(Errno::EINVAL));
        assert_eq!(own.with_policy(SCHED_DEADLINE, 0, false, true), Err(Errno::EINVAL));
        let real_time = own.with_policy(SCHED_FIFO, 3, true, true).expect("root may");
        assert_eq!((real_time.priority, real_time.inherited()), (3, own));
    }
}
