//! States and journals that were edited, damaged, or belong elsewhere.

use super::{lab_with_an_older_manifest, listener, refused};
use crate::support::{J1, Lab};

#[test]
fn an_edited_state_is_refused() {
    let lab = Lab::with_a_change();
    let (listener, _) = listener();
    let state = lab.read("drspass.state.json");
    for (from, to) in [
        ("\"serial\":", "\"serial\":1"),
        ("\"origin\":\"sent\"", "\"origin\":\"adopted\""),
        (J1, "21df459d-a37c-41b9-bc2b-8c00ba32jb51"),
        ("\"entries\":{", "\"entries\":{ "),
    ] {
        let edited = state.replacen(from, to, 1);
        assert_ne!(edited, state, "{from}");
        lab.write("drspass.state.json", edited);
        refused(&lab, &listener, &[], 1, "state was changed outside drspass");
        lab.run(&["plan"]).exits(1).says("state distrust");
        lab.run(&["state", "list"])
            .exits(0)
            .says("not authenticated");
    }
}

#[test]
fn a_damaged_or_newer_state_is_refused_and_never_written_over() {
    let lab = Lab::with_a_change();
    let (listener, _) = listener();
    let state = lab.read("drspass.state.json");
    for (content, text) in [
        (String::new(), "it is empty"),
        ("\n\n".to_owned(), "it is empty"),
        (state[..state.len() / 2].to_owned(), "incomplete or damaged"),
        (
            format!("<<<<<<< HEAD\n{state}=======\n{state}>>>>>>> x\n"),
            "conflict marks",
        ),
        (
            "{\"format\":\"drspass.state/2\",\"x\":1}".to_owned(),
            "does not know",
        ),
        (
            state.replace("drspass.state/1", "drspass.state/99"),
            "does not know",
        ),
        (
            state.replacen("{\"format\"", "{\"more\":1,\"format\"", 1),
            "incomplete or damaged",
        ),
        ("[]".to_owned(), "incomplete or damaged"),
    ] {
        lab.write("drspass.state.json", &content);
        let connections = lab.sim.connections();
        lab.apply(&[]).exits(1).says(text);
        lab.run(&["plan"]).exits(1).says(text);
        lab.run(&["state", "list"]).exits(1).says(text);
        assert_eq!(lab.sim.connections(), connections);
        assert!(listener.set_nonblocking(true).is_ok() && listener.accept().is_err());
        assert_eq!(lab.read("drspass.state.json"), content);
    }
}

#[test]
fn a_state_of_another_project_is_refused() {
    let lab = Lab::with_a_change();
    // The same manifest moved to another project, by a reader who has the key.
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let other = "ffffba152d480d55b2f5dc0069e7ddef";
    let moved = |text: &str| text.replace(lab.sim.project_id(), other);
    std::fs::create_dir(lab.path("moved")).unwrap();
    lab.write("moved/drspass.yaml", moved(&lab.read("drspass.yaml")));
    lab.write("moved/plain.yaml", moved(&plain));
    lab.run(&["-C", "moved", "encrypt", "plain.yaml"]).exits(0);
    std::fs::copy(
        lab.path("drspass.state.json"),
        lab.path("moved/drspass.state.json"),
    )
    .unwrap();
    let connections = lab.sim.connections();
    lab.run(&["-C", "moved", "-i", "../key.txt", "apply", "--auto-approve"])
        .exits(1)
        .says("the state belongs to another target: project");
    assert_eq!(lab.sim.connections(), connections);
}

#[test]
fn an_edited_or_foreign_journal_is_refused() {
    let lab = Lab::with_a_change();
    let (listener, _) = listener();
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let name = "drspass.state.json.journal";
    let journal = lab.read(name);
    let lines: Vec<&str> = journal.lines().collect();
    assert_eq!(lines.len(), 2);
    let swapped = format!("{}\n{}\n", lines[1], lines[0]);
    let repeated = format!("{journal}{}\n", lines[1]);
    let headless = format!("{}\n", lines[1]);
    for edited in [
        journal.replace("\"applied\"", "\"refused\""),
        journal.replace(J1, "21df459d-a37c-41b9-bc2b-8c00ba32jb51"),
        journal.replacen("\"serial\":", "\"serial\":1", 1),
        swapped,
        repeated,
        headless,
        "{}\n".to_owned(),
        "garbage\n".to_owned(),
        "\n".to_owned(),
    ] {
        assert_ne!(edited, journal);
        lab.write(name, &edited);
        refused(&lab, &listener, &[], 1, "drspass.state.json.journal");
        lab.run(&["plan"]).exits(1);
        assert_eq!(lab.read(name), edited);
    }
    // The journal of one state beside another state of the same lineage.
    lab.write(name, &journal);
    std::fs::copy(
        lab.path("drspass.state.json.backup"),
        lab.path("drspass.state.json"),
    )
    .unwrap();
    refused(&lab, &listener, &[], 1, "does not belong to the state");
    // And beside no state at all.
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    refused(&lab, &listener, &[], 1, "does not belong to the state");
}

#[test]
fn a_journal_of_another_run_from_the_same_state_is_refused() {
    // Two copies of one root: the first run is killed after its value was
    // confirmed, the second one before it sent anything.
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-a")]);
    lab.apply(&[]).exits(0);
    let base = lab.read("drspass.state.json");
    let name = "drspass.state.json.journal";
    lab.passwords(&[(J1, "source", "canary-b")]);
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let journal = lab.read(name);
    lab.write("drspass.state.json", base);
    std::fs::remove_file(lab.path(name)).unwrap();
    lab.passwords(&[(J1, "source", "canary-c")]);
    lab.killed_at("apply.before_first_send", 1, &["apply", "--auto-approve"]);
    lab.write(name, journal);
    let (listener, _) = listener();
    refused(&lab, &listener, &[], 1, "does not belong to the state");
    lab.run(&["plan"]).exits(1);
    lab.run(&["state", "distrust"]).exits(0);
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-c"));
}

#[test]
fn a_refusal_for_another_key_leaves_the_journal_of_this_one_alone() {
    let lab = Lab::with_a_change();
    lab.killed_at("apply.before_fold", 1, &["apply", "--auto-approve"]);
    let manifest = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    let journal = lab.read("drspass.state.json.journal");
    lab.forge("canary-forged");
    lab.apply(&[])
        .exits(1)
        .says("the state was made with the key");
    lab.run(&["state", "distrust"])
        .exits(1)
        .says("the state was made with the key");
    assert_eq!(lab.read("drspass.state.json.journal"), journal);
    lab.write("passwords.yaml.age", manifest);
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("an apply was cut off");
}

#[test]
fn distrust_does_not_open_the_way_for_an_older_manifest() {
    let lab = lab_with_an_older_manifest();
    let state = lab
        .read("drspass.state.json")
        .replace("\"sent\"", "\"adopted\"");
    lab.write("drspass.state.json", state);
    lab.run(&["state", "distrust"]).exits(1).says("revision");
}
