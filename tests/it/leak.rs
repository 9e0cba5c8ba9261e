//! Planted passwords are found in `decrypt` output and in what the simulator
//! received, and nowhere else. The same goes for kerberos values, the
//! fingerprint key, the identity and the token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drspass::sim::{CannedAnswer, Fault, FaultKind};

use crate::support::{J1, J2, Lab, Run, leaks};

/// Passwords that every encoding writes differently.
const PLANTED: [&str; 4] = [
    "canary-Zx\"9\\q!fern",
    "canary-grün ist 100% %41",
    "canary-</script>&amp;${HOME}",
    "canary-plain-0123456789",
];

/// The bytes of a keytab, which are no text.
const KEYTAB: &[u8] = b"\x05\x02\0\xffcanary-keytab\xfe\x80";
const KRB5_CONF: [&str; 2] = ["[canary-realms \"9\\q]", "  canary-kdc = 10.0.0.1"];
const DOMAIN: &str = "canary-domain.grün.example";
const PRINCIPAL: &str = "canary-user/admin@EXAMPLE?a=%41";

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.plant(&PLANTED);
    let keytab = STANDARD.encode(KEYTAB);
    lab.plant(&KRB5_CONF);
    lab.plant(&[DOMAIN, PRINCIPAL, &keytab]);
    lab.plant_bytes(KEYTAB);
    let key = fingerprint_key(&lab);
    lab.plant(&[&key]);
    lab.plant_bytes(&STANDARD.decode(&key).unwrap());
    seal(&lab, &PLANTED).exits(0);
    assert_eq!(fingerprint_key(&lab), key, "sealing keeps the key");
    lab
}

/// Seals these passwords, and all kerberos values.
fn seal(lab: &Lab, passwords: &[&str; 4]) -> Run {
    let quoted: Vec<String> = passwords
        .iter()
        .chain([&DOMAIN, &PRINCIPAL, &STANDARD.encode(KEYTAB).as_str()])
        .map(|p| serde_json::to_string(p).unwrap())
        .collect();
    lab.manifest(&format!(
        "  {J1}:\n    name: orders\n    source: {{ password: {} }}\n    destination:\n      \
         password: {}\n      kerberos:\n        domain_name: {}\n        user_principal: {}\n        \
         key_tab_file: {}\n        krb5_conf_file: |-\n          {}\n          {}\n  {J2}:\n    \
         source: {{ password: {} }}\n    destination: {{ password: {} }}\n",
        quoted[0],
        quoted[1],
        quoted[4],
        quoted[5],
        quoted[6],
        KRB5_CONF[0],
        KRB5_CONF[1],
        quoted[2],
        quoted[3],
    ))
}

/// The key that the manifest carries, in base64.
fn fingerprint_key(lab: &Lab) -> String {
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let line = plain
        .lines()
        .find_map(|line| line.trim().strip_prefix("fingerprint_key: "))
        .unwrap();
    line.trim_matches('"').to_owned()
}

/// Runs a command in every form of verbosity and colour, with all that logs and
/// reports of panics can be made to tell.
fn loudly(lab: &Lab, args: &[&str]) -> Run {
    loudly_with(lab, args, &[])
}

fn loudly_with(lab: &Lab, args: &[&str], vars: &[(&str, &str)]) -> Run {
    let mut command = lab.command(&[&["-vvv", "--color", "always"], args].concat());
    command
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .envs(vars.iter().copied());
    lab.run_command(command)
}

/// Every command that only looks, in every form of output.
fn look_at_everything(lab: &Lab) {
    for args in [
        &["validate"][..],
        &["validate", "--json"],
        &["validate", "--require-encrypted"],
        &["validate", "--require-encrypted", "--json"],
        &["show"],
        &["plan"],
        &["plan", "--json"],
        &["plan", "--diff"],
        &["plan", "--resend", "*"],
        &["plan", "--resend", "*", "--json"],
        &["plan", "--resend", "*", "--diff"],
        &["state", "list"],
        &["state", "show"],
        &["state", "show", "--json"],
        &["lock", "show"],
        &["decrypt"],
    ] {
        loudly(lab, args).exits(0);
    }
    // The state may not know the job yet.
    loudly(lab, &["state", "show", "orders"]);
}

#[test]
fn the_search_finds_what_it_should_find() {
    let lab = lab();
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    lab.apply(&[]).exits(0);
    let requests = lab.sim.requests();
    let body = requests.last().unwrap().body().unwrap();
    let keytab = STANDARD.encode(KEYTAB);
    for secret in PLANTED
        .into_iter()
        .chain(KRB5_CONF)
        .chain([DOMAIN, PRINCIPAL, &keytab])
    {
        assert!(leaks::found(secret, plain.as_bytes()).is_some(), "{secret}");
        assert!(leaks::found(secret, body).is_some(), "{secret}");
    }
    assert!(
        leaks::found(&fingerprint_key(&lab), body).is_none(),
        "the key never travels"
    );
    for form in leaks::forms(PLANTED[0]) {
        let text = format!("before {form} after");
        assert!(leaks::found(PLANTED[0], text.as_bytes()).is_some());
    }
}

#[test]
fn no_command_at_any_verbosity_and_in_any_form_shows_or_stores_a_secret() {
    let mut lab = lab();
    look_at_everything(&lab);
    loudly(&lab, &["apply"]).exits(7);
    loudly(&lab, &["apply", "--auto-approve"]).exits(0);
    look_at_everything(&lab);
    loudly(&lab, &["apply", "--auto-approve"]).exits(0);
    loudly(&lab, &["apply", "--auto-approve", "--json"]).exits(0);
    let changed = PLANTED.map(|password| format!("{password}-next"));
    let changed: [&str; 4] = std::array::from_fn(|n| changed[n].as_str());
    lab.plant(&changed);
    seal(&lab, &changed).exits(0);
    look_at_everything(&lab);
    loudly(&lab, &["apply", "--auto-approve", "--json"]).exits(0);
    loudly(
        &lab,
        &["apply", "--auto-approve", "--json", "--resend", "*"],
    )
    .exits(0);
}

#[test]
fn no_change_of_the_ledger_shows_or_stores_a_secret() {
    let lab = lab();
    loudly(&lab, &["state", "adopt", "orders"]).exits(7);
    loudly(&lab, &["state", "adopt", "orders", "--yes"]).exits(0);
    loudly(&lab, &["apply", "--auto-approve"]).exits(0);
    loudly(&lab, &["state", "rm", "orders/source"]).exits(0);
    loudly(&lab, &["state", "rm", "--unlisted"]).exits(0);
    loudly(&lab, &["state", "rm", "nothing"]).exits(1);
    loudly(&lab, &["state", "distrust"]).exits(0);
    look_at_everything(&lab);
    for form in [
        &["apply", "--auto-approve"][..],
        &["apply", "--auto-approve", "--json"],
    ] {
        loudly_with(
            &lab,
            &[form, &["--resend", "*"]].concat(),
            &[("DRSPASS_TEST_FAIL_AT", "replace:3")],
        )
        .exits(8);
        let name = std::fs::read_dir(lab.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .find(|name| name.contains(".recovery-"))
            .unwrap();
        look_at_everything(&lab);
        loudly(&lab, &["state", "recover", &name]).exits(0);
        loudly(&lab, &["state", "recover", &name]).exits(0);
        std::fs::remove_file(lab.path(&name)).unwrap();
    }
}

#[test]
fn making_sealing_and_opening_a_manifest_shows_and_stores_no_secret() {
    let lab = lab();
    std::fs::create_dir(lab.path("sub")).unwrap();
    let (endpoint, auth_url) = lab.addresses();
    let run = loudly(
        &lab,
        &[
            "-C",
            "sub",
            "init",
            "-i",
            "other.txt",
            "--project-id",
            "p",
            "--endpoint",
            &endpoint,
            "--auth-url",
            &auth_url,
        ],
    )
    .exits(0);
    let identity = lab.read("sub/other.txt");
    let identity = identity
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-"))
        .unwrap();
    let identity = leaks::Planted::text(identity);
    identity.assert_absent("init", run.all().as_bytes());
    for name in ["drspass.yaml", "passwords.yaml.age", ".gitignore"] {
        let content = lab.read(&format!("sub/{name}"));
        identity.assert_absent(name, content.as_bytes());
    }

    loudly(&lab, &["decrypt", "-o", "plain.yaml"]).exits(0);
    loudly(&lab, &["decrypt", "-o", "plain.yaml"]).exits(1);
    loudly(&lab, &["encrypt", "plain.yaml", "-o", "copy.age"]).exits(0);
    loudly(&lab, &["encrypt", "plain.yaml"]).exits(0);
    loudly(&lab, &["encrypt", "plain.yaml"])
        .exits(1)
        .says("revision");
    std::fs::remove_file(lab.path("plain.yaml")).unwrap();
    loudly(&lab, &["decrypt", "-o", "plain.yaml"]).exits(0);
    // With a damaged text.
    let plain = lab.read("plain.yaml");
    for damaged in [
        plain.replace("password:", "pasword:"),
        plain.replace("password: ", "password: *"),
        plain.replace("password: \"", "password: "),
        plain[..plain.len() - 6].to_owned(),
    ] {
        lab.write("plain.yaml", damaged);
        loudly(&lab, &["encrypt", "plain.yaml"]).exits(1);
    }
    let mut command = lab.command(&["-vvv", "plan"]);
    command.env("DRSPASS_IDENTITY", "sub/other.txt");
    lab.run_command(command).exits(1);
}

#[test]
fn an_identity_and_a_token_from_the_environment_are_not_shown() {
    let lab = lab();
    let key = lab.read("key.txt");
    for args in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["state", "show", "--json"],
    ] {
        let mut command = lab.command(&[&["-vvv"], args].concat());
        command
            .env_remove("DRSPASS_IDENTITY")
            .env("DRSPASS_IDENTITY_KEY", &key)
            .env("RUST_LOG", "trace");
        lab.run_command(command).exits(0);
        // One letter is wrong, so it cannot be read.
        let mut command = lab.command(&[&["-vvv"], args].concat());
        command
            .env_remove("DRSPASS_IDENTITY")
            .env("DRSPASS_IDENTITY_KEY", key.replace("KEY-1", "KEY-1B"));
        lab.run_command(command).exits(1);
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
        FaultKind::Status(CannedAnswer {
            http: 400,
            code: "DRS.M00201".to_owned(),
            ..CannedAnswer::default()
        }),
        FaultKind::TokenExpired {
            http: 401,
            code: None,
        },
        FaultKind::EchoPassword {
            form: Default::default(),
            which: Default::default(),
        },
        FaultKind::ErrorCodeIsPassword(Default::default()),
        FaultKind::RequestIdIsPassword(Default::default()),
    ] {
        let lab = lab();
        lab.sim.inject(Fault::always(kind));
        // What is held for a wrong password is only sent when asked for.
        for more in [&[][..], &["--json", "--resend", "*"]] {
            let run = loudly(&lab, &[&["apply", "--auto-approve"], more].concat());
            assert_ne!(run.code, Some(0));
            assert!(
                run.stderr.contains("batch-modify-pwd"),
                "the trace names the call:\n{}",
                run.stderr
            );
        }
        look_at_everything(&lab);
    }
}

#[test]
fn a_killed_run_leaves_no_password_behind() {
    let lab = lab();
    lab.sim
        .inject(Fault::next(FaultKind::Hold { act_first: true }));
    let mut child = lab.command(&["apply", "--auto-approve"]).spawn().unwrap();
    lab.await_puts(1);
    child.kill().unwrap();
    child.wait().unwrap();
    lab.assert_files_clean();
    assert!(lab.exists("drspass.state.json.journal"));
}

#[test]
fn equal_passwords_have_different_records_that_no_unkeyed_digest_matches() {
    use hmac::Mac as _;
    use sha2::{Digest as _, Sha256};
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-same"), (J2, "source", "canary-same")]);
    lab.apply(&[]).exits(0);
    let record = |job| lab.entry(job, "source")["applied"]["prints"]["password"].clone();
    assert_ne!(record(J1), record(J2));
    let state = lab.read("drspass.state.json");
    let mut unkeyed = hmac::Hmac::<Sha256>::new_from_slice(b"").unwrap();
    unkeyed.update(b"canary-same");
    for digest in [
        Sha256::digest(b"canary-same").to_vec(),
        unkeyed.finalize().into_bytes().to_vec(),
    ] {
        leaks::Planted::bytes(&digest).assert_absent("the state", state.as_bytes());
    }
}

/// Every number in a document with the names that lead to it.
fn numbers(value: &serde_json::Value, place: &str, found: &mut Vec<(String, u64)>) {
    match value {
        serde_json::Value::Number(number) => {
            found.push((place.to_owned(), number.as_u64().unwrap()));
        }
        serde_json::Value::Array(items) => {
            for item in items {
                numbers(item, place, found);
            }
        }
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                numbers(value, &format!("{place}.{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn nothing_that_is_stored_or_shown_depends_on_the_length_of_a_password() {
    let shapes = ["canary-x", &"canary-x".repeat(40)].map(|password| {
        let mut lab = Lab::new();
        lab.passwords(&[(J1, "source", password), (J2, "source", password)]);
        let shown = lab.run(&["plan", "--json"]).exits(0).stdout;
        lab.sim.inject(crate::looped::refuse(
            J2,
            drspass::sim::EndPointType::Source,
            "DRS.M00304",
        ));
        lab.apply(&[]).exits(3);
        let mut found = Vec::new();
        numbers(&lab.state(), "state", &mut found);
        let plan = serde_json::from_str(&shown).unwrap();
        numbers(&plan, "plan", &mut found);
        let lists = lab.run(&["state", "show", "--json"]).exits(0).stdout;
        numbers(&serde_json::from_str(&lists).unwrap(), "show", &mut found);
        let record = lab.entry(J1, "source")["applied"]["prints"]["password"].clone();
        (found, record.as_str().unwrap().len())
    });
    assert_eq!(shapes[0], shapes[1]);
    assert!(!shapes[0].0.is_empty());
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

#[test]
fn what_an_earlier_request_carried_is_withheld_from_a_later_answer() {
    let mut lab = Lab::new();
    lab.configure("apply: { batch_size: 1, parallelism: 1 }");
    lab.passwords(&[
        (J1, "source", "canary-First77"),
        (J2, "source", "canary-Second88"),
    ]);
    let echoed = "canary-First77";
    lab.sim.inject(Fault::nth(
        2,
        FaultKind::Status(CannedAnswer {
            http: 400,
            code: echoed.to_owned(),
            message: format!("duplicate of {echoed}"),
            ..CannedAnswer::default()
        }),
    ));
    let run = lab.apply(&[]).exits(3);
    assert!(run.stdout.contains("withheld"), "{}", run.stdout);
    for command in [
        &["plan"][..],
        &["state", "list"],
        &["state", "show", "--json"],
    ] {
        lab.run(command).exits(0);
    }
}
