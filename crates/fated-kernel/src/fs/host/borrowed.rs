//! Memory of a guest that the kernel uses for a moment.

use crate::cx::Cx;
use crate::errno::Errno;
use alloc::vec::Vec;

/// Memory of the guest that is borrowed for an argument of a call; given back as it was.
#[derive(Debug)]
pub struct Borrowed {
    /// Where the path stands.
    pub addr: u64,
    saved: Vec<u8>,
}

impl Borrowed {
    /// Puts bytes, and a NUL behind them, below the stack of the calling task, where nothing of the program's own is in use. Another thread may
    /// have data there, but none runs until it is given back.
    pub fn new(cx: &Cx, path: &[u8]) -> Result<Borrowed, Errno> {
        Borrowed::below(cx, cx.task.guest.regs().rsp, path)
    }

    /// The same below another address.
    pub fn below(cx: &Cx, from: u64, path: &[u8]) -> Result<Borrowed, Errno> {
        /// What a function may use below its stack pointer (x86-64 psABI).
        const RED_ZONE: u64 = 128;
        let text = [path, b"\0"].concat();
        let addr = from.wrapping_sub(RED_ZONE).wrapping_sub(text.len() as u64) & !15;
        let saved = cx.read_vec(addr, text.len()).map_err(|_| Errno::ENOMEM)?;
        cx.write(addr, &text).map_err(|_| Errno::ENOMEM)?;
        Ok(Borrowed { addr, saved })
    }

    /// Gives the memory back.
    pub fn restore(self, cx: &Cx) {
        // It was writable a moment ago.
        let _ = cx.write(self.addr, &self.saved);
    }
}
