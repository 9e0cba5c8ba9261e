//! The example repository: its pipelines read as they are written, and walked with a
//! real git repository against a simulator.

mod github;
mod gitlab;
mod repository;
mod scripts;

use std::fs;
use std::path::{Path, PathBuf};

use drspass::sim::{EndPointType, Fault, FaultKind, MessageKey, Rejection};

use github::Workflow;
use gitlab::Pipeline;
use repository::{Repository, Runner};

/// The example as it is in this repository.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/infra-repo")
}

fn read(name: &str) -> String {
    fs::read_to_string(example().join(name)).expect(name)
}

const WORKFLOWS: [&str; 3] = ["validate.yml", "apply.yml", "root.yml"];

fn workflow(name: &str) -> Workflow {
    Workflow::read(&read(&format!(".github/workflows/{name}")))
}

#[test]
fn no_job_of_a_change_request_has_access_to_a_key() {
    let present: Vec<String> = fs::read_dir(example().join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present.len(), WORKFLOWS.len(), "each workflow is looked at");
    for name in WORKFLOWS {
        let text = read(&format!(".github/workflows/{name}"));
        assert!(!text.contains("pull_request_target"), "{name}");
        let workflow = workflow(name);
        let triggers = workflow.triggers();
        let reads_secrets = text.contains("secrets.") || text.contains("secrets:");
        if triggers.contains(&"pull_request") {
            assert_eq!(triggers, ["pull_request"], "{name}");
            assert!(!reads_secrets, "{name}");
            for word in [
                "DRSPASS_IDENTITY",
                "OS_",
                "environment:\n",
                "vars.",
                ": write",
            ] {
                assert!(!text.contains(word), "{name} holds {word}");
            }
            for job in workflow.jobs.values() {
                assert!(job.environment.is_none() && job.secrets.is_none());
            }
        } else if triggers == ["push", "workflow_dispatch"] {
            assert_eq!(workflow.pushed_branches(), ["main"], "{name}");
        } else {
            assert_eq!(triggers, ["workflow_call"], "{name}");
        }
    }
    // What may be called with secrets is called by those two alone; the environments
    // admit only the protected branch, from wherever a run is asked for.
    for name in WORKFLOWS {
        for job in workflow(name).jobs.values() {
            if job.uses.is_some() {
                let triggers = workflow(name).triggers();
                assert_eq!(triggers, ["push", "workflow_dispatch"], "{name}");
            }
        }
    }

    let pipeline = Pipeline::read(&read(".gitlab-ci.yml"));
    let mut validating = 0;
    for (name, job) in pipeline.jobs() {
        let rules = job.conditions();
        let of_requests = rules.iter().any(|rule| rule.contains("merge_request"));
        if of_requests {
            validating += 1;
            assert!(job.environment.is_none(), "{name}");
            assert!(rules.iter().all(|rule| rule.contains("merge_request")));
            let scripts = job.scripts().join("\n");
            assert!(scripts.contains("validate --require-encrypted"), "{name}");
            assert!(!scripts.contains("plan") && !scripts.contains("apply"));
        } else {
            assert!(job.environment.is_some(), "{name}: its secrets are scoped");
            for rule in rules {
                assert!(
                    rule.contains("$CI_COMMIT_REF_PROTECTED == \"true\""),
                    "{name}"
                );
            }
        }
    }
    assert_eq!(validating, 2);
}

#[test]
fn only_the_apply_may_write_to_the_repository_and_only_drspass_has_the_token() {
    let root = workflow("root.yml");
    let rights = |job: &str| root.jobs[job].permissions.clone();
    assert_eq!(rights("plan")["contents"], "read");
    assert_eq!(rights("apply")["contents"], "write");
    for name in WORKFLOWS {
        let text = read(&format!(".github/workflows/{name}"));
        assert!(text.contains("\npermissions:\n  contents: read\n") || name == "root.yml");
        for (job, it) in &workflow(name).jobs {
            assert!(
                it.permissions.len() <= 1 && it.keeps_its_token(),
                "{name}: {job}"
            );
        }
        // In the variables of a step, which are indented by ten.
        for line in text.lines().filter(|line| line.contains("github.token")) {
            assert!(
                line.starts_with("          DRSPASS_STATE_PASSWORD: "),
                "{line}"
            );
        }
    }
}

#[test]
fn a_failed_apply_keeps_what_its_clone_knows() {
    let pipeline = Pipeline::read(&read(".gitlab-ci.yml"));
    let applies = pipeline
        .jobs()
        .filter(|(name, _)| name.starts_with("apply-"));
    for (name, job) in applies {
        let (when, paths) = job.kept();
        assert_eq!(
            (when, paths),
            (Some("on_failure"), &[".git/drspass/".to_owned()][..]),
            "{name}"
        );
    }
    let root = read(".github/workflows/root.yml");
    assert!(root.contains("          path: .git/drspass/**\n"));
}

#[test]
fn each_root_has_one_apply_at_a_time_and_a_gate_before_it() {
    let root = workflow("root.yml");
    let apply = &root.jobs["apply"];
    let group = &apply.concurrency.as_ref().unwrap();
    assert_eq!(group.group, "drspass-${{ inputs.environment }}");
    assert!(!group.cancel_in_progress);
    assert!(apply.environment.is_some() && apply.needs.contains(&"plan".to_owned()));
    let pipeline = Pipeline::read(&read(".gitlab-ci.yml"));
    for (name, job) in pipeline
        .jobs()
        .filter(|(name, _)| name.starts_with("apply-"))
    {
        assert_eq!(job.resource_group.as_deref(), Some("drspass-$ENVIRONMENT"));
        assert!(
            job.rules
                .iter()
                .all(|rule| rule.when.as_deref() == Some("manual")),
            "{name}"
        );
    }
}

#[test]
fn every_job_ends_by_itself() {
    for name in WORKFLOWS {
        for job in workflow(name).jobs.values() {
            let minutes = job.timeout_minutes;
            // A workflow that is called has limits of its own.
            assert_eq!(minutes.is_some(), job.uses.is_none(), "{name}");
        }
    }
}

#[test]
fn the_throw_away_key_is_marked_and_opens_both_manifests() {
    let key = read("keys/THROW-AWAY-KEY.txt");
    assert!(key.starts_with("# THROW-AWAY KEY"));
    let repository = Repository::new(&example());
    for environment in ["staging", "production"] {
        // The repository that they are sealed for does not exist.
        let shown = repository.drspass(environment, &["show"]);
        assert_eq!(shown.code, Some(0), "{}", shown.all());
    }
}

/// Everything that a hook of .pre-commit-config.yaml runs.
#[test]
fn the_pre_commit_hooks_refuse_a_manifest_in_plain_text_without_a_key() {
    #[derive(serde::Deserialize)]
    struct Hooks {
        repos: Vec<Repo>,
    }
    #[derive(serde::Deserialize)]
    struct Repo {
        hooks: Vec<Hook>,
    }
    #[derive(serde::Deserialize)]
    struct Hook {
        entry: String,
    }
    let hooks: Hooks = serde_yaml::from_str(&read(".pre-commit-config.yaml")).unwrap();
    let entries: Vec<String> = hooks
        .repos
        .into_iter()
        .flat_map(|repo| repo.hooks)
        .map(|hook| hook.entry)
        .collect();
    assert_eq!(entries.len(), 2);
    let repository = Repository::new(&example());
    let runner = Runner::clone_of(&repository, "main");
    for entry in &entries {
        assert_eq!(runner.sh(entry, &[]).code, Some(0), "{entry}");
    }
    for environment in ["staging", "production"] {
        let manifest = format!("envs/{environment}/passwords.yaml.age");
        fs::write(runner.path(&manifest), "version: 1\njobs: {}\n").unwrap();
    }
    for entry in &entries {
        assert_eq!(runner.sh(entry, &[]).code, Some(1), "{entry}");
    }
}

fn refuse_once(repository: &Repository, environment: &str) {
    let sim = repository.sim(environment);
    sim.inject(Fault::next(FaultKind::RejectEntry(Rejection {
        job: repository.jobs(environment)[0].clone(),
        endpoint: EndPointType::Destination,
        code: "DRS.M00304".to_owned(),
        message: "The task status does not allow this operation.".to_owned(),
        message_key: MessageKey::ErrorMsg,
    })));
}

#[test]
fn the_workflows_of_github_are_walked_from_change_request_to_apply() {
    let repository = Repository::resealed(&example());
    // The change request.
    repository.change(
        "staging",
        "request",
        "made-up staging #1",
        "canary-staging-3",
    );
    let validate = workflow("validate.yml");
    let job = &validate.jobs["validate"];
    for environment in job.matrix("environment") {
        let values = [("matrix.environment", environment.as_str())];
        let run = github::walk(&repository, "request", job, &values, &[]);
        assert_eq!(run.code, 0, "{}", run.log);
    }
    repository.merge("request");

    // Plan and gate.
    let root = workflow("root.yml");
    let secrets = repository.secrets("staging");
    let inputs = [("inputs.environment", "staging")];
    let planned = github::walk(&repository, "main", &root.jobs["plan"], &inputs, &secrets);
    assert_eq!(planned.code, 0, "{}", planned.log);
    let outputs = planned.outputs(&root.jobs["plan"]);
    assert_eq!(outputs["has_changes"], "true");
    assert!(planned.summary.contains("shop-orders"));
    assert!(
        repository.requests("staging").is_empty(),
        "a plan sends nothing"
    );

    // Apply, with one entry refused.
    let commit = repository.head("main");
    refuse_once(&repository, "staging");
    let values = [
        ("inputs.environment", "staging"),
        ("needs.plan.outputs.plan_id", outputs["plan_id"].as_str()),
    ];
    let apply = &root.jobs["apply"];
    let run = github::walk_with(&repository, &commit, apply, &values, &secrets, &planned);
    assert_eq!(run.code, 3, "{}", run.log);
    assert!(run.log.contains("2 applied, 1 refused"), "{}", run.log);
    assert!(run.summary.contains("DRS.M00304"));
    let before = repository.requests("staging").len();

    // Meanwhile main moves on; the job is retried at its own commit.
    repository.change(
        "production",
        "later",
        "made-up production #1",
        "canary-production-4",
    );
    repository.merge("later");
    let run = github::walk_with(&repository, &commit, apply, &values, &secrets, &planned);
    assert_eq!(run.code, 0, "{}", run.log);
    let sent = repository.requests("staging");
    assert_eq!(sent[before..].concat().len(), 1, "only what was unfinished");
    let jobs = repository.jobs("staging");
    let sim = repository.sim("staging");
    assert!(sim.holds(&jobs[0], "source", "canary-staging-3"));
    assert!(sim.holds(&jobs[0], "destination", "made-up staging #2"));

    // The same plan once more.
    let run = github::walk_with(&repository, &commit, apply, &values, &secrets, &planned);
    assert_eq!(run.code, 5, "{}", run.log);
    assert_eq!(repository.requests("staging"), sent, "nothing was sent");
    // And nothing is left to do.
    let planned = github::walk(&repository, "main", &root.jobs["plan"], &inputs, &secrets);
    assert_eq!(planned.outputs(&root.jobs["plan"])["has_changes"], "false");
}

#[test]
fn the_pipeline_of_gitlab_is_walked_from_merge_request_to_apply() {
    let repository = Repository::with_state_project(&example());
    let pipeline = Pipeline::read(&read(".gitlab-ci.yml"));
    repository.change(
        "staging",
        "request",
        "made-up staging #1",
        "canary-staging-3",
    );
    for name in ["validate-staging", "validate-production"] {
        let target = ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main");
        let target = [(target.0.to_owned(), target.1.to_owned())];
        let run = gitlab::walk(&repository, "request", &pipeline, name, &target, None);
        assert_eq!(run.code, 0, "{}", run.log);
    }
    repository.merge("request");
    let secrets = with_state_project(&repository, repository.secrets("staging"));
    let commit = repository.head("main");
    let planned = gitlab::walk(
        &repository,
        &commit,
        &pipeline,
        "plan-staging",
        &secrets,
        None,
    );
    assert_eq!(planned.code, 0, "{}", planned.log);
    let report = fs::read_to_string(planned.artifact("envs/staging/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["create"], 3);
    refuse_once(&repository, "staging");
    let apply = |artifacts| {
        gitlab::walk(
            &repository,
            &commit,
            &pipeline,
            "apply-staging",
            &secrets,
            artifacts,
        )
    };
    let run = apply(Some(&planned));
    assert_eq!(run.code, 3, "{}", run.log);
    let before = repository.requests("staging").len();
    let run = apply(Some(&planned));
    assert_eq!(run.code, 0, "{}", run.log);
    let sent = repository.requests("staging");
    assert_eq!(sent[before..].concat().len(), 1);
    let run = apply(Some(&planned));
    assert_eq!(run.code, 5, "{}", run.log);
    assert_eq!(repository.requests("staging"), sent);
}

type Values = Vec<(String, String)>;

/// The variables of a project whose states are in a repository of their own.
fn with_state_project(repository: &Repository, secrets: Values) -> Values {
    let project = repository.state_project().display().to_string();
    let project = ("STATE_REPOSITORY".to_owned(), project);
    [&[project], &secrets[..]].concat()
}

/// A plan job of GitHub, and the values that the apply job of it gets.
fn planned(
    repository: &Repository,
    environment: &str,
    secrets: &Values,
) -> (github::Walked, Values) {
    let root = workflow("root.yml");
    let inputs = [("inputs.environment", environment)];
    let planned = github::walk(repository, "main", &root.jobs["plan"], &inputs, secrets);
    assert_eq!(planned.code, 0, "{}", planned.log);
    let mut outputs = planned.outputs(&root.jobs["plan"]);
    let plan_id = outputs.remove("plan_id").unwrap();
    let values = [
        ("inputs.environment", environment.to_owned()),
        ("needs.plan.outputs.plan_id", plan_id),
        ("has_changes", outputs.remove("has_changes").unwrap()),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value));
    (planned, values.into())
}

fn as_texts(values: &Values) -> Vec<(&str, &str)> {
    values
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

#[test]
fn where_the_state_cannot_be_pushed_nothing_is_sent() {
    let repository = Repository::resealed(&example());
    let secrets = repository.secrets("staging");
    let (plan, values) = planned(&repository, "staging", &secrets);
    repository.take_pushes(0);
    let apply = &workflow("root.yml").jobs["apply"];
    let values = as_texts(&values);
    let run = github::walk_with(&repository, "main", apply, &values, &secrets, &plan);
    assert_eq!(run.code, 1, "{}", run.log);
    assert!(run.log.contains("drspass::place::refused"), "{}", run.log);
    assert!(repository.requests("staging").is_empty());
    assert!(repository.state("staging")["body"]["holder"].is_null());
}

#[test]
fn what_was_sent_and_not_saved_is_recovered_from_the_artefact() {
    let repository = Repository::resealed(&example());
    let secrets = repository.secrets("staging");
    let (plan, values) = planned(&repository, "staging", &secrets);
    // The marks, and not the outcomes.
    repository.take_pushes(1);
    let apply = &workflow("root.yml").jobs["apply"];
    let values = as_texts(&values);
    let run = github::walk_with(&repository, "main", apply, &values, &secrets, &plan);
    assert_eq!(run.code, 8, "{}", run.log);
    assert!(run.log.contains("3 applied"), "{}", run.log);
    let who = &repository.state("staging")["body"]["holder"]["who"];
    assert_eq!(who, "reviewer");

    repository.take_pushes(99);
    let runner = Runner::clone_of(&repository, "main");
    Runner::copy(&run.artifact(""), &runner.beside("left"));
    // Its journal alone says what was applied, in a clone that has it.
    let holds = Runner::clone_of(&repository, "main");
    Runner::copy(&run.artifact(""), &holds.path(".git/drspass"));
    let seen = holds.sh("drspass -C envs/staging plan", &secrets);
    assert!(seen.stdout.contains("3 in sync"), "{}", seen.all());
    let script = "drspass -C envs/staging state recover \
         \"$(ls \"$PWD\"/../left/*/drspass.state.json.recovery-*)\"";
    let recovered = runner.sh(script, &secrets);
    assert_eq!(recovered.code, Some(0), "{}", recovered.all());
    let (_, values) = planned(&repository, "staging", &secrets);
    assert_eq!(values[2].1, "false", "all is in sync");
}

#[test]
fn a_change_over_the_limit_waits_for_a_run_that_names_its_count() {
    let repository = Repository::resealed(&example());
    repository.limit("staging", 2);
    let root = workflow("root.yml");
    let inputs = [("inputs.environment", "staging")];
    let secrets = repository.secrets("staging");
    let planned = github::walk(&repository, "main", &root.jobs["plan"], &inputs, &secrets);
    let outputs = planned.outputs(&root.jobs["plan"]);
    let apply = |accepted| {
        let values = [
            ("inputs.environment", "staging"),
            ("inputs.override_limits", accepted),
            ("needs.plan.outputs.plan_id", outputs["plan_id"].as_str()),
        ];
        let apply = &root.jobs["apply"];
        github::walk_with(&repository, "main", apply, &values, &secrets, &planned)
    };
    for accepted in ["", "4"] {
        let run = apply(accepted);
        assert_eq!(run.code, 7, "{}", run.log);
        assert!(repository.requests("staging").is_empty());
    }
    let run = apply("3");
    assert_eq!(run.code, 0, "{}", run.log);
    assert_eq!(repository.requests("staging").concat().len(), 3);
}

#[test]
fn a_reverted_manifest_is_planned_where_that_is_asked_for_and_then_applied() {
    let repository = Repository::resealed(&example());
    let root = workflow("root.yml");
    let pipeline = Pipeline::read(&read(".gitlab-ci.yml"));
    let secrets = repository.secrets("staging");
    let plan = |allowed| {
        let values = [
            ("inputs.environment", "staging"),
            ("inputs.allow_rollback", allowed),
        ];
        github::walk(&repository, "main", &root.jobs["plan"], &values, &secrets)
    };
    let apply = |planned: &github::Walked| {
        let outputs = planned.outputs(&root.jobs["plan"]);
        let values = [
            ("inputs.environment", "staging"),
            ("needs.plan.outputs.plan_id", outputs["plan_id"].as_str()),
        ];
        let apply = &root.jobs["apply"];
        let run = github::walk_with(&repository, "main", apply, &values, &secrets, planned);
        assert_eq!(run.code, 0, "{}", run.log);
    };
    apply(&plan("false"));
    repository.change("staging", "next", "made-up staging #1", "canary-staging-3");
    repository.merge("next");
    apply(&plan("false"));
    repository.revert();

    let refused = plan("false");
    assert_eq!(refused.code, 1, "{}", refused.log);
    assert!(refused.log.contains("--allow-rollback"), "{}", refused.log);
    let on_gitlab = |more: &[(&str, &str)]| {
        let more = more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let secrets: Vec<_> = secrets.iter().cloned().chain(more).collect();
        gitlab::walk(
            &repository,
            "main",
            &pipeline,
            "plan-staging",
            &secrets,
            None,
        )
    };
    assert_eq!(on_gitlab(&[]).code, 1);
    let planned = on_gitlab(&[("ALLOW_ROLLBACK", "1")]);
    assert_eq!(planned.code, 0, "{}", planned.log);

    let planned = plan("true");
    assert_eq!(planned.code, 0, "{}", planned.log);
    apply(&planned);
    let job = &repository.jobs("staging")[0];
    let sim = repository.sim("staging");
    assert!(sim.holds(job, "source", "made-up staging #1"));
}

/// Short, and long enough for a slow machine: a run sends for half of it.
const LEASE: &str = "6";

fn with_short_lease(secrets: &Values) -> Values {
    let lease = ("DRSPASS_TEST_LEASE".to_owned(), LEASE.to_owned());
    [&secrets[..], &[lease]].concat()
}

#[test]
fn after_a_lost_runner_of_github_the_next_pipeline_knows_what_may_have_been_sent() {
    let repository = Repository::resealed(&example());
    let secrets = repository.secrets("production");
    let apply = &workflow("root.yml").jobs["apply"];
    let (plan, values) = planned(&repository, "production", &secrets);
    let values = as_texts(&values);
    // It got an answer, and no one else will ever see it.
    let place = "journal.after_append:1";
    github::lose_runner(&repository, apply, &values, &secrets, &plan, place);
    let lost = repository.requests("production").concat();
    assert!(!lost.is_empty(), "it had sent");
    let holder = &repository.state("production")["body"]["holder"];
    assert_eq!(holder["who"], "reviewer");

    let (plan, values) = planned(&repository, "production", &secrets);
    let unknown = "outcome of the last attempt unknown";
    assert!(plan.summary.contains(unknown), "{}", plan.summary);
    assert!(plan.log.contains("4 to send again"), "{}", plan.log);
    let secrets = with_short_lease(&secrets);
    let values = as_texts(&values);
    let run = github::walk_with(&repository, "main", apply, &values, &secrets, &plan);
    assert_eq!(run.code, 0, "{}", run.log);
    assert!(run.log.contains("took over from a lost run"), "{}", run.log);
    let sent = repository.requests("production").concat();
    assert!(lost.iter().all(|entry| sent[lost.len()..].contains(entry)));
    let jobs = repository.jobs("production");
    let sim = repository.sim("production");
    assert!(sim.holds(&jobs[1], "destination", "made-up production #3"));
    let (_, values) = planned(&repository, "production", &secrets);
    assert_eq!(values[2].1, "false");
}

#[test]
fn after_a_lost_runner_of_gitlab_the_retried_job_ends_what_it_began() {
    let repository = Repository::with_state_project(&example());
    let secrets = with_state_project(&repository, repository.secrets("production"));
    let pipeline = Pipeline::read(&read(".gitlab-ci.yml"));
    let job = |name, before, secrets: &Values| {
        gitlab::walk(&repository, "main", &pipeline, name, secrets, before)
    };
    let planned = job("plan-production", None, &secrets);
    let name = "apply-production";
    let place = "journal.before_append:1";
    gitlab::lose_runner(&repository, &pipeline, name, &secrets, &planned, place);
    let lost = repository.requests("production").concat();
    assert!(!lost.is_empty(), "it had sent");
    // The retry has the same plan, whose marks are in the state.
    let run = job(name, Some(&planned), &with_short_lease(&secrets));
    assert_eq!(run.code, 0, "{}", run.log);
    assert!(run.log.contains("took over from a lost run"), "{}", run.log);
    let planned = job("plan-production", None, &secrets);
    assert!(planned.log.contains("4 in sync"), "{}", planned.log);
}
