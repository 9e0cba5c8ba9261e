//! One function for each command: arguments to a use case, its report to a
//! view, and the exit code.

pub(super) mod apply;
pub(super) mod edit;
pub(super) mod init;
pub(super) mod ledger;
pub(super) mod manifest;
pub(super) mod plan;
pub(super) mod recipients;
pub(super) mod service;
pub(super) mod shipped;
#[cfg(feature = "sim")]
pub(super) mod sim;
pub(super) mod textconv;
pub(super) mod values;

use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use super::context::Context;
use super::conversation;
use super::env::{self, Typed};
use super::exit;
use crate::age_file::{NoPassphrase, Plugins};
use crate::core::problem::Problem;
use crate::ops::OpError;
use crate::ops::root::{Root, Unlock};
use crate::sys::signals::Signals;
use crate::sys::wiped;
use crate::view::terminal;

/// How a command opens the manifest.
pub(super) fn unlock<'a>(context: &'a Context<'_>) -> Unlock<'a> {
    Unlock {
        source: &context.identities,
        ask: &ask_passphrase,
        plugins: plugins(context),
    }
}

/// How a command starts the plugins of identities and recipients.
pub(super) const fn plugins<'a>(context: &'a Context<'_>) -> Plugins<'a> {
    Plugins::Allowed {
        env: &context.children,
        talk: &conversation::TALK,
    }
}

/// Asks for the passphrase of an identity without showing it. It is read from
/// the terminal itself, so data on standard input is never taken for it.
fn ask_passphrase(origin: &str) -> Result<SecretString, NoPassphrase> {
    env::type_hidden(&format!("Passphrase for {origin}: ")).passphrase()
}

/// The only word that approves.
const YES: &str = "yes";

/// Asks on the terminal, and takes only `yes` in full. Ctrl-C is answered with what is
/// `untouched`.
/// Fails if anything else, or nothing, is answered.
pub(super) fn ask(question: &str, untouched: &'static str) -> Result<(), OpError> {
    if !env::can_ask() {
        return Err(OpError::NotApproved {
            why: "there is no terminal to ask on",
            help: "Nothing was sent or changed. Approval that was given elsewhere is passed on with \
                   --auto-approve (apply) or --yes.",
        });
    }
    confirm(question, untouched)
}

/// As [`ask`], also where the standard streams are no terminal.
pub(super) fn confirm(question: &str, untouched: &'static str) -> Result<(), OpError> {
    match env::type_shown(&format!("{question} Type 'yes' to continue: ")) {
        Typed::Text(answer) if *answer == YES => Ok(()),
        Typed::Interrupted => Err(OpError::Cancelled(untouched)),
        _ => Err(OpError::NotApproved {
            why: "it was declined",
            help: "Nothing was sent or changed.",
        }),
    }
}

/// Lets a signal end the process from now on, for the end of a run that listened to
/// signals: they have lost their usual effect by then, and whoever does not read its
/// output would keep it for ever. Files are written by then. `code` is what the run came
/// to.
pub(in crate::cli) fn end_on_signal(code: u8) {
    let hang_up = env::hang_up();
    let wait = move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let signal = runtime.and_then(|runtime| {
            runtime.block_on(async { Ok(Signals::listen(hang_up)?.next().await) })
        });
        if let Ok(signal) = signal {
            #[expect(
                clippy::exit,
                clippy::disallowed_methods,
                reason = "the main thread waits for somebody to read what it writes"
            )]
            std::process::exit(exit::when_over(code, signal).into());
        }
    };
    // Without a thread, it waits as before.
    let _ = std::thread::Builder::new().spawn(wait);
}

/// The word that stands for standard input where a file is named.
const STANDARD_INPUT: &str = "-";

/// Whether a path names standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// The content of a file that the user named, as seen from the root folder, or all of
/// standard input; with the name that messages give it.
/// Fails if it cannot be read, or is longer than `limit` bytes.
pub(super) fn read_named(
    root: &Root,
    path: &Path,
    limit: usize,
) -> Result<(PathBuf, Zeroizing<Vec<u8>>), OpError> {
    if !is_standard_input(path) {
        return Ok((path.to_owned(), root.read_named(path, limit)?));
    }
    let name = PathBuf::from("standard input");
    match wiped::read(std::io::stdin().lock(), limit as u64) {
        Ok(bytes) => Ok((name, bytes)),
        Err(source) => Err(OpError::Read { path: name, source }),
    }
}

/// Shows warnings beside the result.
pub(super) fn warn(context: &Context<'_>, document: &Path, problems: &[Problem]) {
    if !problems.is_empty() {
        let document = document.display().to_string();
        context
            .shell
            .message(&terminal::problems(&document, problems));
    }
}

/// Says what comes after a change of the manifest.
pub(super) fn next_step(context: &Context<'_>) {
    let told = "Next: 'drspass plan' shows what an apply would send.\n";
    context.shell.message(told);
}

/// The code after the result was written.
pub(super) const fn written(arrived: bool, code: u8) -> u8 {
    if arrived { code } else { exit::FAILED }
}

/// The code after the result of a change was written. Where it could not be, nobody
/// shall take the change for undone.
pub(super) fn stands(context: &Context<'_>, arrived: bool, code: u8) -> u8 {
    if !arrived {
        let told = "Only the output is lost: what was done stands.\n";
        context.shell.message(told);
    }
    written(arrived, code)
}

/// Refuses options that do not go together for what they say; the parser has refused
/// those that never do.
pub(super) fn conflict(context: &Context<'_>, what: &str) -> u8 {
    let text = format!("error: options do not go together: {what}\n");
    context.shell.message(&text);
    exit::USAGE
}
