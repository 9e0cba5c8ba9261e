//! The `drspass` program: everything happens in the library.

use std::process::ExitCode;

use drspass::cli::{self, Env};

fn main() -> ExitCode {
    cli::hide_panic_messages();
    ExitCode::from(cli::run(std::env::args_os(), &Env::from_process()))
}
