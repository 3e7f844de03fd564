//! The exec of a program in a directory of the run's own ([`crate::fs::own_tmp`]), for an engine that has the real Linux carry it out.
//!
//! Linux tells the new program the path by which it was started, and where the program's strings stand depends on how long that is. But
//! guests must not see a real path. So Linux gets a path of the same length, over a link that stands for the program; the engine then puts
//! the name in its place. A script whose interpreter is in such a directory is left out: Linux gets the interpreter with all arguments.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::host::borrowed::Borrowed;
use crate::process::exec::plan::{Plan, Request};
use alloc::{vec, vec::Vec};
use linux_raw_sys::general::{
    __NR_chdir, __NR_close, __NR_fchdir, __NR_open, __NR_symlink, __NR_unlink, O_DIRECTORY, O_PATH,
};

/// The letter that the name of the link consists of.
const LINK: u8 = b'i';

/// What stands in for a program. Meanwhile the real process stands in the directory of the link.
#[derive(Debug)]
pub(super) struct StandIn {
    /// A descriptor of the directory that it belongs in.
    home: u64,
    /// The guest's memory below the stack, in the order in which it was borrowed.
    borrowed: Vec<Borrowed>,
}

/// Has the real Linux carry out a call with this path.
fn with_path(cx: &Cx, number: u32, path: &[u8], flags: u32) -> Result<u64, Errno> {
    let memory = Borrowed::new(cx, path)?;
    let result = cx.native(number.into(), [memory.addr, flags.into(), 0, 0, 0, 0]);
    memory.restore(cx);
    result
}

/// The name of the link, and a path of `len` bytes that leads to it.
fn path_of(len: usize) -> (Vec<u8>, Vec<u8>) {
    match len {
        0..3 => (vec![LINK; len], vec![LINK; len]),
        _ => (vec![LINK], [b".", &*vec![b'/'; len - 2], &[LINK]].concat()),
    }
}

impl StandIn {
    /// Prepares the exec of the program that is really at `real`, and makes `request` that of its stand-in.
    pub fn new(cx: &Cx, request: &mut Request, plan: &Plan, real: &[u8]) -> Result<StandIn, Errno> {
        let own = cx.kernel.mounts.own().ok_or(Errno::ENOENT)?;
        let home = with_path(cx, __NR_open, b".", O_PATH | O_DIRECTORY)?;
        let mut stand_in = StandIn { home, borrowed: Vec::new() };
        match stand_in.prepare(cx, request, plan, real, &own.root) {
            Ok(()) => Ok(stand_in),
            Err(error) => {
                stand_in.refused(cx);
                Err(error)
            }
        }
    }

    fn prepare(&mut self, cx: &Cx, request: &mut Request, plan: &Plan, real: &[u8], root: &[u8]) -> Result<(), Errno> {
        let (link, path) = path_of(plan.name.len());
        with_path(cx, __NR_chdir, root, 0)?;
        // That of the last one.
        let _ = with_path(cx, __NR_unlink, &link, 0);
        let [target, name] = [self.borrow(cx, real)?, self.borrow(cx, &link)?];
        cx.native(__NR_symlink.into(), [target, name, 0, 0, 0, 0])?;
        request.path = self.borrow(cx, &path)?;
        request.stands_for_name = true;
        if plan.interpreter_path.is_some() {
            let args = plan.argv.iter().map(|arg| self.borrow(cx, arg));
            let pointers = args.chain([Ok(0)]).collect::<Result<Vec<u64>, Errno>>()?;
            let pointers: Vec<u8> = pointers.into_iter().flat_map(u64::to_le_bytes).collect();
            request.argv = self.borrow(cx, &pointers)?;
        }
        Ok(())
    }

    /// Puts bytes into the guest's memory, below what is borrowed already. Returns where.
    fn borrow(&mut self, cx: &Cx, bytes: &[u8]) -> Result<u64, Errno> {
        let below = self.borrowed.last().map_or_else(|| cx.task.guest.regs().rsp, |memory| memory.addr);
        let memory = Borrowed::below(cx, below, bytes)?;
        let addr = memory.addr;
        self.borrowed.push(memory);
        Ok(addr)
    }

    /// The exec has failed, and the old program goes on.
    pub fn refused(mut self, cx: &Cx) {
        while let Some(memory) = self.borrowed.pop() {
            memory.restore(cx);
        }
        self.started(cx);
    }

    /// The new program is there: its process goes home.
    pub fn started(self, cx: &Cx) {
        // Both fail only if the process is gone.
        for number in [__NR_fchdir, __NR_close] {
            let _ = cx.native(number.into(), [self.home, 0, 0, 0, 0, 0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn the_path_is_as_long_as_the_name() {
        for len in 1..20 {
            let (link, path) = path_of(len);
            assert_eq!(path.len(), len);
            assert_eq!(path.rsplit(|&byte| byte == b'/').next(), Some(&*link));
        }
        assert_eq!(path_of(5).1, b".///i");
    }
}
