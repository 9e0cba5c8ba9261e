//! What is shipped inside the program: completions, man pages, schemas. The saved plan
//! against its schema, and the script that runs the tests.

use std::fs;
use std::path::Path;

use drspass::sim::{EndPointType, Fault, FaultKind};
use serde_json::Value;

use crate::looped::refuse;
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, J2, J3, Lab};

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.run(&["completions", shell]).exits(0).stdout;
        for word in [
            "drspass",
            "apply",
            "auto-approve",
            "gitlab-report",
            "scenario",
        ] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    lab.run(&["completions", "tcsh"]).exits(64);
    lab.run(&["completions"]).exits(64);
    // The script is one that the shell takes.
    let script = lab.run(&["completions", "bash"]).exits(0).stdout;
    let path = lab.path("drspass.bash");
    fs::write(&path, script).unwrap();
    let checked = std::process::Command::new("bash")
        .arg("-n")
        .arg(&path)
        .status();
    assert!(checked.unwrap().success());
}

#[test]
fn a_man_page_is_written_for_each_command() {
    let lab = Lab::new();
    let page = lab.run(&["man"]).exits(0).stdout;
    for part in [
        ".TH DRSPASS 1",
        ".SH NAME",
        ".SH SYNOPSIS",
        ".SH \"EXIT STATUS\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert_eq!(page.matches("the outcome of at least one").count(), 1);
    fs::create_dir(lab.path("man")).unwrap();
    lab.run(&["man", "--dir", "man"])
        .exits(0)
        .says("pages to man");
    for name in [
        "drspass",
        "drspass-plan",
        "drspass-state",
        "drspass-state-rm",
    ] {
        let page = fs::read_to_string(lab.path(&format!("man/{name}.1"))).unwrap();
        assert!(
            page.contains(&format!(".TH {} 1", name.to_uppercase())),
            "{page}"
        );
        for part in [
            "EXAMPLES",
            "ENVIRONMENT",
            "FILES",
            "\"EXIT STATUS\"",
            "\"SEE ALSO\"",
        ] {
            assert!(page.contains(&format!(".SH {part}\n")), "{name}: {part}");
        }
    }
    let plan = fs::read_to_string(lab.path("man/drspass-plan.1")).unwrap();
    assert!(plan.contains("terraform"), "{plan}");
    assert!(
        plan.contains("drspass(1), drspass\\-apply(1), age(1), git(1)"),
        "{plan}"
    );
    // A link in that folder may lead to anything.
    lab.write("mine", "mine");
    fs::remove_file(lab.path("man/drspass-plan.1")).unwrap();
    std::os::unix::fs::symlink("../mine", lab.path("man/drspass-plan.1")).unwrap();
    lab.run(&["man", "--dir", "man"])
        .exits(1)
        .says("it is a link");
    assert_eq!(lab.read("mine"), "mine");
    lab.run(&["man", "--dir", "nowhere"])
        .exits(1)
        .says("cannot write");
}

#[test]
fn every_schema_of_the_repository_is_shipped_as_it_is() {
    let lab = Lab::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".schema.json").unwrap().to_owned()
        })
        .collect();
    names.sort();
    let listed = lab.run(&["schema"]).exits(0).stdout;
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, names);
    for name in names {
        let shipped = lab.run(&["schema", &name]).exits(0).stdout;
        let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(shipped, fs::read_to_string(path).unwrap());
        schema(&name);
    }
    let run = lab.run(&["schema", "canary-x"]).exits(64);
    assert!(!run.all().contains("canary"), "{}", run.all());
}

#[test]
fn saved_plans_of_every_kind_of_entry_fit_their_schema() {
    let schema = schema("plan");
    let fits = |text: &str| {
        let plan: Value = serde_json::from_str(text).unwrap();
        assert_fits(&schema, &plan);
        assert_closed(&schema, &plan);
        plan
    };
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plan-v1.json");
    fits(&fs::read_to_string(sample).unwrap());

    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }\nlimits: { max_changes: 40 }");
    lab.plant(&[
        "canary-domain",
        "canary-1",
        "canary-2",
        "canary-3",
        "canary-4",
    ]);
    let manifest = |lab: &Lab, first: &str| {
        lab.manifest(&format!(
            "  {J1}:\n    name: orders\n    source: {{ password: '{first}' }}\n    destination:\n      \
             password: 'canary-2'\n      kerberos: {{ domain_name: 'canary-domain' }}\n  {J2}:\n    \
             source: {{ password: 'canary-3' }}\n    destination: {{ password: 'canary-3' }}\n"
        ))
        .exits(0);
    };
    manifest(&lab, "canary-1");
    lab.run(&["plan", "--out", "first.json"]).exits(0);
    let first = fits(&lab.read("first.json"));
    assert!(first["body"]["state"]["absent"].is_object());

    lab.sim
        .inject(refuse(J1, EndPointType::Destination, "DRS.M00304"));
    lab.sim
        .inject(refuse(J2, EndPointType::Source, "DRS.KE0002"));
    lab.run(&["apply", "first.json"]).exits(3);
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&[
        "--only",
        "orders/destination",
        "--resend",
        "orders/destination",
    ])
    .exits(4);
    manifest(&lab, "canary-4");
    lab.run(&[
        "plan",
        "--out",
        "second.json",
        "--resend",
        &format!("{J2}/destination"),
    ])
    .exits(0);
    let second = fits(&lab.read("second.json"));
    let reasons: Vec<String> = second["body"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| match &entry["reason"] {
            Value::String(reason) => reason.clone(),
            reason => reason.as_object().unwrap().keys().next().unwrap().clone(),
        })
        .collect();
    assert_eq!(reasons, ["changed", "in_doubt", "wrong_password", "resend"]);
    lab.passwords(&[(J3, "source", "canary-5")]);
    lab.run(&["plan", "--out", "third.json"]).exits(0);
    let third = fits(&lab.read("third.json"));
    assert_eq!(third["body"]["unlisted"].as_array().unwrap().len(), 4);
}

/// A machine on which everything is there that `tests/run` looks for, and each program
/// writes how it was called to `calls`.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(uid: u32) -> Self {
        let bench = Self {
            dir: tempfile::TempDir::new().unwrap(),
        };
        for name in ["bash", "dirname", "cat"] {
            let real = Path::new("/usr/bin").join(name);
            std::os::unix::fs::symlink(real, bench.path(name)).unwrap();
        }
        bench.add("id", &format!("echo {uid}"));
        for name in ["cc", "script", "setsid", "git", "ssh-keygen", "cargo"] {
            bench.add(name, "");
        }
        for name in ["curl", "strace", "vim", "vim.tiny", "nano"] {
            bench.add(name, "");
        }
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn add(&self, name: &str, does: &str) {
        let calls = self.path("calls");
        let log = format!("echo {name} \"$@\" >>{}", calls.display());
        let log = if name == "id" { "" } else { &log };
        fs::write(self.path(name), format!("#!/bin/sh\n{log}\n{does}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.path(name), mode).unwrap();
    }

    /// Runs the script. Returns its code, its messages and the programs that it ran.
    fn run(&self) -> (Option<i32>, String, Vec<String>) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run");
        let output = std::process::Command::new(script)
            .args(["--", "slow_"])
            .env_clear()
            .env("PATH", self.dir.path())
            .output()
            .unwrap();
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let calls = calls.lines().map(str::to_owned).collect();
        let messages = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), messages, calls)
    }
}

#[test]
fn tests_run_names_a_missing_package_and_stops_where_it_may_not_install() {
    for (uid, apt_get, sudo) in [
        (1000, true, None),
        (1000, true, Some("exit 1")),
        (0, false, None),
        (1000, false, Some("")),
    ] {
        let bench = Bench::new(uid);
        if apt_get {
            bench.add("apt-get", "");
        }
        if let Some(does) = sudo {
            bench.add("sudo", does);
        }
        let (code, messages, calls) = bench.run();
        assert_eq!(code, Some(1), "{messages}");
        assert!(messages.contains("age: "), "{messages}");
        assert!(messages.contains("apt-get install age"), "{messages}");
        assert!(!messages.contains("openssh-client"), "{messages}");
        let ran = |name: &str| calls.iter().any(|call| call.starts_with(name));
        assert!(!ran("cargo") && !ran("apt-get"), "{calls:?}");
    }
}

#[test]
fn tests_run_installs_what_is_missing_where_it_may_and_runs_the_tests() {
    const TESTS: &str = "cargo test --locked -- slow_";
    for (uid, sudo) in [(0, false), (1000, true)] {
        let bench = Bench::new(uid);
        let age = bench.path("age");
        let does = format!("/bin/cp {} {}", bench.path("git").display(), age.display());
        bench.add("apt-get", &does);
        if sudo {
            bench.add("sudo", "shift; [ \"$1\" = true ] || \"$@\"");
        }
        let (code, messages, calls) = bench.run();
        assert_eq!(code, Some(0), "{messages}");
        let wanted = "apt-get install -y -qq --no-install-recommends age";
        assert!(calls.iter().any(|call| call == wanted), "{calls:?}");
        assert_eq!(calls.last().map(String::as_str), Some(TESTS));
        // With everything there, nothing else is run.
        fs::remove_file(bench.path("calls")).unwrap();
        assert_eq!(bench.run().2, [TESTS]);
        // What an installation did not bring is missing still.
        fs::remove_file(age).unwrap();
        bench.add("apt-get", "");
        let (code, messages, calls) = bench.run();
        assert_eq!(code, Some(1), "{messages}");
        assert_eq!(calls.iter().filter(|call| *call == TESTS).count(), 1);
    }
}
