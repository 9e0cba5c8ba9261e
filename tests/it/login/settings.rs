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
fn a_malformed_token_is_refused_by_its_variable_or_file() {
    let (start, rest) = TOKEN.split_at(7);
    for (dirty, words) in [
        (
            format!("{start}\n{rest}"),
            "contains a control character at position 8",
        ),
        (
            format!("{start}\r\n{rest}\n"),
            "contains a control character at position 8",
        ),
        (format!("{TOKEN}\n\n"), "a control character at position"),
        (
            format!("{start} {rest}"),
            "a non-ASCII character at position 8",
        ),
        ("\n".to_owned(), "is empty"),
        (
            format!("\"{TOKEN}\""),
            "contains a quotation mark at position 1",
        ),
        (format!("X-Auth-Token:{TOKEN}"), "contains a colon"),
    ] {
        let lab = lab();
        let (_folder, path) = token_file(&dirty);
        let args = [APPLY, &["--token-file", path.to_str().unwrap()]].concat();
        let file = format!("the token file {}", path.display());
        refused(&lab, &args, &Vars::new(), &[&file, words]);
        refused(
            &lab,
            APPLY,
            &vec![("OS_TOKEN", dirty)],
            &["OS_TOKEN", words],
        );
        assert_untouched(&lab, None);
    }
    // A file may begin with a byte order mark, a variable may not.
    let lab = lab();
    let marked = format!("\u{feff}{TOKEN}");
    let (_folder, path) = token_file(&marked);
    let vars = vec![("OS_TOKEN", marked)];
    refused(&lab, APPLY, &vars, &["OS_TOKEN", "a byte order mark"]);
    assert_untouched(&lab, None);
    let args = [APPLY, &["--token-file", path.to_str().unwrap()]].concat();
    run(&lab, &args, &Vars::new()).exits(0);
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
fn an_entry_without_a_project_is_for_the_sealed_one() {
    let lab = lab();
    let home = cloud(&["user_domain_name: acme"]);
    let vars = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
    apply(&lab, &[], &vars).exits(0);
    assert_eq!(
        login_body(&lab, 0)["auth"]["scope"]["project"],
        serde_json::json!({"id": lab.sim.project_id()})
    );
}

#[test]
fn a_malformed_key_or_password_is_refused_by_its_variable_or_key() {
    let lab = lab();
    let key =
        |access: &str, secret: &str| vars(&[("OS_ACCESS_KEY", access), ("OS_SECRET_KEY", secret)]);
    let quoted = format!("\"{SECRET}\"");
    refused(
        &lab,
        APPLY,
        &key(ACCESS, &quoted),
        &["OS_SECRET_KEY contains a quotation mark"],
    );
    let quoted = format!("'{ACCESS}'");
    refused(
        &lab,
        APPLY,
        &key(&quoted, SECRET),
        &["OS_ACCESS_KEY contains a quotation mark"],
    );
    let line = format!("{PASSWORD}\n");
    let by_line = [by_name(), vars(&[("OS_PASSWORD", &line)])].concat();
    refused(
        &lab,
        APPLY,
        &by_line,
        &["OS_PASSWORD ends with a line break"],
    );
    let home = home(
        &format!(
            "clouds:\n  lab:\n    auth:\n      user_id: {USER_ID}\n      password: |\n        {PASSWORD}\n"
        ),
        "",
    );
    let entry = vec![home_var(home.path()), ("OS_CLOUD", "lab".to_owned())];
    refused(
        &lab,
        APPLY,
        &entry,
        &["password of entry lab", "line 6", "ends with a line break"],
    );
    assert_untouched(&lab, None);
}

#[test]
fn an_entry_that_the_user_names_is_filled_in_by_variables_and_wins_over_others() {
    let lab = lab();
    let home = home(
        &format!("clouds:\n  lab:\n    auth:\n      user_id: {MFA_USER_ID}\n"),
        "",
    );
    let named = [
        vec![home_var(home.path())],
        vars(&[
            ("OS_CLOUD", "lab"),
            ("OS_PASSWORD", PASSWORD),
            ("OS_PASSCODE", PASSCODE),
            ("OS_USERNAME", "stray"),
            ("OS_TOKEN", "stray"),
        ]),
    ]
    .concat();
    run(&lab, &["whoami"], &named)
        .exits(0)
        .says("OS_PASSWORD and OS_PASSCODE")
        .says("OS_TOKEN and OS_USERNAME are set but not used: OS_CLOUD names");
    assert_eq!(lab.sim.logins(), 1);
    // A file of the work tree is not a user: what it names is not filled in.
    lab.configure("credentials_from: lab");
    refused(
        &lab,
        APPLY,
        &vec![home_var(home.path())],
        &["but not password"],
    );
}

#[test]
fn a_login_of_another_cloud_is_not_sent_because_drspass_yaml_names_it() {
    let lab = lab();
    let home = cloud(&[
        "auth_url: https://iam.example.org/v3",
        "user_domain_name: acme",
    ]);
    lab.configure("credentials_from: lab");
    refused(
        &lab,
        APPLY,
        &vec![home_var(home.path())],
        &[
            "auth_url of entry lab",
            "is not the sealed identity service",
        ],
    );
}

#[test]
fn an_application_credential_is_named_as_not_supported() {
    let lab = lab();
    let given = vars(&[
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_APPLICATION_CREDENTIAL_ID", "canary-id"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "canary-credential"),
    ]);
    for args in [APPLY, &["whoami"], &["jobs"]] {
        refused(
            &lab,
            args,
            &given,
            &["application credential", "not supported"],
        );
    }
    let tagged = home(
        "clouds:\n  lab:\n    auth:\n      user_id: u\n      password: !vault |\n        canary-vault\n",
        "",
    );
    let entry = vec![home_var(tagged.path()), ("OS_CLOUD", "lab".to_owned())];
    refused(
        &lab,
        APPLY,
        &entry,
        &["clouds.yaml", "line 5", "tags are not supported"],
    );
}

#[test]
fn an_empty_variable_of_a_login_is_said_to_be_empty() {
    let lab = lab();
    for (more, told) in [
        (vars(&[("OS_TOKEN", "")]), "OS_TOKEN is empty"),
        (
            vars(&[("OS_USERNAME", USER), ("OS_PASSWORD", "")]),
            "OS_PASSWORD is empty",
        ),
    ] {
        refused(&lab, APPLY, &more, &[told]);
    }
    let besides = [by_name(), vars(&[("OS_CLOUD", "")])].concat();
    run(&lab, &["whoami"], &besides)
        .exits(0)
        .says("OS_CLOUD is empty");
}

#[test]
fn an_odd_project_id_is_refused_wherever_it_stands() {
    for odd in ["", "  ", "a/b", "..", "p?x=1", "p%2f"] {
        let lab = lab();
        for name in ["OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"] {
            let vars = [by_name(), vars(&[(name, odd)])].concat();
            for args in [&["plan"][..], APPLY, &["whoami"], &["jobs"]] {
                let words = match odd {
                    "" => [name, "is empty"],
                    _ => ["the project id from", name],
                };
                refused(&lab, args, &vars, &words);
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
    // A variable comes before an entry that no user named, and is said to.
    let named = vars(&[("OS_PROJECT_ID", lab.sim.project_id())]);
    refused(
        &lab,
        APPLY,
        &[entry.clone(), named.clone()].concat(),
        &[OTHER_PROJECT],
    );
    let alone = vec![entry[0].clone()];
    run(&lab, &["plan", "--preflight"], &[alone, named].concat())
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
    refused(&lab, APPLY, &cloud, &["the file is missing"]);
    let named = [cloud, vars(&[("OS_CLIENT_CONFIG_FILE", "clouds.yaml")])].concat();
    refused(&lab, APPLY, &named, &["is inside the work tree"]);
    let args = [APPLY, &["--token-file", "token.txt"]].concat();
    refused(&lab, &args, &Vars::new(), &["is inside the work tree"]);
}
