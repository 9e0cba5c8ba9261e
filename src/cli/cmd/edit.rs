//! `edit`: opens the plain text in the user's editor, in a private directory, and encrypts
//! the result as the new manifest.
//!
//! The text is encrypted while the user can still fix it, then the directory is removed,
//! then the manifest is replaced atomically. An unchanged text writes nothing.

use std::io;
use std::path::{Path, PathBuf};

use tokio::runtime::Builder;

use crate::age_file::{AgeError, NoPassphrase};
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::progress;
use crate::cli::prompt;
use crate::cli::proposed::quoted;
use crate::core::failure::{ErrorClass, Failure};
use crate::core::problem::{Severity, counted};
use crate::core::report::Signal;
use crate::core::yaml;
use crate::editor::Editor;
use crate::editor::private::{Medium, Places, Private};
use crate::ops::OpError;
use crate::ops::rewrite::{Rewrite, SealedRewrite};
use crate::ops::root::Root;
use crate::sys::files;
use crate::sys::signals::Signals;

/// More than a manifest may have, so that a text that is too long can be edited again like
/// any other invalid text.
const MAX_TEXT_BYTES: u64 = 2 * yaml::MAX_BYTES as u64;

/// How many texts that could not be saved are kept next to a manifest.
const MAX_KEPT: usize = 100;

const QUESTION: &str = "Press Enter to edit your text again, \
or type 'discard' to drop it: ";

const LAST_QUESTION: &str = "Press Ctrl-C again to drop your text, \
or Enter to edit it again: ";

pub fn run(context: &Context<'_>) -> Result<u8, OpError> {
    let root = context.root_with_warnings()?;
    let places = context.env.private_places();
    let can_ask = prompt::can_ask();
    let editor = Editor::find(&context.children)?;
    let rewrite = Rewrite::open(&root, &context.unlock(), &context.rules(), env::now)?;
    rewrite.try_change(&root)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_prepare)?;
    let edit = Edit {
        context,
        root: &root,
        places: &places,
        editor: &editor,
        rewrite: &rewrite,
        can_ask,
    };
    let (sealed, is_clean) = runtime.block_on(edit.hold())?;
    let code = if is_clean { exit::DONE } else { exit::FAILED };
    let name = root.manifest_name().display();
    let Some(ready) = sealed? else {
        if !editor.is_known() {
            context.shell.message(
                "If your editor returns at once, add its option to wait, such as --wait.\n",
            );
        }
        let text = format!("no changes: {name} is unchanged\n");
        return Ok(exit::written(context.shell.result(&text), code));
    };
    ready.put(&root).map_err(|error| match error {
        // The manifest is already replaced.
        OpError::Unsynced { .. } => error,
        error => keep(&root, &ready, &places, error).into(),
    })?;
    ready.renew_index(&root)?;
    context.warn(root.manifest_name(), &ready.warnings);
    let text = format!("edited {}\n", ready.written(&root));
    drop(ready);
    drop(rewrite);
    let arrived = context.shell.result(&text);
    context.next_step(false);
    Ok(context.changed(arrived, code))
}

struct Edit<'a> {
    context: &'a Context<'a>,
    root: &'a Root,
    places: &'a Places,
    editor: &'a Editor,
    rewrite: &'a Rewrite<'a>,
    can_ask: bool,
}

impl<'a> Edit<'a> {
    /// Keeps the private directory while the user edits. Also returns whether it was removed.
    async fn hold(&self) -> Result<(Result<Option<SealedRewrite<'a>>, OpError>, bool), OpError> {
        let shell = &self.context.shell;
        // No signal ends this process while the directory exists.
        let mut signals = Signals::listen(env::hang_up())
            .and_then(Signals::with_quit)
            .map_err(cannot_prepare)?;
        let name = text_name(self.root.manifest_name());
        let mut private = Private::create(self.places, &name, self.rewrite.plain())?;
        if private.medium == Medium::OnDisk {
            shell.message(&format!(
                "note: no directory in memory is available; during the edit, the plain text is on disk, in {}\n",
                private.folder.display()
            ));
        }
        if !self.editor.is_known() {
            shell.message(&format!(
                "note: drspass cannot switch off backups and histories of {}; files that it writes next to the text are removed\n",
                self.editor.name()
            ));
        }
        let sealed = self.rounds(&private, &mut signals).await;
        let removed = private.remove().map_err(OpError::from);
        if let Err(error) = &removed {
            shell.error(error);
        }
        Ok((sealed, removed.is_ok()))
    }

    async fn rounds(
        &self,
        private: &Private,
        signals: &mut Signals,
    ) -> Result<Option<SealedRewrite<'a>>, OpError> {
        let shell = &self.context.shell;
        let mut line = None;
        loop {
            progress::end();
            let (text, folder) = (&private.text, &private.folder);
            let run = self.editor.run(text, line.take(), folder, signals);
            if let Some(signal) = run.await? {
                return Err(interrupted(signal));
            }
            let text = private.read(MAX_TEXT_BYTES)?;
            if text.as_slice() == self.rewrite.plain() {
                return Ok(None);
            }
            match self.rewrite.check(&text) {
                Err(problems) if self.can_ask => {
                    let errors = problems.iter().filter(|it| it.severity == Severity::Error);
                    line = errors.filter_map(|error| error.at).map(|at| at.line).next();
                    shell.problems("the edited text", &problems);
                }
                Err(problems) => {
                    let what = counted(&problems);
                    let failure = Failure::new(
                        "drspass::edit::invalid",
                        format!("the edited text is invalid: {what}; nothing was saved"),
                        "The manifest is unchanged, and the edited text is gone. On a terminal, 'drspass edit' lets you fix an invalid text.",
                    );
                    return Err(failure.listing(problems).into());
                }
                Ok(()) => {
                    let text = std::str::from_utf8(&text).unwrap_or_default();
                    // A plugin may take long, and its question ends at a signal.
                    let sealed = self.rewrite.seal(self.root, text);
                    if let Some(signal) = signals.arrived().await {
                        return Err(interrupted(signal));
                    }
                    match sealed {
                        Ok(ready) => return Ok(Some(ready)),
                        // Ctrl-C at a question of a plugin does not arrive as a signal.
                        Err(OpError::Age {
                            source: AgeError::Interrupted,
                            ..
                        }) => return Err(interrupted(Signal::Interrupt)),
                        Err(error) if self.can_ask => shell.error(&error),
                        Err(error) => {
                            let failure = Failure::new(
                                "drspass::edit::unsealed",
                                "the edited text cannot be encrypted; nothing was saved",
                                "The manifest is unchanged, and the edited text is gone. Fix the errors above, then edit again.",
                            );
                            return Err(failure.because(error).into());
                        }
                    }
                }
            }
            ask_again(signals).await?;
        }
    }
}

/// Asks whether to edit the text again. Ctrl-C drops it only when it is pressed twice.
async fn ask_again(signals: &mut Signals) -> Result<(), OpError> {
    let mut is_last = false;
    loop {
        let answer = prompt::type_shown(if is_last { LAST_QUESTION } else { QUESTION });
        if let Some(signal) = signals.arrived().await {
            return Err(interrupted(signal));
        }
        match answer.as_ref().map(|answer| answer.trim()) {
            Ok("" | "edit") => return Ok(()),
            Ok("discard") | Err(NoPassphrase::Declined | NoPassphrase::Nobody) => {
                return Err(Failure::new(
                    "drspass::edit::discarded",
                    "the edited text was discarded; nothing was saved",
                    "The manifest is unchanged.",
                )
                .into());
            }
            Err(NoPassphrase::Interrupted) if is_last => {
                return Err(interrupted(Signal::Interrupt));
            }
            answer => is_last = matches!(answer, Err(NoPassphrase::Interrupted)),
        }
    }
}

fn interrupted(signal: Signal) -> OpError {
    let how = match signal {
        Signal::Interrupt => "interrupted",
        Signal::Terminate => "terminated by a signal",
    };
    Failure::new(
        "drspass::edit::interrupted",
        format!("the edit was {how}; nothing was saved"),
        "The manifest is unchanged, and the edited text is gone.",
    )
    .class(ErrorClass::Ended(signal))
    .into()
}

fn cannot_prepare(why: io::Error) -> OpError {
    let message = "cannot prepare for an editor";
    Failure::new("drspass::edit::runtime", message, "Nothing was written.")
        .because(why)
        .into()
}

fn text_name(manifest: &Path) -> String {
    let name = manifest.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".age").unwrap_or(&name);
    let name = name.trim_start_matches('.');
    if name.ends_with(".yaml") || name.ends_with(".yml") {
        name.to_owned()
    } else {
        format!("{name}.yaml")
    }
}

/// Keeps the text, encrypted, next to the manifest, or else in the directory for temporary
/// files.
fn keep(root: &Root, ready: &SealedRewrite<'_>, places: &Places, error: OpError) -> Failure {
    let name = root.manifest_name();
    let base = name.file_name().unwrap_or(name.as_os_str());
    let kept = match ready.for_present_readers(root) {
        Err(error) => Err(error.to_string()),
        Ok(file) => keep_at(root, name, &file)
            .or_else(|_| keep_at(root, &places.temporary.join(base), &file))
            .map_err(|why| why.to_string()),
    };
    let failure = match kept {
        Ok(path) => {
            let (path, shown) = (quoted(&path), path.display());
            Failure::new(
                "drspass::edit::kept",
                "cannot save the edited text as the manifest",
                format!(
                    "The edited text is in {shown}, encrypted. Repeat its changes with 'drspass edit', then remove it. To see it, run: drspass decrypt {path}"
                ),
            )
        }
        Err(why) => Failure::new(
            "drspass::edit::lost",
            format!("cannot save the edited text, nor keep it elsewhere: {why}"),
            "The edited text is gone and is not in the manifest.",
        ),
    };
    failure.because(error)
}

fn keep_at(root: &Root, base: &Path, file: &[u8]) -> io::Result<PathBuf> {
    for number in 1..=MAX_KEPT {
        let path = files::with_suffix(base, &format!(".edited-{number}"));
        match files::write_new(&root.resolve(&path), file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(path),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_sees_the_name_of_a_yaml_file() {
        for (manifest, name) in [
            ("passwords.yaml.age", "passwords.yaml"),
            ("sub/passwords.yml.age", "passwords.yml"),
            ("passwords.age", "passwords.yaml"),
            ("passwords", "passwords.yaml"),
            (".lock", "lock.yaml"),
            (".age", ".yaml"),
        ] {
            assert_eq!(text_name(Path::new(manifest)), name, "{manifest}");
        }
    }
}
