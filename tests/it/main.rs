//! The built binary against the simulator. One test binary, a module for each
//! kind of promise:
#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

/// What is done to jobs once their passwords are right.
mod aftercare;
/// Identities and envelopes of age, with and without a terminal.
mod age;
/// Per-entry answers of every kind, good and bad.
mod answers;
/// The command line: exit codes, help, streams, approval.
mod branch;
/// What GitHub, GitLab and other pipelines read.
mod ci_outputs;
mod cli;
/// Every error code of the pages, and the shapes of errors.
mod codes;
/// The whole loop, as a command.
mod demo;
/// Broken disks and files.
mod disk;
/// Bytes and values of manifests, through the binary.
mod documents;
/// The manifest in an editor, and what is left of it.
mod edit;
/// What editors, shells and other programs do to files that drspass reads.
mod encodings;
/// Every error keeps its code.
mod error_codes;
/// What stands on disk: fixed samples and round trips.
mod formats;
/// Repositories: diffs, hooks, merges.
mod git;
/// Secrets that were typed or set where a path was to be.
mod given;
/// The example repository and its pipelines.
mod index;

mod infra_repo;
/// A new root folder, and what stops it.
mod init;
/// The jobs of a project, and a manifest made of them.
mod jobs;
/// Planted passwords are where they belong and nowhere else.
mod leak;
/// The commands that show and change the state.
mod ledger;
/// Who may work when.
mod lock;
/// Logins: where they come from, how long they serve, how they are refused.
mod login;
/// Plan, apply, rerun: the loop.
mod looped;
/// Merges of the manifest where git stopped.
mod merge;
/// Output for machines: schemas, streams, and the facts of the text.
mod outputs;
/// Links, pipes and made-up files.
mod planted;
/// What is held back because of the state of a job.
mod preflight;
/// How far a long run is, on terminals and in logs.
mod progress;
/// The tutorial of the README, walked.
mod readme;
/// Recovery files.
mod recover;
/// Who can read the manifest, and a change of that.
mod rekey;
/// States on a branch of a repository, with git itself.
mod remote;
/// Since when passwords are set.
mod rotation;
/// Saved plans: what they hold, and when they are applied.
mod saved;
/// Every scenario that users can rehearse with.
mod scenarios;
/// The schemas of what people write, as editors use them.
mod schemas;
/// What people see on a screen, and what runners of pipelines read in a log.
mod screen;
/// What sealing promises to refuse, before any connection.
mod sealing;
/// Tricks that would have passwords or logins sent to somebody else.
mod second_listener;
/// Completions, man pages and schemas.
mod shipped;
/// SIGKILL at each step of an apply.
mod slow_kill;
/// Random sequences against a model of what the service holds.
mod slow_model;
/// SIGKILL at each step of a rekey.
mod slow_rekey_kill;
/// SIGKILL at each step of an apply of a saved plan.
mod slow_saved_kill;
/// Random sequences around saved plans, with what they may send as judge.
mod slow_saved_model;
/// A very large manifest.
mod slow_scale;
/// The vendor's SDK, as a caller and as a judge.
mod slow_sdk;
/// One bad entry among many, and a service that throttles.
mod splitting;
/// What every place of a state must do.
mod store;
mod support;
/// README, schemas and the rules of the source tree.
mod tidy;
/// Single values of the manifest, set, removed and imported.
mod values;
/// What is no longer sent once a password was refused as wrong.
mod wrong_password;
