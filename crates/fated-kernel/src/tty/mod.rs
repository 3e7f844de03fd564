//! Terminals, as `drivers/tty` of Linux, and the standard streams of fated.
//!
//! A [`Terminal`](terminal::Terminal) has a session that it controls, a foreground process group and settings. Files may be devices
//! of it: now these are the standard streams ([`stream`]) where fated itself runs on a terminal. [`job_control`] says what a process
//! may do with its terminal and who gets it; [`ioctl`] decodes the requests of ioctl_tty(2).
//!
//! The line discipline is that of the real terminal, which `fated` passes input and output to. One of the kernel's own (`n_tty`) and
//! pseudo-terminals (`pty`), whose slaves are devices of terminals of their own, belong here.
//!
//! When input from outside comes in is decided in [`input`]. A named pipe that an outsider has the other end of is a stream, too
//! ([`outside`]).

pub mod input;
pub mod ioctl;
pub mod job_control;
pub mod outside;
pub mod stream;
pub mod terminal;
pub mod waiting;
