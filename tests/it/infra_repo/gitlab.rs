//! The pipeline of GitLab: read as far as these tests need, and walked job by job.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use tempfile::TempDir;

use super::repository::{Repository, Runner};

/// The file, taken apart by hand: every key that is none of the few known ones is a job.
pub(super) struct Pipeline {
    before_script: Vec<String>,
    variables: BTreeMap<String, String>,
    jobs: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
struct File {
    default: Defaults,
    variables: BTreeMap<String, String>,
    #[serde(rename = ".validate")]
    validate: Job,
    #[serde(rename = ".plan")]
    plan: Job,
    #[serde(rename = ".apply")]
    apply: Job,
    #[serde(flatten)]
    others: BTreeMap<String, Other>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Other {
    Job(Extension),
    Stages(#[expect(dead_code, reason = "no job")] Vec<String>),
}

#[derive(Deserialize)]
struct Extension {
    extends: String,
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Defaults {
    #[expect(dead_code, reason = "that there is one is all that matters")]
    timeout: String,
    before_script: Vec<String>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Job {
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    pub(super) environment: Option<Environment>,
    pub(super) resource_group: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    script: Vec<String>,
    #[serde(default)]
    artifacts: Artifacts,
}

#[derive(Clone, Deserialize)]
pub(super) struct Rule {
    #[serde(rename = "if")]
    condition: String,
    pub(super) when: Option<String>,
}

#[derive(Clone, Deserialize)]
#[expect(dead_code, reason = "that there is one is all that matters")]
pub(super) struct Environment {
    name: String,
}

#[derive(Clone, Default, Deserialize)]
struct Artifacts {
    when: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    reports: BTreeMap<String, String>,
}

impl Pipeline {
    pub(super) fn read(text: &str) -> Self {
        let file: File = serde_yaml::from_str(text).expect("a pipeline");
        let jobs = file.others.into_iter().filter_map(|(name, other)| {
            let Other::Job(extension) = other else {
                return None;
            };
            let mut job = match extension.extends.as_str() {
                ".validate" => file.validate.clone(),
                ".plan" => file.plan.clone(),
                ".apply" => file.apply.clone(),
                other => panic!("{other} is not known here"),
            };
            job.variables = extension.variables;
            Some((name, job))
        });
        Self {
            jobs: jobs.collect(),
            before_script: file.default.before_script,
            variables: file.variables,
        }
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = (&String, &Job)> {
        self.jobs.iter()
    }
}

impl Job {
    pub(super) fn conditions(&self) -> Vec<&str> {
        self.rules
            .iter()
            .map(|rule| rule.condition.as_str())
            .collect()
    }

    pub(super) fn scripts(&self) -> &[String] {
        &self.script
    }

    /// What is kept of a job, by its condition.
    pub(super) fn kept(&self) -> (Option<&str>, &[String]) {
        (self.artifacts.when.as_deref(), &self.artifacts.paths)
    }
}

/// What a job left behind.
pub(super) struct Walked {
    pub(super) code: i32,
    pub(super) log: String,
    artifacts: TempDir,
}

impl Walked {
    pub(super) fn artifact(&self, path: &str) -> PathBuf {
        self.artifacts.path().join(path)
    }
}

/// Walks a job: its scripts, whose first failure ends them.
pub(super) fn walk(
    repository: &Repository,
    at: &str,
    pipeline: &Pipeline,
    name: &str,
    secrets: &[(String, String)],
    before: Option<&Walked>,
) -> Walked {
    scripts(repository, at, pipeline, name, secrets, (before, None))
}

/// Walks an apply whose machine is lost, folder and all, at a place of the program.
pub(super) fn lose_runner(
    repository: &Repository,
    pipeline: &Pipeline,
    name: &str,
    secrets: &[(String, String)],
    before: &Walked,
    place: &str,
) {
    let lost = (Some(before), Some(place));
    scripts(repository, "main", pipeline, name, secrets, lost);
}

fn scripts(
    repository: &Repository,
    at: &str,
    pipeline: &Pipeline,
    name: &str,
    secrets: &[(String, String)],
    (before, lost_at): (Option<&Walked>, Option<&str>),
) -> Walked {
    let job = &pipeline.jobs[name];
    let runner = Runner::clone_of(repository, at);
    if let Some(before) = before {
        Runner::copy(before.artifacts.path(), &runner.checkout());
    }
    let mut env = Vec::new();
    for (name, value) in pipeline.variables.iter().chain(&job.variables) {
        env.push((
            name.clone(),
            value.replace("$GITLAB_USER_LOGIN", "reviewer"),
        ));
    }
    // Those of the project win over those of the file.
    env.extend(secrets.to_vec());
    let mut walked = Walked {
        code: 0,
        log: String::new(),
        artifacts: TempDir::new().unwrap(),
    };
    for script in pipeline.before_script.iter().chain(&job.script) {
        if let (Some(place), true) = (lost_at, script.contains(" apply ")) {
            runner.lose(script, &env, place);
            return walked;
        }
        let run = runner.sh(script, &env);
        walked.log.push_str(&format!("$ {script}\n{}\n", run.all()));
        walked.code = run.code.unwrap();
        if walked.code != 0 {
            break;
        }
    }
    let environment = &job.variables["ENVIRONMENT"];
    let kept = job
        .artifacts
        .paths
        .iter()
        .chain(job.artifacts.reports.values());
    for path in kept {
        let path = path.replace("$ENVIRONMENT", environment);
        if runner.path(&path).exists() {
            Runner::copy(&runner.path(&path), &walked.artifacts.path().join(&path));
        }
    }
    walked
}
