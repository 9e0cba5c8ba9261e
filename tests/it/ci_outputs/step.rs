//! A step of GitHub Actions, and what it left behind as the runner reads it.

use crate::support::{Lab, Run};

/// What a run of a step left behind.
pub(super) struct Step {
    pub(super) run: Run,
    pub(super) outputs: String,
    pub(super) summary: String,
}

/// Runs a command as a step of GitHub Actions.
#[track_caller]
pub(super) fn step(lab: &Lab, args: &[&str], code: i32) -> Step {
    for name in ["github-output", "github-summary"] {
        lab.write(name, "");
    }
    let mut command = lab.command(&[args, &["--github"]].concat());
    command
        .env("GITHUB_OUTPUT", lab.path("github-output"))
        .env("GITHUB_STEP_SUMMARY", lab.path("github-summary"));
    let run = lab.run_command(command).exits(code);
    Step {
        run,
        outputs: lab.read("github-output"),
        summary: lab.read("github-summary"),
    }
}

impl Step {
    /// An output, as the runner reads it.
    #[track_caller]
    pub(super) fn output(&self, name: &str) -> &str {
        let mut lines = self.outputs.lines();
        let start = format!("{name}<<");
        let end = lines
            .find_map(|line| line.strip_prefix(&start))
            .expect(name);
        let value = lines.next().unwrap();
        assert_eq!(lines.next(), Some(end));
        assert!(end.len() > 30, "nobody can guess it");
        value
    }

    /// The commands that the runner obeys.
    pub(super) fn commands(&self) -> Vec<&str> {
        let mut off: Option<&str> = None;
        let mut found = Vec::new();
        for line in self.run.stdout.lines() {
            if let Some(rest) = line.trim_start().strip_prefix("::") {
                match off {
                    Some(word) if rest == format!("{word}::") => off = None,
                    Some(_) => {}
                    None => off = rest.strip_prefix("stop-commands::"),
                }
                if off.is_none() && !rest.starts_with("drspass_") {
                    found.push(line);
                }
            }
        }
        assert!(off.is_none());
        found
    }
}
