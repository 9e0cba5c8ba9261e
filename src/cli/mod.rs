//! The command line: it reads arguments and surroundings, calls one use case,
//! shows its report, and chooses the exit code. Rules of the domain live elsewhere.

pub mod args;
mod cmd;
mod context;
mod conversation;
pub mod env;
pub mod exit;
mod given;
pub mod login;
mod outputs;
mod panic;
mod prompt;
mod render;
mod run;
mod shell;
mod usage;

pub use env::Env;
pub use panic::hide_panic_messages;
pub use run::run;
