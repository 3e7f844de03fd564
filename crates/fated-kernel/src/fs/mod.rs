//! File systems, and what open files have in common.

pub mod descriptors;
pub mod devtmpfs;
pub mod directory;
pub mod dirent;
pub mod eventpoll;
pub mod fdtable;
pub mod file;
pub mod flock;
pub mod generated;
pub mod host;
pub mod inode;
pub mod locks;
pub mod namei;
pub mod poll;
pub mod proc;
pub mod seq_file;
