//! `show --textconv`, which git runs: whatever comes, it ends well.

use std::path::Path;

use crate::cli::args::Global;
use crate::cli::cmd::written;
use crate::cli::env::Env;
use crate::cli::exit;
use crate::cli::shell::Shell;
use crate::ops::textconv;
use crate::view;

/// Settings that other commands refuse to run with do not matter here, so this takes
/// the options as they were given.
pub(in crate::cli) fn run(global: &Global, env: &Env, shell: Shell, file: &Path) -> u8 {
    let folder = global.directory.clone().unwrap_or_default();
    let identities = env.identities(&global.identity);
    let outlined = textconv::outline(&folder.join(file), &folder, &identities);
    let arrived = match &outlined {
        Ok(outline) => shell.document(view::textconv::outline(outline)),
        Err(why) => shell.document(view::textconv::veiled(*why)),
    };
    written(arrived, exit::DONE)
}
