//! Values of a login that are dirty, contradict each other, or weaken the
//! connection: what is not taken is refused before any connection.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::support::TOKEN;

/// Refused with these words, and nobody was connected to.
#[track_caller]
fn refused(lab: &Lab, args: &[&str], vars: &Vars, words: &[&str]) {
    let connections = lab.sim.connections();
    let mut told = run(lab, args, vars).exits(1);
    for word in words {
        told = told.says(word);
    }
    assert_eq!(lab.sim.connections(), connections, "a connection was made");
}

fn token_file(content: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, content).unwrap();
    (folder, path)
}

const APPLY: &[&str] = &["apply", "--auto-approve"];

#[test]
fn one_line_end_after_a_token_does_no_harm() {
    for end in ["", "\n", "\r\n"] {
        let content = format!("{TOKEN}{end}");
        let lab = lab();
        apply(&lab, &[], &vec![("OS_TOKEN", content.clone())]).exits(0);
        let (_folder, path) = token_file(&content);
        let args = ["whoami", "--token-file", path.to_str().unwrap()];
        run(&lab, &args, &Vars::new()).exits(0);
        for request in lab.sim.requests() {
            assert_eq!(request.header("X-Auth-Token"), Some(TOKEN));
        }
    }
}

#[test]
fn a_control_character_in_a_token_is_named_by_its_place() {
    let (start, rest) = TOKEN.split_at(7);
    for (dirty, words) in [
        (
            format!("{start}\n{rest}"),
            "the token holds a control character at position 8",
        ),
        (
            format!("{start}\r\n{rest}\n"),
            "the token holds a control character at position 8",
        ),
        (format!("{TOKEN}\n\n"), "a control character at position"),
        (format!("{start} {rest}"), "outside ASCII at position 8"),
        ("\n".to_owned(), "the token is empty"),
    ] {
        let lab = lab();
        let (_folder, path) = token_file(&dirty);
        let args = [APPLY, &["--token-file", path.to_str().unwrap()]].concat();
        refused(&lab, &args, &Vars::new(), &[words]);
        refused(&lab, APPLY, &vec![("OS_TOKEN", dirty)], &[words]);
        assert_untouched(&lab, None);
    }
}

#[test]
fn a_token_from_standard_input_serves() {
    let lab = lab();
    let (_folder, path) = token_file(&format!("{TOKEN}\n"));
    let mut command = command(&lab, &["whoami", "--token-file", "-"], &Vars::new());
    command.stdin(fs::File::open(path).unwrap());
    lab.run_command(command)
        .exits(0)
        .says("the token from standard input");
}

/// A clouds.yaml with an entry `lab` of these keys below `auth`.
fn cloud(auth: &[&str]) -> TempDir {
    let keys: String = auth.iter().map(|key| format!("      {key}\n")).collect();
    home(
        &format!(
            "clouds:\n  lab:\n    auth:\n{keys}      username: {USER}\n      password: {PASSWORD}\n"
        ),
        "",
    )
}

#[test]
fn the_domains_of_user_and_project_stand_apart_and_one_serves_for_both() {
    for (auth, user, project) in [
        (
            &[
                "user_domain_name: people",
                "project_name: lab",
                "project_domain_name: machines",
            ][..],
            "people",
            "machines",
        ),
        (
            &["user_domain_name: people", "project_name: lab"],
            "people",
            "people",
        ),
        (
            &["project_domain_name: machines", "project_name: lab"],
            "machines",
            "machines",
        ),
    ] {
        let lab = lab();
        let home = cloud(auth);
        let vars = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
        // The simulator knows neither of these domains.
        apply(&lab, &[], &vars).exits(1).says("IAM.0062");
        let body = login_body(&lab, 0);
        assert_eq!(
            body["auth"]["identity"]["password"]["user"]["domain"],
            serde_json::json!({ "name": user })
        );
        assert_eq!(
            body["auth"]["scope"]["project"],
            serde_json::json!({"name": "lab", "domain": {"name": project}})
        );
        assert_eq!(lab.sim.requests().len(), 1);
    }
}

#[test]
fn an_entry_without_a_project_is_refused_by_name_and_key() {
    let lab = lab();
    let home = cloud(&["user_domain_name: acme"]);
    let vars = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
    refused(
        &lab,
        APPLY,
        &vars,
        &["entry lab of", "neither project_id nor project_name"],
    );
}

#[test]
fn an_odd_project_id_is_refused_wherever_it_stands() {
    for odd in ["", "  ", "a/b", "..", "p?x=1", "p%2f"] {
        let lab = lab();
        for name in ["OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"] {
            let vars = [by_name(), vars(&[(name, odd)])].concat();
            for args in [&["plan"][..], APPLY, &["whoami"], &["jobs"]] {
                refused(&lab, args, &vars, &["the project id from", name]);
            }
        }
        if !odd.is_empty() {
            let home = cloud(&["user_domain_name: acme", &format!("project_id: \"{odd}\"")]);
            let vars = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
            refused(&lab, APPLY, &vars, &["project_id of", "entry lab"]);
        }
        let config = lab.read("drspass.yaml");
        lab.write("drspass.yaml", config.replace(lab.sim.project_id(), odd));
        for args in [&["validate"][..], &["plan"], APPLY] {
            refused(&lab, args, &by_name(), &["project_id"]);
        }
        assert!(asked(&lab).is_empty());
    }
}

#[test]
fn a_variable_with_another_project_than_the_sealed_one_is_refused_with_both_ids() {
    let lab = lab();
    apply(&lab, &[], &by_name()).exits(0);
    let state = state_bytes(&lab);
    let home = cloud(&[
        "user_domain_name: acme",
        &format!("project_id: {}", lab.sim.project_id()),
    ]);
    let sent = lab.sent().len();
    for vars in [
        vec![
            home_var(home.path()),
            ("OS_CLOUD", "lab".to_owned()),
            ("OS_PROJECT_ID", OTHER_PROJECT.to_owned()),
        ],
        [by_name(), vars(&[("HW_PROJECT_ID", OTHER_PROJECT)])].concat(),
    ] {
        for args in [&["plan"][..], APPLY, &["whoami"], &["jobs"]] {
            refused(
                &lab,
                args,
                &vars,
                &[OTHER_PROJECT, lab.sim.project_id(), "PROJECT_ID"],
            );
        }
    }
    assert_eq!(lab.sent().len(), sent);
    assert_eq!(state_bytes(&lab), state);
}

#[test]
fn an_entry_with_another_project_than_the_sealed_one_is_refused_with_both_ids() {
    let lab = lab();
    let home = cloud(&[
        "user_domain_name: acme",
        &format!("project_id: {OTHER_PROJECT}"),
    ]);
    let entry = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
    for args in [&["plan", "--preflight"][..], APPLY, &["whoami"], &["jobs"]] {
        refused(&lab, args, &entry, &[OTHER_PROJECT, lab.sim.project_id()]);
    }
    // A variable comes before the entry, and is said to.
    let named = vars(&[("OS_PROJECT_ID", lab.sim.project_id())]);
    run(&lab, &["plan", "--preflight"], &[entry, named].concat())
        .exits(0)
        .says("login: entry lab of")
        .says("project from OS_PROJECT_ID");
}

#[test]
fn nobody_switches_the_check_of_certificates_off() {
    let lab = lab();
    for (name, value) in [
        ("OS_INSECURE", "true"),
        ("OS_INSECURE", "1"),
        ("HW_INSECURE", "yes"),
    ] {
        let insecure = [by_name(), vars(&[(name, value)])].concat();
        for args in [APPLY, &["whoami"], &["jobs"]] {
            refused(&lab, args, &insecure, &[name, "--ca-file"]);
        }
    }
    for line in ["verify: false", "insecure: true"] {
        let home = home(
            &format!(
                "clouds:\n  lab:\n    {line}\n    auth:\n      username: {USER}\n      password: {PASSWORD}\n      \
                 user_domain_name: {DOMAIN}\n      project_name: eu-de\n"
            ),
            "",
        );
        let vars = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
        let key = line.split(':').next().unwrap();
        refused(&lab, APPLY, &vars, &[key, "entry lab", "--ca-file"]);
    }
    let harmless = [by_name(), vars(&[("OS_INSECURE", "false")])].concat();
    run(&lab, &["whoami"], &harmless).exits(0);
}

#[test]
fn files_of_the_work_tree_give_no_login() {
    let lab = lab();
    let clouds = format!(
        "clouds:\n  lab:\n    auth:\n      username: {USER}\n      password: canary-committed\n      \
         user_domain_name: {DOMAIN}\n      project_name: eu-de\n"
    );
    lab.write("clouds.yaml", &clouds);
    lab.write("token.txt", "committed-token");
    let cloud = vars(&[("OS_CLOUD", "lab")]);
    refused(&lab, APPLY, &cloud, &["there is no such file"]);
    let named = [cloud, vars(&[("OS_CLIENT_CONFIG_FILE", "clouds.yaml")])].concat();
    refused(&lab, APPLY, &named, &["lies in the work tree"]);
    let args = [APPLY, &["--token-file", "token.txt"]].concat();
    refused(&lab, &args, &Vars::new(), &["lies in the work tree"]);
}
