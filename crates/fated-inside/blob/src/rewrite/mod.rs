//! What is changed in the text of guests: call sites, and `cpuid`.

pub mod call_sites;
pub mod cpuid;
pub mod instruction;
pub mod sites;
pub mod text;
