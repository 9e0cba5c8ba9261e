//! Workflows of GitHub: read as far as these tests need, and walked step by step.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use tempfile::TempDir;

use super::repository::{Repository, Runner};

#[derive(Deserialize)]
pub(super) struct Workflow {
    on: On,
    pub(super) jobs: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
struct On {
    pull_request: Option<Trigger>,
    push: Option<Trigger>,
    workflow_call: Option<Trigger>,
    workflow_dispatch: Option<Trigger>,
}

#[derive(Deserialize)]
struct Trigger {
    #[serde(default)]
    branches: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Job {
    #[serde(default)]
    pub(super) needs: Needs,
    pub(super) environment: Option<String>,
    pub(super) secrets: Option<String>,
    pub(super) uses: Option<String>,
    #[serde(default)]
    pub(super) permissions: BTreeMap<String, String>,
    pub(super) concurrency: Option<Concurrency>,
    #[serde(rename = "timeout-minutes")]
    pub(super) timeout_minutes: Option<u32>,
    #[serde(default)]
    strategy: Strategy,
    #[serde(default)]
    outputs: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Needs(Option<String>);

impl Needs {
    pub(super) fn contains(&self, job: &String) -> bool {
        self.0.as_ref() == Some(job)
    }
}

#[derive(Deserialize)]
pub(super) struct Concurrency {
    pub(super) group: String,
    #[serde(rename = "cancel-in-progress")]
    pub(super) cancel_in_progress: bool,
}

#[derive(Default, Deserialize)]
struct Strategy {
    #[serde(default)]
    matrix: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Step {
    id: Option<String>,
    uses: Option<String>,
    run: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    with: With,
}

#[derive(Default, Deserialize)]
struct With {
    path: Option<String>,
    #[serde(default, rename = "persist-credentials")]
    persist_credentials: Option<bool>,
    #[serde(default, rename = "include-hidden-files")]
    include_hidden_files: bool,
}

impl Workflow {
    pub(super) fn read(text: &str) -> Self {
        serde_yaml::from_str(text).expect("a workflow")
    }

    pub(super) fn triggers(&self) -> Vec<&'static str> {
        [
            ("pull_request", self.on.pull_request.is_some()),
            ("push", self.on.push.is_some()),
            ("workflow_call", self.on.workflow_call.is_some()),
            ("workflow_dispatch", self.on.workflow_dispatch.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect()
    }

    pub(super) fn pushed_branches(&self) -> &[String] {
        self.on.push.as_ref().map_or(&[], |push| &push.branches)
    }
}

impl Job {
    /// Whether the token of the job is in no file of a checkout, and where its artefacts are from
    /// hidden folders, that this is meant.
    pub(super) fn keeps_its_token(&self) -> bool {
        self.steps.iter().all(|step| {
            let action = step.uses.as_deref().unwrap_or_default();
            let is_hidden = step
                .with
                .path
                .as_ref()
                .is_some_and(|path| path.starts_with('.'));
            let is_checkout = action.starts_with("actions/checkout");
            (!is_checkout || step.with.persist_credentials == Some(false))
                && is_hidden == step.with.include_hidden_files
        })
    }

    pub(super) fn matrix(&self, name: &str) -> Vec<String> {
        self.strategy.matrix[name].clone()
    }
}

/// What a job left behind.
pub(super) struct Walked {
    pub(super) code: i32,
    pub(super) log: String,
    pub(super) summary: String,
    step_outputs: BTreeMap<String, String>,
    artifacts: TempDir,
}

impl Walked {
    pub(super) fn artifact(&self, path: &str) -> PathBuf {
        self.artifacts.path().join(path)
    }

    /// The outputs of the job, as it declares them.
    pub(super) fn outputs(&self, job: &Job) -> BTreeMap<String, String> {
        let mut outputs = self.step_outputs.clone();
        for (name, source) in &job.outputs {
            let source = source
                .replace("${{ steps.plan.outputs.", "")
                .replace(" }}", "");
            outputs.insert(name.clone(), self.step_outputs[&source].clone());
        }
        outputs
    }
}

/// Puts values into the expressions of a text. One that is left is a mistake.
fn filled(text: &str, values: &[(&str, &str)], secrets: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("${{{{ {name} }}}}"), value);
    }
    for (name, value) in secrets {
        // What is no secret is a variable of the environment.
        let kind = match name.as_str() {
            "DRSPASS_EXPECT_KEY_ID" => "vars",
            _ => "secrets",
        };
        text = text.replace(&format!("${{{{ {kind}.{name} }}}}"), value);
    }
    // A repository on disk asks for no login.
    for (name, value) in [
        ("github.token", "made-up-token"),
        ("github.actor", "reviewer"),
    ] {
        text = text.replace(&format!("${{{{ {name} }}}}"), value);
    }
    // What is lacking is empty, as on a real runner.
    for name in [
        "secrets.OS_ACCESS_KEY",
        "secrets.OS_SECRET_KEY",
        "inputs.override_limits",
        "inputs.allow_rollback",
    ] {
        text = text.replace(&format!("${{{{ {name} }}}}"), "");
    }
    assert!(!text.contains("${{"), "{text}");
    text
}

/// Walks a job without artefacts.
pub(super) fn walk(
    repository: &Repository,
    at: &str,
    job: &Job,
    values: &[(&str, &str)],
    secrets: &[(String, String)],
) -> Walked {
    steps(repository, at, job, values, secrets, None, None)
}

/// Walks a job that takes over what another one left.
pub(super) fn walk_with(
    repository: &Repository,
    at: &str,
    job: &Job,
    values: &[(&str, &str)],
    secrets: &[(String, String)],
    before: &Walked,
) -> Walked {
    steps(repository, at, job, values, secrets, Some(before), None)
}

/// Walks a job whose machine is lost, folder and all, at a place of the program.
pub(super) fn lose_runner(
    repository: &Repository,
    job: &Job,
    values: &[(&str, &str)],
    secrets: &[(String, String)],
    before: &Walked,
    place: &str,
) {
    let before = Some(before);
    steps(
        repository,
        "main",
        job,
        values,
        secrets,
        before,
        Some(place),
    );
}

fn steps(
    repository: &Repository,
    at: &str,
    job: &Job,
    values: &[(&str, &str)],
    secrets: &[(String, String)],
    before: Option<&Walked>,
    lost_at: Option<&str>,
) -> Walked {
    let runner = Runner::clone_of(repository, at);
    let output = runner.beside("output");
    let summary = runner.beside("summary");
    fs::write(&output, "").unwrap();
    fs::write(&summary, "").unwrap();
    let artifacts = TempDir::new().unwrap();
    let mut walked = Walked {
        code: 0,
        log: String::new(),
        summary: String::new(),
        step_outputs: BTreeMap::new(),
        artifacts,
    };
    for step in &job.steps {
        let runs = match step.condition.as_deref() {
            None => walked.code == 0,
            Some("failure() || cancelled()") => walked.code != 0,
            Some(other) => panic!("{other} is not known here"),
        };
        if !runs {
            continue;
        }
        if let Some(action) = &step.uses {
            let path = step.with.path.as_deref().unwrap_or_default();
            let path = filled(path, values, secrets);
            act(action, &path, &runner, &walked, before);
            continue;
        }
        let mut env = vec![
            ("GITHUB_ACTIONS".to_owned(), "true".to_owned()),
            (
                "GITHUB_WORKSPACE".to_owned(),
                runner.checkout().display().to_string(),
            ),
            ("GITHUB_OUTPUT".to_owned(), output.display().to_string()),
            (
                "GITHUB_STEP_SUMMARY".to_owned(),
                summary.display().to_string(),
            ),
        ];
        for (name, value) in job.env.iter().chain(&step.env) {
            env.push((name.clone(), filled(value, values, secrets)));
        }
        // The login of the walk, and how long its lease is, where the step has a login.
        if step.env.contains_key("OS_ACCESS_KEY") {
            let of_walk = |(name, _): &&(String, String)| {
                ["OS_TOKEN", "DRSPASS_TEST_LEASE"].contains(&name.as_str())
            };
            env.extend(secrets.iter().filter(of_walk).cloned());
            env.retain(|(name, _)| {
                !name.starts_with("OS_ACCESS") && !name.starts_with("OS_SECRET")
            });
        }
        let script = step.run.as_deref().expect("a step runs something");
        assert!(!script.contains("${{"), "values come in by variables alone");
        if let (Some(place), true) = (lost_at, script.contains(" apply ")) {
            runner.lose(script, &env, place);
            return walked;
        }
        let run = runner.sh(script, &env);
        walked.log.push_str(&format!("$ {script}\n{}\n", run.all()));
        if walked.code == 0 {
            walked.code = run.code.unwrap();
        }
        if step.id.is_some() {
            walked.step_outputs = outputs(&fs::read_to_string(&output).unwrap());
        }
    }
    walked.summary = fs::read_to_string(&summary).unwrap();
    walked
}

/// What the actions of these workflows do.
fn act(action: &str, path: &str, runner: &Runner, walked: &Walked, before: Option<&Walked>) {
    let name = action.split('@').next().unwrap();
    match name {
        "actions/checkout" => {}
        "actions/upload-artifact" => {
            // What comes before the first wildcard is not part of the artefact.
            match path.strip_suffix("/**") {
                Some(folder) => Runner::copy(&runner.path(folder), walked.artifacts.path()),
                None => {
                    let from = runner.path(path);
                    let file = from.file_name().unwrap();
                    Runner::copy(&from, &walked.artifacts.path().join(file));
                }
            }
        }
        "actions/download-artifact" => {
            let kept = before
                .expect("an artefact of a job before")
                .artifacts
                .path();
            Runner::copy(kept, &runner.path(path));
        }
        other => panic!("{other} is not known here"),
    }
}

/// The outputs in the file of a step: `name=value`, or a block up to a delimiter.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((name, delimiter)) = line.split_once("<<") {
            let value: Vec<&str> = lines
                .by_ref()
                .take_while(|line| *line != delimiter)
                .collect();
            found.insert(name.to_owned(), value.join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}
