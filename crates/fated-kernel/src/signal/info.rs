//! What comes with a signal.

/// A `siginfo_t`: 128 bytes. Signal, errno and code come first; the kind of signal says what the rest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigInfo(pub [u8; 128]);

/// `si_code` of kill(2).
pub const SI_USER: i32 = 0;
/// `si_code` of tkill(2) and tgkill(2).
pub const SI_TKILL: i32 = -6;
/// `si_code` of signals that the kernel sends.
pub const SI_KERNEL: i32 = 128;
/// `si_code` of POSIX timers.
pub const SI_TIMER: i32 = -2;

impl SigInfo {
    /// A signal with this code; all else is 0.
    #[must_use]
    pub fn new(signal: i32, code: i32) -> SigInfo {
        let mut info = SigInfo([0; 128]);
        info.put_i32(0, signal);
        info.put_i32(8, code);
        info
    }

    /// A signal from process `pid` of user `uid`.
    #[must_use]
    pub fn from_process(signal: i32, code: i32, pid: u32, uid: u32) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.put_i32(16, pid as i32);
        info.put_i32(20, uid as i32);
        info
    }

    /// A signal that an instruction raised at `addr`, or by using it.
    #[must_use]
    pub fn fault(signal: i32, code: i32, addr: u64) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.put_u64(16, addr);
        info
    }

    /// `si_signo`.
    #[must_use]
    pub fn signal(&self) -> i32 {
        self.i32_at(0)
    }

    /// `si_code`.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.i32_at(8)
    }

    /// The 32 bits at `offset`, which is at most 124.
    #[must_use]
    pub fn i32_at(&self, offset: usize) -> i32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.0[offset..offset + 4]);
        i32::from_le_bytes(word)
    }

    /// Sets the 32 bits at `offset`.
    pub fn put_i32(&mut self, offset: usize, value: i32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Sets the 64 bits at `offset`.
    pub fn put_u64(&mut self, offset: usize, value: u64) {
        self.0[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }
}
