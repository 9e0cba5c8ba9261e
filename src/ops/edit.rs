//! `edit`: the plain text in a private folder, the user's editor on it, and the
//! outcome sealed in place of the manifest.
//!
//! The text is sealed while the user can still mend it; then the folder goes, and only
//! after that the manifest is replaced: it is the old one or the new one, whole. Nothing
//! that was not changed is written.

use std::io;
use std::path::{Path, PathBuf};

use tokio::runtime::Builder;

use super::OpError;
use super::error::{ErrorClass, Failure, ProblemReport, counted};
use super::rewrite::{Rewrite, SealedRewrite};
use super::root::{Guards, Root, Unlock};
use crate::age_file::AgeError;
use crate::core::problem::Problem;
use crate::core::report::Signal;
use crate::core::yaml;
use crate::editor::Editor;
use crate::editor::private::{Medium, Places, Private};
use crate::sys::children::ChildEnv;
use crate::sys::files;
use crate::sys::signals::{HangUp, Signals};

/// The most text that is read back. More than a manifest may have, so that too long a
/// text is a mistake like others, and can be edited again.
const MAX_TEXT_BYTES: u64 = 2 * yaml::MAX_BYTES as u64;

/// How many texts that could not be saved may lie beside a manifest.
const MAX_KEPT: usize = 100;

pub struct EditContext<'a> {
    pub env: &'a ChildEnv,
    pub places: &'a Places,
    pub hang_up: HangUp,
    pub tell: &'a dyn Fn(EditNote<'_>),
    /// Asks what becomes of a text that cannot be saved; told whether Ctrl-C would lose it
    /// now. There is none where nobody can be asked.
    pub ask: Option<fn(bool) -> EditChoice>,
}

pub enum EditNote<'a> {
    /// The plain text is on a disk, below this folder, for the time of the edit.
    OnDisk(&'a Path),
    UnknownEditor(&'a str),
    Invalid(&'a [Problem]),
    Unsealed(&'a OpError),
    Left(&'a Failure),
}

/// What becomes of a text that cannot be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditChoice {
    Edit,
    Discard,
    Interrupted,
    Unclear,
}

pub enum EditOutcome {
    Unchanged {
        /// Whether the editor is of a kind that may return before it is done.
        may_return_early: bool,
    },
    Saved {
        revision: u64,
        warnings: Vec<Problem>,
    },
}

pub struct Edited {
    pub outcome: EditOutcome,
    pub is_clean: bool,
}

/// Lets the user edit the manifest.
/// Where it fails, the manifest is as it was; if somebody else changed that meanwhile, the
/// new text is kept, encrypted.
pub fn edit(
    root: &Root,
    unlock: &Unlock<'_>,
    guards: &Guards,
    context: &EditContext<'_>,
) -> Result<Edited, OpError> {
    let editor = Editor::find(context.env)?;
    let rewrite = Rewrite::open(root, unlock, guards)?;
    rewrite.try_change(root)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_prepare)?;
    let rounds = EditRounds {
        root,
        editor: &editor,
        rewrite: &rewrite,
        context,
    };
    let (sealed, is_clean) = runtime.block_on(rounds.hold())?;
    let outcome = match sealed? {
        None => EditOutcome::Unchanged {
            may_return_early: !editor.is_known(),
        },
        Some(ready) => save(root, ready, context.places)?,
    };
    Ok(Edited { outcome, is_clean })
}

struct EditRounds<'a> {
    root: &'a Root,
    editor: &'a Editor,
    rewrite: &'a Rewrite<'a>,
    context: &'a EditContext<'a>,
}

impl<'a> EditRounds<'a> {
    /// Holds the private folder while the user edits. Returns whether it is gone as well.
    async fn hold(&self) -> Result<(Result<Option<SealedRewrite<'a>>, OpError>, bool), OpError> {
        let context = self.context;
        // From before there is a folder until it is gone, no signal ends this process.
        let mut signals = Signals::listen(context.hang_up)
            .and_then(Signals::with_quit)
            .map_err(cannot_prepare)?;
        let name = text_name(self.root.manifest_name());
        let plain = self.rewrite.plain();
        let mut private = Private::create(context.places, &name, plain)?;
        if private.medium == Medium::OnDisk {
            (context.tell)(EditNote::OnDisk(private.folder()));
        }
        if !self.editor.is_known() {
            (context.tell)(EditNote::UnknownEditor(&self.editor.name()));
        }
        let sealed = self.rounds(&private, &mut signals).await;
        let removed = private.remove();
        if let Err(error) = &removed {
            (context.tell)(EditNote::Left(error));
        }
        Ok((sealed, removed.is_ok()))
    }

    async fn rounds(
        &self,
        private: &Private,
        signals: &mut Signals,
    ) -> Result<Option<SealedRewrite<'a>>, OpError> {
        loop {
            let run = self
                .editor
                .run(private.text_path(), private.folder(), signals);
            if let Some(signal) = run.await? {
                return Err(interrupted(signal).into());
            }
            let text = private.read(MAX_TEXT_BYTES)?;
            if text.as_slice() == self.rewrite.plain() {
                return Ok(None);
            }
            match (self.attempt(&text, signals).await?, self.context.ask) {
                (SealAttempt::Sealed(ready), _) => return Ok(Some(ready)),
                (SealAttempt::Invalid(problems), Some(ask)) => {
                    (self.context.tell)(EditNote::Invalid(&problems));
                    ask_again(ask, signals).await?;
                }
                (SealAttempt::Unsealed(error), Some(ask)) => {
                    (self.context.tell)(EditNote::Unsealed(&error));
                    ask_again(ask, signals).await?;
                }
                (SealAttempt::Invalid(problems), None) => {
                    let problems: Vec<_> = problems.into_iter().map(ProblemReport).collect();
                    let count = counted(&problems);
                    let message =
                        format!("the edited text is not usable: {count}; nothing was saved");
                    let help = "The manifest is as it was, and the edited text is gone. On a terminal, 'drspass edit' lets you edit your text again.";
                    let failure = Failure::new("drspass::edit::invalid", message, help);
                    return Err(failure.listing(problems).into());
                }
                (SealAttempt::Unsealed(error), None) => {
                    let message = "the edited text cannot be encrypted; nothing was saved";
                    let help = "The manifest is as it was, and the edited text is gone. Mend what is named as the cause, then edit it again.";
                    let failure = Failure::new("drspass::edit::unsealed", message, help);
                    return Err(failure.because(*error).into());
                }
            }
        }
    }

    /// Sealing may take as long as a plugin does, and a plugin's question is given up for a
    /// signal.
    async fn attempt(
        &self,
        text: &[u8],
        signals: &mut Signals,
    ) -> Result<SealAttempt<'a>, Failure> {
        if let Err(problems) = self.rewrite.check(text) {
            return Ok(SealAttempt::Invalid(problems));
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        let sealed = self.rewrite.seal(self.root, text);
        match signals.arrived().await {
            Some(signal) => Err(interrupted(signal)),
            None => match sealed {
                Ok(ready) => Ok(SealAttempt::Sealed(ready)),
                // Ctrl-C at a question of a plugin is no signal any more.
                Err(OpError::Age {
                    source: AgeError::Interrupted,
                    ..
                }) => Err(interrupted(Signal::Interrupt)),
                Err(error) => Ok(SealAttempt::Unsealed(Box::new(error))),
            },
        }
    }
}

/// Asks until the user wants to edit the text again. Ctrl-C loses it only when it is
/// pressed twice.
async fn ask_again(ask: fn(bool) -> EditChoice, signals: &mut Signals) -> Result<(), Failure> {
    let mut is_last = false;
    loop {
        let answer = ask(is_last);
        if let Some(signal) = signals.arrived().await {
            return Err(interrupted(signal));
        }
        match answer {
            EditChoice::Edit => return Ok(()),
            EditChoice::Discard => {
                let message = "the edited text was discarded; nothing was saved";
                let help = "The manifest is as it was.";
                return Err(Failure::new("drspass::edit::discarded", message, help));
            }
            EditChoice::Interrupted if is_last => {
                return Err(interrupted(Signal::Interrupt));
            }
            answer => is_last = answer == EditChoice::Interrupted,
        }
    }
}

enum SealAttempt<'a> {
    Sealed(SealedRewrite<'a>),
    Invalid(Vec<Problem>),
    Unsealed(Box<OpError>),
}

/// The name that the text has for the editor: the manifest's, as YAML.
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

fn save(root: &Root, ready: SealedRewrite<'_>, places: &Places) -> Result<EditOutcome, OpError> {
    match ready.put(root) {
        Ok(()) => Ok(EditOutcome::Saved {
            revision: ready.revision,
            warnings: ready.warnings,
        }),
        // It is in its place.
        Err(error @ OpError::Unsynced { .. }) => Err(error),
        Err(error) => Err(keep(root, &ready, places, error).into()),
    }
}

/// Keeps the text, encrypted, beside the manifest, or else in the folder for temporary
/// files.
fn keep(root: &Root, ready: &SealedRewrite<'_>, places: &Places, error: OpError) -> Failure {
    let name = root.manifest_name();
    let base = name.file_name().unwrap_or(name.as_os_str());
    let why = match ready.for_present_readers(root) {
        Err(error) => error.to_string(),
        Ok(file) => {
            let kept = keep_at(root, name, &file)
                .or_else(|_| keep_at(root, &places.temporary.join(base), &file));
            match kept {
                Ok(path) => return kept_in(&path).because(error),
                Err(why) => why.to_string(),
            }
        }
    };
    Failure::new(
        "drspass::edit::lost",
        format!("the edited text could not be saved, and could not be kept: {why}"),
        "The edited text is gone, and the manifest has nothing of it.",
    )
    .because(error)
}

fn kept_in(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        "drspass::edit::kept",
        "the edited text could not be saved as the manifest",
        format!(
            "The edited text is in {path}, encrypted. See it with 'drspass decrypt {path}', bring its changes into the manifest with 'drspass edit', and remove it."
        ),
    )
}

fn interrupted(signal: Signal) -> Failure {
    let how = match signal {
        Signal::Interrupt => "interrupted",
        Signal::Terminate => "told to end",
    };
    Failure::new(
        "drspass::edit::interrupted",
        format!("the edit was {how}; nothing was saved"),
        "The manifest is as it was, and the edited text is gone.",
    )
    .class(ErrorClass::Ended(signal))
}

fn cannot_prepare(why: io::Error) -> Failure {
    let message = "cannot prepare to run an editor";
    Failure::new("drspass::edit::runtime", message, "Nothing was written.").because(why)
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
