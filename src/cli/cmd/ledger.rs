//! `state list` and `lock show`.

use super::written;
use crate::cli::exit;
use crate::cli::run::Context;
use crate::ops::OpError;
use crate::ops::ledger;
use crate::store::LockStatus;
use crate::view::terminal;

pub(in crate::cli) fn list(context: &Context<'_>) -> Result<u8, OpError> {
    let root = context.root()?;
    let claimed = ledger::list(&root)?;
    let text = terminal::state_list(claimed.state.as_ref(), claimed.has_journal);
    Ok(written(context.shell.result(&text), exit::DONE))
}

pub(in crate::cli) fn lock(context: &Context<'_>) -> Result<u8, OpError> {
    let root = context.root()?;
    let text = match ledger::lock(&root)? {
        LockStatus::Free => "The lock is free.\n".to_owned(),
        LockStatus::Held(Some(holder)) => {
            format!("The lock is held by {holder} (not authenticated).\n")
        }
        LockStatus::Held(None) => "The lock is held by somebody unknown.\n".to_owned(),
    };
    Ok(written(context.shell.result(&text), exit::DONE))
}
