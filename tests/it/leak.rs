//! Planted passwords are found in `decrypt` output and in what the simulator
//! received, and nowhere else.

use drspass::sim::{Answer, Fault, FaultKind};

use crate::support::{J1, J2, Lab, leaks};

/// Passwords that every encoding writes differently.
const PLANTED: [&str; 4] = [
    "canary-Zx\"9\\q!fern",
    "canary-grün ist 100% %41",
    "canary-</script>&amp;${HOME}",
    "canary-plain-0123456789",
];

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.plant(&PLANTED);
    let quoted: Vec<String> = PLANTED
        .iter()
        .map(|p| serde_json::to_string(p).unwrap())
        .collect();
    lab.manifest(&format!(
        "  {J1}:\n    name: orders\n    source: {{ password: {} }}\n    destination:\n      password: {}\n      \
         kerberos: {{ domain_name: {} }}\n  {J2}:\n    source: {{ password: {} }}\n",
        quoted[0], quoted[1], quoted[2], quoted[3]
    ))
    .exits(0);
    lab
}

#[test]
fn the_search_finds_what_it_should_find() {
    let lab = lab();
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    lab.apply(&[]).exits(0);
    let requests = lab.sim.requests();
    let body = requests.last().unwrap().body().unwrap();
    for secret in PLANTED {
        assert!(leaks::found(secret, plain.as_bytes()).is_some(), "{secret}");
        assert!(leaks::found(secret, body).is_some(), "{secret}");
    }
    for form in leaks::forms(PLANTED[0]) {
        let text = format!("before {form} after");
        assert!(leaks::found(PLANTED[0], text.as_bytes()).is_some());
    }
}

#[test]
fn no_command_at_any_verbosity_shows_or_stores_a_password() {
    let lab = lab();
    for args in [
        &["validate"][..],
        &["show"],
        &["plan"],
        &["apply", "--auto-approve"],
        &["plan", "--resend", "*"],
        &["apply", "--auto-approve", "--resend", "*"],
        &["state", "list"],
        &["lock", "show"],
    ] {
        let mut command = lab.command(&[&["-vvv"], args].concat());
        command
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        lab.run_command(command).exits(0);
    }
}

#[test]
fn a_trace_of_failing_requests_shows_no_password_token_or_body() {
    for kind in [
        FaultKind::CloseAfter,
        FaultKind::Html {
            http: 502,
            act_first: false,
        },
        FaultKind::NotJson,
        FaultKind::Status(Answer {
            http: 400,
            code: "DRS.M00201".to_owned(),
            ..Answer::default()
        }),
        FaultKind::TokenExpired {
            http: 401,
            code: None,
        },
        FaultKind::EchoPassword {
            form: Default::default(),
            which: Default::default(),
        },
    ] {
        let lab = lab();
        lab.sim.inject(Fault::always(kind));
        let mut command = lab.command(&["-vvv", "apply", "--auto-approve"]);
        command.env("RUST_LOG", "trace");
        let run = lab.run_command(command);
        assert_ne!(run.code, Some(0));
        assert!(
            run.stderr.contains("batch-modify-pwd"),
            "the trace names the call:\n{}",
            run.stderr
        );
    }
}

#[test]
fn a_killed_run_leaves_no_password_behind() {
    let lab = lab();
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: true }));
    let mut child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    assert!(lab.sim.wait_for_put(1, std::time::Duration::from_secs(60)));
    child.kill().unwrap();
    child.wait().unwrap();
    lab.assert_files_clean();
    assert!(lab.exists("drspass.state.json.journal"));
}

#[test]
fn equal_passwords_have_different_records_that_no_unkeyed_digest_matches() {
    use sha2::{Digest as _, Sha256};
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-same"), (J2, "source", "canary-same")]);
    lab.apply(&[]).exits(0);
    let record = |job| lab.entry(job, "source")["applied"]["prints"]["password"].clone();
    assert_ne!(record(J1), record(J2));
    let digest: String = Sha256::digest(b"canary-same")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert!(!lab.read("drspass.state.json").contains(&digest));
    assert!(
        !lab.read("drspass.state.json").contains("\"11\""),
        "no length"
    );
}

#[test]
fn a_plaintext_copy_is_private_and_never_written_over_anything() {
    let lab = lab();
    lab.run(&["decrypt", "-o", "plain.yaml"]).exits(0);
    assert_eq!(crate::support::mode(&lab.path("plain.yaml")), 0o600);
    let before = lab.read("plain.yaml");
    lab.run(&["decrypt", "-o", "plain.yaml"])
        .exits(1)
        .says("exists already");
    assert_eq!(lab.read("plain.yaml"), before);
    std::os::unix::fs::symlink("nowhere", lab.path("dangling")).unwrap();
    lab.run(&["decrypt", "-o", "dangling"]).exits(1);
    assert!(!lab.exists("nowhere"));
}
