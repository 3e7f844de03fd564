//! The bits of poll(2).
#![expect(missing_docs, reason = "the names are Linux's own")]

pub const IN: u32 = 1;
pub const PRI: u32 = 2;
pub const OUT: u32 = 4;
pub const ERR: u32 = 8;
pub const HUP: u32 = 16;
pub const NVAL: u32 = 32;
pub const RDNORM: u32 = 64;
pub const RDBAND: u32 = 128;
pub const WRNORM: u32 = 256;
pub const WRBAND: u32 = 512;
pub const RDHUP: u32 = 0x2000;
