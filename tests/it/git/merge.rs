//! Merges that were left unfinished, and plain text where a manifest should be.

use std::fs;

use super::{commit, git, repository, rotate};
use crate::support::{J1, Lab, Run};

/// Every command that reads the manifest.
fn commands() -> Vec<Vec<&'static str>> {
    vec![
        vec!["validate"],
        vec!["validate", "--json"],
        vec!["validate", "--require-encrypted"],
        vec!["show"],
        vec!["decrypt"],
        vec!["decrypt", "-o", "out.yaml"],
        vec!["encrypt", "plain.yaml"],
        vec!["plan"],
        vec!["plan", "--json"],
        vec!["plan", "--out", "new.json"],
        vec!["apply", "--auto-approve"],
        vec!["apply", "plan.json"],
        vec!["jobs"],
        vec!["whoami"],
        vec!["state", "show"],
        vec!["state", "adopt", "*", "--yes"],
        vec!["state", "rm", "*"],
        vec!["state", "rm", "--unlisted"],
        vec!["state", "distrust"],
        vec!["state", "recover", "recovery"],
        vec!["edit"],
        vec!["set", "orders/source", "--generate"],
        vec!["unset", "orders/source"],
        vec!["import", "values.json", "--write"],
        vec!["rekey", "--yes"],
        vec!["recipients"],
    ]
}

/// A repository in which the manifest is merged with a change of both sides.
fn in_conflict() -> Lab {
    let mut lab = repository();
    rotate(&mut lab, "canary-base");
    lab.run(&["plan", "--out", "plan.json"]).exits(0);
    lab.write("recovery", "{}");
    commit(&lab, "Base");
    git(&lab, &["switch", "--quiet", "--create", "theirs"]).exits(0);
    rotate(&mut lab, "canary-theirs");
    commit(&lab, "Theirs");
    git(&lab, &["switch", "--quiet", "main"]).exits(0);
    rotate(&mut lab, "canary-ours");
    commit(&lab, "Ours");
    git(&lab, &["merge", "--quiet", "theirs"]).exits(1);
    let file = lab.read("passwords.yaml.age");
    assert!(
        file.contains("\n<<<<<<< ") && file.contains("\n>>>>>>> "),
        "{file}"
    );
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'x' }}\n"),
    );
    lab
}

fn refused(lab: &Lab, args: &[&str], what: &str) -> Run {
    let file = fs::read(lab.path("passwords.yaml.age")).unwrap();
    let connections = lab.sim.connections();
    let run = lab.run(args).exits(1).says(what);
    assert_eq!(
        fs::read(lab.path("passwords.yaml.age")).unwrap(),
        file,
        "{args:?}"
    );
    assert_eq!(lab.sim.connections(), connections, "{args:?}");
    for name in ["out.yaml", "new.json", "drspass.state.json"] {
        assert!(!lab.exists(name), "{args:?} wrote {name}");
    }
    run
}

/// The manifest as a commit has it.
fn side(lab: &Lab, commit: &str) -> String {
    git(lab, &["show", &format!("{commit}:passwords.yaml.age")])
        .exits(0)
        .stdout
}

#[test]
fn every_command_names_an_unresolved_merge_and_the_command_that_merges() {
    let lab = in_conflict();
    lab.write("values.json", "{\"orders/source\": \"canary-imported\"}");
    let by_git = lab.read("passwords.yaml.age");
    // Another tool may put its marks around both whole files.
    let whole = format!(
        "<<<<<<< HEAD\n{0}=======\n{0}>>>>>>> theirs\n",
        side(&lab, "HEAD")
    );
    for file in [&whole, &by_git] {
        lab.write("passwords.yaml.age", file);
        for args in commands() {
            refused(&lab, &args, "unresolved merge").says("Run 'drspass merge'");
        }
        // Whatever the file has, git has both sides.
        lab.run(&["merge", "--yes", "--theirs", "*"]).exits(0);
        let plain = lab.run(&["decrypt"]).exits(0).stdout;
        assert!(plain.contains("canary-theirs"));
    }
}

#[test]
fn plain_text_in_place_of_the_manifest_is_refused_and_not_repeated() {
    let mut lab = repository();
    rotate(&mut lab, "canary-base");
    lab.run(&["plan", "--out", "plan.json"]).exits(0);
    lab.write("recovery", "{}");
    lab.write("values.json", "{\"orders/source\": \"canary-imported\"}");
    let plain =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'made-up-plain' }}\n");
    lab.write("plain.yaml", &plain);
    lab.write("passwords.yaml.age", &plain);
    for args in commands() {
        let run = refused(&lab, &args, "not encrypted");
        assert!(
            !run.all().contains("made-up-plain"),
            "{args:?}\n{}",
            run.all()
        );
    }
}
