//! drspass tells Data Replication Service jobs the rotated passwords of their
//! databases: wanted passwords stand in an age-encrypted manifest, `plan`
//! compares it with a local state of keyed fingerprints, `apply` sends what
//! differs and records what became of each entry.
//!
//! This library exists for the program, its tests and its benchmark; its API
//! promises nothing. The map of the modules, in reading order:
//!
//! - [`core`]: the domain, pure. Start with `core::manifest`, `core::state`,
//!   `core::plan` and `core::outcome`.
//! - [`ops`]: one module for each thing that drspass does.
//! - [`authoring`]: changes of the manifest's text that keep its comments.
//! - [`store`], [`age_file`], [`api`], [`editor`]: state and plans, the envelope, the
//!   service, the user's editor.
//! - `sys`: files, programs and signals of the operating system.
//! - [`view`]: reports as text.
//! - [`cli`]: arguments, environment, exit codes.
//! - `sim`: the simulated service, for tests and rehearsals.
//!
//! The invariants are listed in ARCHITECTURE.md, and each is a test.

pub mod core;

pub mod ops;

pub mod age_file;
pub mod api;
pub mod authoring;
pub mod editor;
pub mod store;

pub mod view;

pub mod cli;

#[cfg(feature = "sim")]
pub mod sim;

mod sys;
