//! The built binary against the simulator. One test binary, a module for each
//! kind of promise:
#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

/// Per-entry answers of every kind, good and bad.
mod answers;
/// The command line: exit codes, help, streams, approval.
mod cli;
/// Every error code of the pages, and the shapes of errors.
mod codes;
/// Broken disks and files.
mod disk;
/// Bytes and values of manifests, through the binary.
mod documents;
/// What stands on disk: fixed samples and round trips.
mod formats;
/// Planted passwords are where they belong and nowhere else.
mod leak;
/// The commands that show and change the state.
mod ledger;
/// Who may work when.
mod lock;
/// Plan, apply, rerun: the loop.
mod looped;
/// Output for machines: schemas, streams, and the facts of the text.
mod outputs;
/// Links, pipes and made-up files.
mod planted;
/// The tutorial of the README, walked.
mod readme;
/// Recovery files.
mod recover;
/// What sealing promises to refuse, before any connection.
mod sealing;
/// SIGKILL at each step of an apply.
mod slow_kill;
/// Random sequences against a model of what the service holds.
mod slow_model;
/// A very large manifest.
mod slow_scale;
/// One bad entry among many, and a service that throttles.
mod splitting;
/// The vendor's SDK, as a caller and as a judge.
mod slow_sdk;
/// What every place of a state must do.
mod store;
mod support;
/// README, schemas and the rules of the source tree.
mod tidy;
