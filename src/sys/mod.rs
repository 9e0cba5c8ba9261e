//! The operating system: files, programs, signals.

pub mod children;
pub mod files;
pub mod git;
pub mod lease;
pub mod signals;
pub mod testpoint;
pub mod wiped;
