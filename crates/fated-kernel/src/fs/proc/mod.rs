//! proc(5) and sysfs(5).

pub mod maps;
pub mod pid;
pub mod system;
pub mod zombie;
