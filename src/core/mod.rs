//! The domain, pure and synchronous: what is wanted, what is known, what
//! differs, and what an answer means. No input or output, no clock, no
//! randomness, no environment; so nothing here can fail for an outside reason.

pub mod address;
pub mod batch;
pub mod config;
pub mod failure;
pub mod fingerprint;
pub mod index;
pub mod inventory;
pub mod job;
pub mod lineage;
pub mod mac;
pub mod manifest;
pub mod merge;
pub mod outcome;
pub mod place;
pub mod plan;
pub mod problem;
pub mod recipients;
pub mod redact;
pub mod rekey;
pub mod report;
pub mod rotation;
pub mod saved;
pub mod secret;
pub mod state;
pub mod status;
pub mod target;
pub mod yaml;
