//! `edit`.

use crate::age_file::NoPassphrase;
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::prompt;
use crate::ops::OpError;
use crate::ops::edit::{self, EditChoice, EditContext, EditNote, EditOutcome};
use crate::view::text;

const EDITED: &str = "the edited text";

const QUESTION: &str = "Press Enter to edit your text again, \
or type 'discard' to lose it and keep the manifest as it is: ";

const LAST_QUESTION: &str = "Press Ctrl-C once more to lose your text, \
or Enter to edit it again: ";

pub fn run(context: &Context<'_>) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let env = context.env.for_children();
    let places = context.env.private_places();
    let surroundings = EditContext {
        env: &env,
        places: &places,
        hang_up: env::hang_up(),
        tell: &|note| tell(context, note),
        ask: prompt::can_ask().then_some(ask as fn(bool) -> EditChoice),
    };
    let unlock = context.unlock();
    let edited = edit::edit(&root, &unlock, &context.guards(), &surroundings)?;
    let name = root.manifest_name().display();
    let is_saved = matches!(edited.outcome, EditOutcome::Saved { .. });
    let text = match edited.outcome {
        EditOutcome::Unchanged { may_return_early } => {
            let hint = if may_return_early {
                "If your editor returns at once, add its waiting option, such as --wait.\n"
            } else {
                ""
            };
            context.shell.message(hint);
            format!("no changes: {name} is as it was\n")
        }
        EditOutcome::Saved { revision, warnings } => {
            context.warn(root.manifest_name(), &warnings);
            format!("edited {name}, revision {revision}\n")
        }
    };
    let code = if edited.is_clean {
        exit::DONE
    } else {
        exit::FAILED
    };
    let arrived = context.shell.result(&text);
    if !is_saved {
        return Ok(exit::written(arrived, code));
    }
    context.next_step();
    Ok(context.stands(arrived, code))
}

fn ask(is_last: bool) -> EditChoice {
    let question = if is_last { LAST_QUESTION } else { QUESTION };
    match prompt::type_shown(question) {
        Ok(answer) => match answer.trim() {
            "" | "edit" => EditChoice::Edit,
            "discard" => EditChoice::Discard,
            _ => EditChoice::Unclear,
        },
        Err(NoPassphrase::Interrupted) => EditChoice::Interrupted,
        Err(NoPassphrase::Unclear) => EditChoice::Unclear,
        Err(NoPassphrase::Declined | NoPassphrase::Nobody) => EditChoice::Discard,
    }
}

fn tell(context: &Context<'_>, note: EditNote<'_>) {
    let shell = context.shell;
    match note {
        EditNote::OnDisk(folder) => shell.message(&format!(
            "note: no place in memory can be used; for the time of the edit the plain text is on disk, in {}\n",
            folder.display()
        )),
        EditNote::UnknownEditor(name) => shell.message(&format!(
            "note: backups and histories of {name} cannot be switched off from here; what it writes beside the text is removed\n"
        )),
        EditNote::Invalid(problems) => shell.message(&text::problems(EDITED, problems)),
        EditNote::Unsealed(error) => shell.error(error),
        EditNote::Left(error) => shell.error(error),
    }
}
