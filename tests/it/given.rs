//! Secrets that were typed or set where a path was to be: nothing repeats them, and
//! nothing is made of them.

use std::fs;
use std::path::Path;

use crate::support::leaks::found;
use crate::support::{Lab, Run};

/// Texts that may be secrets, and what of them may be seen nowhere.
fn secrets() -> Vec<(String, &'static str)> {
    let random = "canaryQx7".repeat(5);
    vec![
        ("AGE-SECRET-KEY-1CANARYQX7".to_owned(), "CANARYQX7"),
        ("'age-secret-key-1canaryqx7'".to_owned(), "canaryqx7"),
        ("AGE-PLUGIN-STUB-1CANARYQX7".to_owned(), "CANARYQX7"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\ncanaryQx7\n-----END".to_owned(),
            "canaryQx7",
        ),
        ("first\ncanaryQx7".to_owned(), "canaryQx7"),
        (random.clone(), "canaryQx7"),
        (format!("{random}/{random}/{random}.x"), "canaryQx7"),
        (format!("./{random}{random}{random}"), "canaryQx7"),
    ]
}

/// The names and contents of everything below a folder.
fn everything(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            all.extend(everything(&path));
        } else {
            all.extend(fs::read(&path).unwrap());
        }
    }
    all
}

#[track_caller]
fn unrepeated(lab: &Lab, run: &Run, secret: &str) {
    for (place, content) in [
        ("stdout", run.stdout.as_bytes()),
        ("stderr", run.stderr.as_bytes()),
        ("a file", &everything(lab.dir.path())),
    ] {
        let form = found(secret, content);
        assert!(form.is_none(), "{place} has {form:?}\n{}", run.all());
    }
}

#[test]
fn a_secret_in_place_of_a_path_is_repeated_nowhere() {
    let mut lab = Lab::new();
    lab.passwords(&[(crate::support::J1, "source", "canary-1")]);
    let target = ["--region", "eu-de", "--project-id", "p"];
    fs::create_dir(lab.path("new")).unwrap();
    let init = [&["init", "-C", "new"][..], &target].concat();
    let options: [(&[&str], &str); 22] = [
        (&["plan"], "--identity"),
        (&["plan", "--json"], "--identity"),
        (&["plan", "--github"], "--identity"),
        (&["validate", "--json"], "--identity"),
        (&["apply", "--auto-approve", "--json"], "--identity"),
        (&init, "--identity"),
        (&["plan"], "--state"),
        (&["plan", "--json"], "--directory"),
        (&["plan"], "--out"),
        (&["plan", "--github"], "--markdown"),
        (&["plan"], "--gitlab-report"),
        (&["decrypt"], "--output"),
        (&["decrypt"], "FILE"),
        (&["encrypt"], "FILE"),
        (&["show"], "PLAN"),
        (&["apply", "--json"], "PLAN"),
        (&["import"], "FILE"),
        (&["set", "orders/source"], "--from-file"),
        (&["whoami"], "--token-file"),
        (&["jobs", "--json"], "--ca-file"),
        (&["state", "recover"], "FILE"),
        (&["man"], "--dir"),
    ];
    for (secret, part) in secrets() {
        for (args, option) in options {
            let mut args = args.to_vec();
            if option.starts_with("--") {
                args.push(option);
            }
            args.push(&secret);
            let run = lab.run(&args);
            unrepeated(&lab, &run, part);
            let run = run.says("Nothing was sent or written.");
            if secret.starts_with('-') {
                // It is no value for the parser.
                run.exits(64).says("argument ").says("DRSPASS_IDENTITY_KEY");
                continue;
            }
            let run = run.exits(1).says(option);
            if option == "--identity" {
                run.says("DRSPASS_IDENTITY_KEY");
            }
        }
        for (name, args) in [
            ("DRSPASS_IDENTITY", &["plan"][..]),
            ("DRSPASS_IDENTITY", &["plan", "--json"]),
            ("DRSPASS_IDENTITY", &["plan", "--github"]),
            ("DRSPASS_IDENTITY", &["validate", "--json"]),
            ("DRSPASS_IDENTITY", &init),
            ("DRSPASS_STATE", &["plan"]),
            ("DRSPASS_STATE", &["apply", "--auto-approve"]),
            ("DRSPASS_STATE", &["state", "list"]),
            ("GITHUB_OUTPUT", &["plan", "--github"]),
            ("GITHUB_STEP_SUMMARY", &["plan", "--github"]),
        ] {
            let mut command = lab.command(args);
            command.env(name, &secret);
            let run = lab.run_command(command).exits(1).says(name);
            unrepeated(&lab, &run, part);
            if name == "DRSPASS_IDENTITY" {
                run.says("DRSPASS_IDENTITY_KEY");
            }
        }
    }
    assert_eq!(fs::read_dir(lab.path("new")).unwrap().count(), 0);
}

#[test]
fn a_secret_in_place_of_another_argument_is_not_repeated_either() {
    let lab = Lab::new();
    let key = "AGE-SECRET-KEY-1CANARYQX7";
    for (args, code) in [
        (&["set", key][..], 1),
        (&["unset", key], 1),
        (&["state", "show", key], 1),
        (&["plan", "--only", key], 1),
        (&["init", "--recipient", key], 1),
        (&["plan", "--trust-host", key], 1),
        (&["plan", "--expect-key-id", key], 1),
        (&["whoami", "--cloud", key], 1),
        (&["plan", key], 64),
        (&[key], 64),
        (&["plan", "--color", key], 64),
        (&["--AGE-SECRET-KEY-1CANARYQX7"], 64),
        (&["plan", "--AGE-SECRET-KEY-1CANARYQX7=x"], 64),
    ] {
        let run = lab.run(args);
        assert_eq!(run.code, Some(code), "{args:?}\n{}", run.all());
        unrepeated(&lab, &run, "CANARYQX7");
    }
}

#[test]
fn a_short_secret_in_place_of_its_file_is_not_repeated() {
    let lab = Lab::new();
    for args in [
        &["set", "orders/source", "--from-file", "canaryQx7"][..],
        &["import", "orders/source,canaryQx7"],
        &["whoami", "--token-file", "canaryQx7"],
    ] {
        let run = lab.run(args).exits(1).says("does not exist");
        unrepeated(&lab, &run, "canaryQx7");
    }
}

#[test]
fn long_paths_of_files_that_are_there_or_could_be_are_taken() {
    let mut lab = Lab::new();
    lab.passwords(&[(crate::support::J1, "source", "canary-1")]);
    let folder = format!("{}/{}", "long".repeat(15), "name".repeat(15));
    fs::create_dir_all(lab.path(&folder)).unwrap();
    let key = format!("{folder}/key.txt");
    fs::copy(lab.path("key.txt"), lab.path(&key)).unwrap();
    let plan = format!("{folder}/plan.json");
    let state = format!("{folder}/state.json");
    let args = ["-i", &key, "--state", &state, "plan", "--out", &plan];
    lab.run(&args).exits(0);
    assert!(lab.exists(&plan));
    fs::remove_file(lab.path(&key)).unwrap();
    lab.run(&["-i", &key, "plan"]).exits(1).says("cannot read");
}

#[test]
fn a_secret_in_place_of_certificates_or_of_the_name_of_a_cloud_is_not_repeated() {
    let lab = Lab::new();
    let home = tempfile::TempDir::new().unwrap();
    let clouds = home.path().join("clouds.yaml");
    for (secret, part) in secrets() {
        let entry = serde_json::json!({"clouds": {"one": {
            "cacert": format!("/{secret}{secret}{secret}"),
            "auth": {"token": "canary-token"},
        }}});
        fs::write(&clouds, entry.to_string()).unwrap();
        for name in ["OS_CACERT", "OS_CA_CERT", "OS_CLOUD", "cacert"] {
            let mut command = lab.command(&["whoami"]);
            command.env("OS_CLIENT_CONFIG_FILE", &clouds);
            if name == "cacert" {
                command.env("OS_CLOUD", "one");
            } else {
                command.env(name, &secret);
            }
            unrepeated(&lab, &lab.run_command(command).exits(1), part);
        }
        let config = lab.read("drspass.yaml");
        let named = serde_json::json!(secret);
        lab.write(
            "drspass.yaml",
            format!("{config}\ncredentials_from: {named}\n"),
        );
        let mut command = lab.command(&["whoami"]);
        command
            .env("OS_CLIENT_CONFIG_FILE", &clouds)
            .env_remove("OS_TOKEN");
        let run = lab.run_command(command).exits(1);
        lab.write("drspass.yaml", config);
        unrepeated(&lab, &run, part);
    }
}
