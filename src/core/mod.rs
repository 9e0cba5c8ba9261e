//! The domain, pure and synchronous: what is wanted, what is known, what
//! differs, and what an answer means. No input or output, no clock, no
//! randomness, no environment; so nothing here can fail for an outside reason.

pub mod fingerprint;
pub mod job;
pub mod outcome;
pub mod problem;
pub mod redact;
pub mod secret;
