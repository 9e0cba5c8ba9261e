//! Files that a run writes for its pipeline.
//!
//! All are opened before anything is sent, and those of an earlier run are removed then, so
//! that they cannot pass for the result of this one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::env;
use super::exit;
use super::shell::{self, Shell};
use crate::core::report::{ApplyReport, PlanReport};
use crate::ops::OpError;
use crate::ops::root::{self, OwnPaths, Root};
use crate::sys::files;
use crate::view::{ci, markdown};

/// GitHub's limit for a step summary.
const MAX_SUMMARY_BYTES: u64 = 1 << 20;

#[derive(Clone, Copy)]
pub struct OutputOptions<'a> {
    pub command: &'static str,
    pub json: bool,
    /// `-` means standard output.
    pub markdown: Option<&'a Path>,
    pub github: bool,
    pub gitlab: Option<&'a Path>,
    /// Only checked here.
    pub out: Option<&'a Path>,
}

pub struct Outputs {
    command: &'static str,
    pub json: bool,
    pub shell: Shell,
    /// The root directory, for headings in Markdown.
    pub place: String,
    pub prints_markdown: bool,
    markdown: Option<PathBuf>,
    github: Option<GitHub>,
    gitlab: Option<PathBuf>,
}

struct GitHub {
    outputs: Sink,
    summary: Sink,
}

struct Sink {
    path: PathBuf,
    file: File,
}

impl Outputs {
    /// Opens all files. `root` is `None` if its configuration is invalid.
    pub fn open(
        context: &Context<'_>,
        root: Option<&Root>,
        wanted: OutputOptions<'_>,
    ) -> Result<Self, OpError> {
        Self::try_open(context, root, wanted).inspect_err(|error| {
            if wanted.github {
                let error = shell::error_out(error);
                let annotation = ci::github_error(wanted.command, &error, &[]);
                context.shell.document(&annotation);
            }
        })
    }

    fn try_open(
        context: &Context<'_>,
        root: Option<&Root>,
        wanted: OutputOptions<'_>,
    ) -> Result<Self, OpError> {
        let prints_markdown = wanted.markdown == Some(Path::new("-"));
        let markdown = wanted.markdown.filter(|_| !prints_markdown);
        let own = root.map_or_else(
            || OwnPaths::usual(&context.folder, context.state.as_ref()),
            OwnPaths::of,
        );
        // All are checked before the first is touched.
        let all = [markdown, wanted.gitlab, wanted.out];
        let all: Vec<&Path> = all.into_iter().flatten().collect();
        own.check_outputs(&all)?;
        let place = |path: Option<&Path>, start: &str| {
            let path = path.map(|path| context.folder.join(path));
            if let Some(path) = &path {
                files::remove_public(path, start).map_err(OpError::write(path))?;
            }
            Ok::<_, OpError>(path)
        };
        Ok(Self {
            command: wanted.command,
            json: wanted.json,
            shell: context.shell.clone(),
            place: root::place(&context.folder).to_string_lossy().into_owned(),
            prints_markdown,
            markdown: place(markdown, markdown::MARKER)?,
            gitlab: place(wanted.gitlab, ci::GITLAB_START)?,
            github: wanted.github.then(|| GitHub::open(context)).transpose()?,
        })
    }

    pub const fn has_github(&self) -> bool {
        self.github.is_some()
    }

    pub fn planned(&self, report: &PlanReport) -> Result<(), OpError> {
        if let Some(path) = &self.gitlab {
            replace(path, &ci::gitlab_report(report), ci::GITLAB_START)?;
        }
        let page = || markdown::plan(&self.place, report);
        self.write(page, &ci::plan_outputs(report))
    }

    pub fn applied(
        &self,
        plan: &PlanReport,
        report: &ApplyReport,
        code: u8,
    ) -> Result<(), OpError> {
        let page = || markdown::apply(&self.place, plan, report);
        self.write(page, &ci::apply_outputs(plan, report, code))
    }

    /// Reports a run that failed before it sent anything.
    pub fn failed(&self, error: &OpError, code: u8) {
        let details = shell::details(error);
        let error = shell::error_out(error);
        let page = markdown::failed(self.command, &self.place, &error, &details);
        let outputs: &[_] = match self.command {
            "apply" => &[("exit_code", code.to_string())],
            _ => &[],
        };
        let written = self.write(|| page.clone(), outputs);
        exit::end_on_signal(code);
        if self.prints_markdown {
            self.shell.document(&page);
        }
        if self.has_github() {
            let annotation = ci::github_error(self.command, &error, &details);
            self.shell.document(&annotation);
        }
        if let Err(error) = written {
            self.shell.error(&error);
        }
    }

    fn write(
        &self,
        page: impl FnOnce() -> String,
        outputs: &[(&'static str, String)],
    ) -> Result<(), OpError> {
        if self.markdown.is_none() && self.github.is_none() {
            return Ok(());
        }
        let page = page();
        if let Some(path) = &self.markdown {
            replace(path, &page, markdown::MARKER)?;
        }
        let Some(github) = &self.github else {
            return Ok(());
        };
        github
            .outputs
            .append(&ci::github_outputs(outputs, &random_word()))?;
        if github.summary.len() + page.len() as u64 >= MAX_SUMMARY_BYTES {
            self.shell
                .message("note: the step summary is full; drspass did not add to it\n");
            return Ok(());
        }
        github.summary.append(&page)
    }
}

impl GitHub {
    fn open(context: &Context<'_>) -> Result<Self, OpError> {
        let open = |name: &str| {
            let path = context.env.path_var(name).ok_or_else(|| OpError::unfit(
                format!("--github needs {name}, which is not set"),
                "Nothing was sent. Use --github in a step of GitHub Actions, whose runner sets GITHUB_OUTPUT and GITHUB_STEP_SUMMARY.",
            ))?;
            let file = files::open_to_append(&path).map_err(OpError::write(&path))?;
            Ok::<_, OpError>(Sink { path, file })
        };
        Ok(Self {
            outputs: open("GITHUB_OUTPUT")?,
            summary: open("GITHUB_STEP_SUMMARY")?,
        })
    }
}

impl Sink {
    fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }

    /// Appends a text on a line of its own, in one write.
    fn append(&self, text: &str) -> Result<(), OpError> {
        // An earlier write may lack the line break at its end.
        let start = if self.len() > 0 { "\n" } else { "" };
        let text = format!("{start}{text}");
        let written = (&self.file).write_all(text.as_bytes());
        written.map_err(OpError::write(&self.path))
    }
}

fn replace(path: &Path, content: &str, start: &str) -> Result<(), OpError> {
    files::replace_public(path, content, start).map_err(OpError::write(path))
}

/// Returns an unpredictable delimiter.
pub fn random_word() -> String {
    let number = u128::from_le_bytes(env::random());
    format!("drspass_{number:032x}")
}
