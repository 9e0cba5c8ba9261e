//! drspass

pub mod core;
