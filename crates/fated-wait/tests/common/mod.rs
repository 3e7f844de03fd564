//! Life stories: what the property test, the fuzz target and the differential test have in common.
#![allow(dead_code, reason = "each user takes its part")]

pub mod rng;
pub mod story;
pub mod twins;
pub mod world;
