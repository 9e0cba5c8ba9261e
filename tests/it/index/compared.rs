//! An index that does not belong to the manifest stops whatever sends or is approved.

use std::fs;

use super::{INDEX, MANIFEST, STATE, index, lab, rotate};
use crate::support::{J1, Lab};

const PLAN: &str = "plan.json";

/// What can be in place of the index, and whether its first lines show it.
fn tampered(right: &str, stale: &str) -> Vec<(&'static str, Option<String>, bool)> {
    let tag = right.split("destination: { password: \"").nth(1).unwrap();
    let other = right.replace(&tag[..16], "0123456789abcdef");
    let job = right.find("  11df").unwrap();
    vec![
        ("missing", None, true),
        ("stale", Some(stale.to_owned()), true),
        ("empty", Some(String::new()), true),
        ("a forged tag", Some(other), false),
        (
            "a forged name",
            Some(right.replace("name: orders", "name: 0rders")),
            false,
        ),
        ("a job less", Some(right[..job].to_owned()), false),
        ("a comment", Some(format!("{right}# reviewed\n")), false),
        ("a first comment", Some(format!("# ok\n{right}")), true),
        ("line ends", Some(right.replace('\n', "\r\n")), true),
        ("cut", Some(right.trim_end().to_owned()), false),
        (
            "a doubled key",
            Some(right.replace("jobs:\n", "jobs: {}\njobs:\n")),
            false,
        ),
        (
            "a hidden direction",
            Some(right.replace("orders-db", "orders\u{202e}-db")),
            false,
        ),
        (
            "a lookalike",
            Some(right.replace("orders-db", "\u{43e}rders-db")),
            false,
        ),
        (
            "a long line",
            Some(format!("{right}#{}\n", "x".repeat(10 << 20))),
            false,
        ),
    ]
}

fn put(lab: &Lab, content: Option<&String>) {
    match content {
        Some(content) => lab.write(INDEX, content),
        None => fs::remove_file(lab.path(INDEX)).unwrap(),
    }
}

#[test]
fn an_index_of_something_else_stops_plan_out_and_apply_before_any_connection() {
    let mut lab = Lab::new();
    rotate(&mut lab, "canary-first");
    let stale = index(&lab);
    rotate(&mut lab, "canary-second");
    let right = index(&lab);
    lab.run(&["plan", "--out", PLAN]).exits(0);
    let connections = lab.sim.connections();
    for (what, content, is_seen) in tampered(&right, &stale) {
        put(&lab, content.as_ref());
        let words = "the index that was reviewed does not belong to this manifest";
        for (args, code) in [
            (&["plan", "--out", "new.json"][..], 1),
            (&["plan", "--preflight", "--out", "new.json"], 1),
            (&["apply", "--auto-approve"], 1),
            (&["apply", PLAN], 5),
            (&["validate"], 1),
        ] {
            let run = lab.run(args);
            assert_eq!(run.code, Some(code), "{what}: {args:?}\n{}", run.all());
            let run = run.says(words).says("Nothing was sent.");
            assert!(run.all().contains(INDEX), "{what}: {}", run.all());
        }
        assert!(!lab.exists("new.json") && !lab.exists(STATE), "{what}");
        // Other commands look at its first lines alone, and warn.
        for args in [&["plan"][..], &["plan", "--json"]] {
            let run = lab.run(args).exits(0);
            let warned = run.stderr.contains("its index passwords.index.yaml");
            assert_eq!(warned, is_seen, "{what}: {}", run.stderr);
        }
        assert_eq!(lab.sim.connections(), connections, "{what}");
        lab.write(INDEX, &right);
    }
    lab.run(&["apply", PLAN]).exits(0);
    assert!(lab.sim.holds(J1, "destination", "canary-second"));
}

#[test]
fn an_unreadable_index_is_refused_as_well() {
    let lab = lab();
    fs::remove_file(lab.path(INDEX)).unwrap();
    fs::create_dir(lab.path(INDEX)).unwrap();
    lab.run(&["plan", "--out", PLAN])
        .exits(1)
        .says("is unreadable: it is not a regular file");
    lab.run(&["plan"]).exits(0).says("is unreadable");
}

#[test]
fn the_line_that_differs_is_named() {
    let lab = lab();
    let right = index(&lab);
    lab.write(INDEX, right.replace("name: orders", "name: 0rders"));
    let line = 1 + right
        .lines()
        .position(|line| line.contains("name: orders"))
        .unwrap();
    lab.run(&["plan", "--out", PLAN])
        .exits(1)
        .says(&format!("passwords.index.yaml: line {line} differs"));
}

#[test]
fn armor_and_line_ends_of_the_manifest_do_not_matter() {
    let lab = lab();
    let armored = lab.read(MANIFEST);
    lab.write(MANIFEST, armored.replace('\n', "\r\n"));
    lab.run(&["validate", "--require-encrypted", "--require-index"])
        .exits(0);
    lab.run(&["plan", "--out", PLAN]).exits(0);
}

#[test]
fn a_state_that_drspass_yaml_names_anew_is_refused_until_a_rekey_seals_it() {
    let lab = lab();
    lab.apply(&[]).exits(0);
    let config = lab.read("drspass.yaml");
    lab.write("drspass.yaml", config.replace(STATE, "other.json"));
    let connections = lab.sim.connections();
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["set", "orders/destination", "--generate"],
        &["state", "show"],
    ] {
        lab.run(args)
            .exits(1)
            .says("state of drspass.yaml is other.json, but the manifest is sealed for")
            .says("drspass state move PLACE");
    }
    lab.run(&["validate", "--require-encrypted"])
        .exits(1)
        .says("target.state: is drspass.state.json, but drspass.yaml says other.json");
    assert_eq!(lab.sim.connections(), connections);
    // The user may name another place, as a pipeline does.
    lab.write("drspass.yaml", &config);
    lab.run(&["--state", "elsewhere.json", "plan"]).exits(0);
    lab.write("drspass.yaml", config.replace(STATE, "other.json"));
    fs::rename(lab.path(STATE), lab.path("other.json")).unwrap();
    lab.run(&["rekey", "--yes"])
        .exits(0)
        .says("state: drspass.state.json");
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert!(index(&lab).contains("  state: other.json\n"));
}
