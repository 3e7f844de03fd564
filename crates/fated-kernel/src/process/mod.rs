//! Processes and their tasks: birth, exec, end, and what they have.
//!
//! State: [`task`], [`thread_group`], [`credentials`], [`limits`], [`settings`]. Deeds: [`fork`], [`exec`], [`exit`], [`wait`],
//! [`session`], [`nice`], [`usage`]. [`family`] is the kernel's use of fated-wait, which owns all relations between processes.

pub mod capabilities;
pub mod credentials;
pub mod exec;
pub mod exit;
pub mod family;
pub mod fork;
pub mod limits;
pub mod nice;
pub mod pidfd;
pub mod session;
pub mod settings;
pub mod task;
pub mod thread_group;
pub mod usage;
pub mod wait;
pub mod zombies;
