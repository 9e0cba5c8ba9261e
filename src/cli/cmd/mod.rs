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

use std::io::{BufRead as _, Read as _};

use age::secrecy::SecretString;
use zeroize::Zeroizing;

use super::conversation;
use super::env::{self, Typed};
use super::exit;
use super::run::Context;
use crate::age_file::{NoPassphrase, Plugins};
use crate::core::problem::Problem;
use crate::ops::OpError;
use crate::ops::root::Unlock;
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
    match env::type_hidden(&format!("Passphrase for {origin}: ")) {
        Typed::Text(mut text) => Ok(SecretString::from(std::mem::take(&mut *text))),
        Typed::Interrupted => Err(NoPassphrase::Interrupted),
        Typed::Nothing => Err(NoPassphrase::Nobody),
    }
}

/// The only word that approves.
const YES: &str = "yes";

/// Asks on the terminal, and takes only `yes` in full.
/// Fails if anything else, or nothing, is answered.
pub(super) fn ask(context: &Context<'_>, question: &str) -> Result<(), OpError> {
    if !env::can_ask() {
        return Err(OpError::NotApproved {
            why: "there is no terminal to ask on",
            help: "Nothing was changed. Approval that was given elsewhere is passed on with --yes.",
        });
    }
    context
        .shell
        .message(&format!("{question} Only 'yes' in full is taken: "));
    let mut answer = String::new();
    // An error reads like an end of input, which is no approval.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if answer.trim_end_matches(['\r', '\n']) == YES {
        Ok(())
    } else {
        Err(OpError::NotApproved {
            why: "it was declined",
            help: "Nothing was sent or changed.",
        })
    }
}

/// All of standard input; of more than `limit` bytes one too many, which whoever takes
/// them refuses.
/// Fails if it cannot be read.
pub(super) fn standard_input(limit: usize) -> Result<Zeroizing<Vec<u8>>, OpError> {
    let mut bytes = Zeroizing::new(Vec::new());
    std::io::stdin()
        .lock()
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| OpError::Read {
            path: "standard input".into(),
            source,
        })?;
    Ok(bytes)
}

/// Shows warnings beside the result.
pub(super) fn warn(context: &Context<'_>, document: &std::path::Path, problems: &[Problem]) {
    if !problems.is_empty() {
        let document = document.display().to_string();
        context
            .shell
            .message(&terminal::problems(&document, problems));
    }
}

/// The code after the result was written.
pub(super) const fn written(arrived: bool, code: u8) -> u8 {
    if arrived { code } else { exit::FAILED }
}

/// Refuses options that do not go together for what they say; the parser has refused
/// those that never do.
pub(super) fn conflict(context: &Context<'_>, what: &str) -> u8 {
    let text = format!("error: options do not go together: {what}\n");
    context.shell.message(&text);
    exit::USAGE
}
