//! What sealing promises to refuse (design section 2.2): each refusal comes
//! before any connection.

use std::net::TcpListener;

use crate::support::{J1, Lab};

/// `apply` and `plan` are refused, and nobody was connected to.
#[track_caller]
fn refused(lab: &Lab, listener: &TcpListener, more: &[&str], code: i32, text: &str) {
    let connections = lab.sim.connections();
    lab.apply(more)
        .exits(code)
        .says(text)
        .says("Nothing was sent");
    assert_eq!(
        lab.sim.connections(),
        connections,
        "the simulator saw a connection"
    );
    listener.set_nonblocking(true).unwrap();
    assert!(
        listener.accept().is_err(),
        "the second listener saw a connection"
    );
}

/// Puts a manifest with a key of its own in place, made as anybody can who knows
/// drspass.yaml.
fn forge(lab: &Lab, password: &str) {
    let folder = lab.path("forge");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(lab.path("drspass.yaml"), folder.join("drspass.yaml")).unwrap();
    std::fs::write(
        folder.join("plain.yaml"),
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: '{password}' }}\n"),
    )
    .unwrap();
    lab.run(&["-C", "forge", "encrypt", "plain.yaml"]).exits(0);
    std::fs::copy(
        folder.join("passwords.yaml.age"),
        lab.path("passwords.yaml.age"),
    )
    .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_redirected_target_is_refused() {
    let lab = Lab::with_a_change();
    let (listener, other) = listener();
    let config = lab.read("drspass.yaml");
    let (endpoint, auth_url) = lab.addresses();
    for (from, to) in [
        (
            format!("endpoint: \"{endpoint}\""),
            format!("endpoint: \"{other}\""),
        ),
        (
            format!("auth_url: \"{auth_url}\""),
            format!("auth_url: \"{other}/v3\""),
        ),
        (
            lab.sim.project_id().to_owned(),
            "ffff456789abcdef0123456789abcdef".to_owned(),
        ),
    ] {
        let changed = config.replace(&from, &to);
        assert_ne!(changed, config, "{from} is in\n{config}");
        lab.write("drspass.yaml", changed);
        refused(&lab, &listener, &[], 1, "the manifest is sealed for");
        lab.run(&["plan"]).exits(1);
        lab.run(&["validate"]).exits(1);
    }
}

#[test]
fn an_untrusted_host_is_refused_and_can_only_be_named_by_the_user() {
    let lab = Lab::with_a_change();
    let (listener, _) = listener();
    let (endpoint, _) = lab.addresses();
    let config = lab.read("drspass.yaml");
    lab.write(
        "drspass.yaml",
        config.replace(&endpoint, "https://drs.example.com"),
    );
    refused(
        &lab,
        &listener,
        &[],
        1,
        "drs.example.com is not a host of a known cloud",
    );
    // Trusting it leads to the next check: it is still not the sealed target.
    refused(
        &lab,
        &listener,
        &["--trust-host", "drs.example.com"],
        1,
        "the manifest is sealed for",
    );
}

#[test]
fn a_manifest_forged_with_another_key_is_refused() {
    let lab = Lab::with_a_change();
    let (listener, _) = listener();
    let key_id = lab.run(&["validate"]).exits(0).stdout;
    let key_id = key_id
        .lines()
        .last()
        .unwrap()
        .trim_start_matches("key id: ")
        .to_owned();
    lab.run(&["plan", "--expect-key-id", &key_id]).exits(0);

    // A writer knows the recipients and the target, but not the key: he makes
    // a manifest of his own for the same target.
    forge(&lab, "canary-forged");
    refused(
        &lab,
        &listener,
        &["--expect-key-id", &key_id],
        1,
        "is expected",
    );
    refused(&lab, &listener, &[], 1, "the state was made with the key");
    lab.run(&["plan"]).exits(0).says("never set with this key");

    // Forged together with its state, only the expected id tells.
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    refused(
        &lab,
        &listener,
        &["--expect-key-id", &key_id],
        1,
        "is expected",
    );
    lab.run(&["plan", "--expect-key-id", "not-an-id"]).exits(1);
}

#[test]
fn a_new_key_is_accepted_on_purpose_and_sends_everything() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    forge(&lab, "canary-2");
    let lineage = lab.state()["body"]["lineage"].clone();
    lab.apply(&["--accept-new-key"]).exits(0);
    assert_eq!(lab.sent().len(), 3);
    assert_ne!(lab.state()["body"]["lineage"], lineage);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn changed_recipients_stop_every_writer_of_the_manifest() {
    let mut lab = Lab::with_a_change();
    let (_, recipient) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    let config = lab.read("drspass.yaml");
    let line = config
        .lines()
        .find(|line| line.contains("- \"age1"))
        .unwrap();
    let added = config.replace(line, &format!("{line}\n  - \"{recipient}\""));
    lab.write("drspass.yaml", added);
    let before = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.plant(&["canary-3"]);
    lab.manifest(&format!(
        "  {J1}:\n    source: {{ password: 'canary-3' }}\n"
    ))
    .exits(7)
    .says("recipients changed: + ")
    .says("run drspass rekey");
    assert_eq!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        before
    );
    lab.run(&["validate"]).exits(7);
}

#[test]
fn an_older_manifest_needs_leave() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let old = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.write("passwords.yaml.age", &old);
    let (listener, _) = listener();
    refused(&lab, &listener, &[], 1, "revision");
    lab.run(&["plan"]).exits(1);
    lab.apply(&["--allow-rollback"]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
    // The highest revision stays known.
    refused(&lab, &listener, &[], 1, "revision");
}

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
        (
            state[..state.len() / 2].to_owned(),
            "not a whole state file",
        ),
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
            "not a whole state file",
        ),
        ("[]".to_owned(), "not a whole state file"),
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
        .says("the state belongs to project");
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
    forge(&lab, "canary-forged");
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
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let old = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    lab.write("passwords.yaml.age", &old);
    let state = lab
        .read("drspass.state.json")
        .replace("\"sent\"", "\"adopted\"");
    lab.write("drspass.state.json", state);
    lab.run(&["state", "distrust"]).exits(1).says("revision");
}

#[test]
fn a_manifest_that_is_gone_is_not_made_anew_unasked() {
    let lab = Lab::with_a_change();
    let plain = format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-x' }}\n");
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    lab.document(&plain).exits(1).says("the manifest is gone");
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    lab.write("plain.yaml", &plain);
    let mut command = lab.command(&["encrypt", "plain.yaml"]);
    command.env("DRSPASS_EXPECT_KEY_ID", "0123456789abcdef0123456789abcdef");
    lab.run_command(command)
        .exits(1)
        .says("the manifest is gone");
    assert!(!lab.exists("passwords.yaml.age"));
    lab.write("passwords.yaml.age", "something: else\n");
    lab.run(&["encrypt", "plain.yaml"])
        .exits(1)
        .says("is not encrypted");
    assert_eq!(lab.read("passwords.yaml.age"), "something: else\n");
}

#[test]
fn an_expected_key_id_that_is_set_and_empty_is_refused() {
    let lab = Lab::with_a_change();
    let mut command = lab.command(&["plan"]);
    command.env("DRSPASS_EXPECT_KEY_ID", "");
    lab.run_command(command)
        .exits(1)
        .says("the expected key id is not 32");
}

#[test]
fn init_never_replaces_a_manifest() {
    let lab = Lab::with_a_change();
    let manifest = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    std::fs::remove_file(lab.path("drspass.yaml")).unwrap();
    lab.run(&["init", "--region", "eu-de", "--project-id", "p"])
        .exits(1)
        .says("passwords.yaml.age exists already");
    assert_eq!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        manifest
    );
    assert!(!lab.exists("drspass.yaml"));
}

#[test]
fn init_makes_no_new_key_where_there_was_one() {
    let lab = Lab::with_a_change();
    std::fs::remove_file(lab.path("passwords.yaml.age")).unwrap();
    lab.run(&["init"]).exits(1).says("the manifest is gone");
    std::fs::remove_file(lab.path("drspass.state.json")).unwrap();
    let expected = "0123456789abcdef0123456789abcdef";
    lab.run(&["init", "--expect-key-id", expected])
        .exits(1)
        .says("the manifest is gone");
    assert!(!lab.exists("passwords.yaml.age"));
}

#[test]
fn plain_text_older_than_the_manifest_or_for_elsewhere_is_not_sealed() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let old = lab.run(&["decrypt"]).exits(0).stdout;
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.document(&old)
        .exits(1)
        .says("the plain text is of revision");
    let new = lab.run(&["decrypt"]).exits(0).stdout;
    let (endpoint, _) = lab.addresses();
    lab.document(new.replace(&endpoint, "https://drs.example.com"))
        .exits(1)
        .says("the manifest is sealed for https://drs.example.com");
    lab.document(&new).exits(0);
}

#[test]
fn a_proxy_in_the_environment_sees_nothing_of_a_loopback_target() {
    let lab = Lab::with_a_change();
    let (listener, proxy) = listener();
    listener.set_nonblocking(true).unwrap();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, &proxy);
    }
    lab.run_command(command).exits(0);
    assert!(listener.accept().is_err());
}

#[test]
fn a_token_with_a_line_end_works_and_one_with_a_break_inside_is_refused_unsent() {
    let lab = Lab::with_a_change();
    let connections = lab.sim.connections();
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env("OS_TOKEN", "canary-token\n0123");
    lab.run_command(command)
        .exits(1)
        .says("control character at position 13");
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command.env_remove("OS_TOKEN");
    lab.run_command(command).exits(1).says("OS_TOKEN");
    assert_eq!(lab.sim.connections(), connections);

    let mut command = lab.command(&["apply", "--auto-approve"]);
    command
        .env_remove("OS_TOKEN")
        .env("OS_AUTH_TOKEN", format!("{}\r\n", crate::support::TOKEN));
    lab.run_command(command).exits(0);
}
