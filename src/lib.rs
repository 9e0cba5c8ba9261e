//! drspass updates the database passwords that Data Replication Service jobs keep: an
//! age-encrypted manifest says which are wanted, `plan` compares it with a local state of
//! keyed fingerprints, `apply` sends what differs and records what became of each entry.
//!
//! - [`core`]: the domain, pure: `manifest`, `state`, `plan`, `outcome`.
//! - [`ops`]: one module for each use case, over [`store`], [`api`], [`age_file`],
//!   [`editor`] and [`authoring`] (changes of the manifest's text).
//! - [`view`]: reports as text. [`cli`]: arguments, environment, exit codes.
//! - `sys`: files, programs, signals. `sim`: the simulated service.
//!
//! ARCHITECTURE.md has the map, the invariants and the flows. The library exists for the
//! program, its tests and its benchmark; its API promises nothing.

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
