//! Resource usage: the counters of `getrusage(2)`, and their encoding.

/// Counters of one thread, of a process, or of the reaped children of one. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User time, ns.
    pub utime_ns: u64,
    /// System time, ns.
    pub stime_ns: u64,
    /// Largest resident set, KiB; a maximum, not a sum.
    pub maxrss_kib: u64,
    /// Page faults without I/O.
    pub minflt: u64,
    /// Page faults with I/O.
    pub majflt: u64,
    /// Blocks read.
    pub inblock: u64,
    /// Blocks written.
    pub oublock: u64,
    /// Voluntary context switches.
    pub nvcsw: u64,
    /// Involuntary context switches.
    pub nivcsw: u64,
}

/// Nanoseconds per tick of `si_utime` and `si_stime` (`USER_HZ` is 100).
const TICK_NS: u64 = 10_000_000;

impl Usage {
    /// Adds `other`; of the resident sets it takes the larger.
    pub fn add(&mut self, other: &Self) {
        let sum = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        sum(&mut self.utime_ns, other.utime_ns);
        sum(&mut self.stime_ns, other.stime_ns);
        self.maxrss_kib = self.maxrss_kib.max(other.maxrss_kib);
        sum(&mut self.minflt, other.minflt);
        sum(&mut self.majflt, other.majflt);
        sum(&mut self.inblock, other.inblock);
        sum(&mut self.oublock, other.oublock);
        sum(&mut self.nvcsw, other.nvcsw);
        sum(&mut self.nivcsw, other.nivcsw);
    }

    /// User and system time in clock ticks, as siginfo has them.
    #[must_use]
    pub fn ticks(&self) -> (i64, i64) {
        ((self.utime_ns / TICK_NS) as i64, (self.stime_ns / TICK_NS) as i64)
    }

    /// `struct rusage` as x86-64 lays it out.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 144] {
        const NS: u64 = 1_000_000_000;
        let words = [
            self.utime_ns / NS,
            self.utime_ns % NS / 1000,
            self.stime_ns / NS,
            self.stime_ns % NS / 1000,
            self.maxrss_kib,
            0, // ixrss, idrss, isrss: Linux keeps none of them
            0,
            0,
            self.minflt,
            self.majflt,
            0, // nswap
            self.inblock,
            self.oublock,
            0, // msgsnd, msgrcv, nsignals
            0,
            0,
            self.nvcsw,
            self.nivcsw,
        ];
        let mut bytes = [0; 144];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}
