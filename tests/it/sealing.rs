//! What sealing promises to refuse (design section 2.2): each refusal comes
//! before any connection.

mod manifest;
mod revision;
mod state;

use std::net::TcpListener;

use crate::support::terminal::{APPROVAL, Terminal};
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
    let said = |hosts: &str, text: &str| {
        let mut command = lab.command(&["apply", "--auto-approve"]);
        command.env("DRSPASS_TRUSTED_HOSTS", hosts);
        lab.run_command(command).exits(1).says(text);
    };
    said(
        "iam.example.com,drs.example.com",
        "the manifest is sealed for",
    );
    said("iam.example.com", "is not a host of a known cloud");
    for host in [
        "https://drs.example.com",
        "drs.example.com:443",
        "drs.example.com iam.example.com",
    ] {
        said(host, "a trusted host is not a host name");
    }
}

#[test]
fn a_manifest_forged_with_another_key_is_refused() {
    let lab = Lab::with_a_change();
    let (listener, _) = listener();
    let key_id = lab.run(&["validate"]).exits(0).stdout;
    let mut lines = key_id.lines();
    let key_id = lines.find_map(|line| line.strip_prefix("key id: "));
    let key_id = key_id.unwrap().to_owned();
    lab.run(&["plan", "--expect-key-id", &key_id]).exits(0);

    // A writer knows the recipients and the target, but not the key: he makes
    // a manifest of his own for the same target.
    lab.forge("canary-forged");
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
    for args in [&["plan"][..], &["apply", "--auto-approve"]] {
        let mut command = lab.command(args);
        command.env("DRSPASS_EXPECT_KEY_ID", &key_id);
        lab.run_command(command).exits(1).says("is expected");
    }
    assert_eq!(lab.sent().len(), 1, "what was sent before");
    lab.run(&["plan", "--expect-key-id", "not-an-id"]).exits(1);
    // Whoever only changes or checks files asks what became of these.
    let other = "0".repeat(32);
    for args in [
        &["plan"][..],
        &["validate"],
        &["rekey", "--yes", "--new-key"],
        &["set", J1, "--generate"],
    ] {
        lab.run(&[args, &["--expect-key-id", &other]].concat())
            .exits(1)
            .says("Nothing was sent or changed.");
    }
}

#[test]
fn a_new_key_is_accepted_on_purpose_and_sends_everything() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    lab.forge("canary-2");
    let lineage = lab.state()["body"]["lineage"].clone();
    let number = revision::revision(&lab);
    // Only the key that the state names opens the way, and nobody guesses.
    let id = lab.state()["body"]["key_id"].as_str().unwrap().to_owned();
    lab.run(&["plan"])
        .exits(0)
        .says(&format!("--accept-new-key {id}"));
    lab.apply(&["--accept-new-key"]).exits(64);
    lab.apply(&["--accept-new-key", &"0".repeat(32)])
        .exits(1)
        .says(&format!("--accept-new-key {id}"));
    assert_eq!(lab.sent().len(), 2);
    lab.apply(&["--accept-new-key", &id])
        .exits(0)
        .says(&format!(
            "begins with revision {number}, the manifest's own"
        ));
    assert_eq!(lab.sent().len(), 3);
    assert_ne!(lab.state()["body"]["lineage"], lineage);
    assert_eq!(lab.state()["body"]["highest"], number);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_clone_behind_a_rekey_is_sent_to_the_newest_manifest_first() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    let files = ["passwords.yaml.age", "passwords.index.yaml"];
    let former = files.map(|name| lab.read(name));
    let source = format!("{J1}/source");
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    lab.run(&["set", &source, "--generate"]).exits(0);
    lab.apply(&[]).exits(0);
    let newest = revision::revision(&lab);
    for (name, bytes) in files.into_iter().zip(former) {
        lab.write(name, bytes);
    }
    let older = format!(
        "This manifest (revision {}) is older than the state's ({newest})",
        revision::revision(&lab)
    );
    let first = format!("{older}: take the newest one, such as with 'git pull'. ");
    lab.run(&["plan"]).exits(0).says(&first);
    lab.apply(&[])
        .exits(1)
        .says(&format!("Nothing was sent or changed. {first}"))
        .says("sends every password of this manifest");
    for args in [&["rekey", "--yes"][..], &["state", "distrust"]] {
        lab.run(args).exits(1).says(&first);
    }
    lab.run(&["set", &source, "--generate"])
        .exits(1)
        .says(&format!("Nothing was written. {first}"));
    let id = lab.state()["body"]["key_id"].as_str().unwrap().to_owned();
    let mut terminal = Terminal::start(lab.command(&["apply", "--accept-new-key", &id]));
    let shown = terminal.sees(APPROVAL);
    let question = shown.rsplit_once("This manifest").unwrap().1;
    assert!(question.contains("counts as never set."), "{shown}");
    terminal.types("no\n");
    lab.ended(terminal).exits(7);
    assert_eq!(lab.sent().len(), 3);
}

#[test]
fn a_variable_that_is_set_and_empty_is_refused_by_name() {
    let lab = Lab::with_a_change();
    for name in [
        "DRSPASS_EXPECT_KEY_ID",
        "DRSPASS_IDENTITY",
        "DRSPASS_MAX_CHANGES",
        "DRSPASS_STATE",
        "DRSPASS_STATE_PASSWORD",
        "DRSPASS_STATE_USERNAME",
        "DRSPASS_TRUSTED_HOSTS",
        "DRSPASS_WHO",
    ] {
        let mut command = lab.command(&["plan"]);
        command.env(name, "");
        lab.run_command(command)
            .exits(1)
            .says(&format!("{name} is empty"));
    }
    let mut command = lab.command(&["plan"]);
    command.env_remove("DRSPASS_IDENTITY");
    command.env("DRSPASS_IDENTITY_KEY", "");
    lab.run_command(command)
        .exits(1)
        .says("DRSPASS_IDENTITY_KEY is empty");
    lab.run(&["plan", "--expect-key-id", ""])
        .exits(1)
        .says("--expect-key-id is empty");
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

/// A state that knows a newer manifest than the one that is there.
fn lab_with_an_older_manifest() -> Lab {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    let old = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    lab.passwords(&[(J1, "source", "canary-2")]);
    lab.apply(&[]).exits(0);
    std::fs::copy(lab.path("passwords.yaml.age"), lab.path("newest.age")).unwrap();
    lab.put_manifest(&old);
    lab
}
