//! `set` from files, from standard input, and made up.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Desk;
use crate::support::{J1, J2, J9, mode};

fn document() -> String {
    format!(
        "# The passwords of ours.\nversion: 1\n\ncredentials:\n  orders-db: {{ password: 'canary-shared' }}\n\
         jobs:\n  {J1}: # first\n    name: orders\n    source: {{ credential: orders-db }}\n    \
         destination:\n      # changed in May\n      password: 'canary-old' # see the wiki\n  {J2}:\n    \
         source: {{ credential: orders-db }}\n"
    )
}

const SECRETS: &[&str] = &["canary-shared", "canary-old", "canary-new"];

fn desk() -> Desk {
    Desk::new(&document(), SECRETS)
}

#[test]
fn a_value_comes_from_a_file_and_nothing_else_of_the_manifest_changes() {
    let desk = desk();
    let file = desk.file("pw", "canary-new\r\n");
    let run = desk
        .run(&["set", "orders/destination", "--from-file", &file])
        .exits(0);
    assert_eq!(
        run.stdout,
        "set orders/destination password\nwrote passwords.yaml.age and passwords.index.yaml, revision 3\n"
    );
    assert!(run.stderr.contains("drspass plan"), "{}", run.stderr);
    run.says(&format!(
        "{file} contains passwords in plain text: remove it when you no longer need it."
    ));
    let want = document().replace("'canary-old'", "\"canary-new\"");
    assert_eq!(desk.text(), want);
}

#[test]
fn a_value_comes_from_standard_input_and_is_taken_exactly() {
    let desk = desk();
    let value = " canary-new: # \"'\\ ü ";
    let run = desk.set(&["orders/destination"], format!("{value}\n").as_bytes());
    run.exits(0)
        .says("orders/destination password: starts with a space and ends with a space")
        .says("contains characters outside ASCII")
        .says_not("in plain text");
    desk.lab.apply(&[]).exits(0);
    assert!(desk.lab.sim.holds(J1, "destination", value));
}

#[test]
fn quotes_around_a_value_are_a_part_of_it_and_warned_of() {
    let desk = desk();
    let warning = "starts and ends with the same quote";
    for (value, is_warned_of) in [
        ("'canary-new'", true),
        ("\"canary-new\"", true),
        ("'canary-new\"", false),
        ("canary-new'", false),
        ("'", false),
    ] {
        let args = ["set", "orders/destination", "--from-file", "-"];
        let run = desk.fed(&args, value.as_bytes()).exits(0);
        assert_eq!(run.stderr.contains(warning), is_warned_of, "{}", run.stderr);
        desk.lab.apply(&[]).exits(0);
        assert!(desk.lab.sim.holds(J1, "destination", value));
        // In the manifest it has quotes of its own.
        let validated = desk.run(&["validate"]).exits(0);
        assert_eq!(validated.stderr, "");
    }
}

#[test]
fn the_same_value_again_writes_nothing() {
    let desk = desk();
    let before = desk.sealed();
    let run = desk
        .set(&[&format!("{J1}/destination")], b"canary-old")
        .exits(0);
    assert_eq!(run.stdout, "unchanged: orders/destination password\n");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn a_credential_changes_everywhere_it_is_used() {
    let desk = desk();
    let run = desk.set(&["@orders-db"], b"canary-new\n").exits(0);
    let want = "set @orders-db password, used by 2 endpoints\nwrote passwords.yaml.age and passwords.index.yaml, revision 3\n";
    assert_eq!(run.stdout, want);
    desk.refuses(
        &["orders/source"],
        b"canary-new",
        "orders/source uses the credential orders-db help: Nothing was written. Use @orders-db, which changes every endpoint",
    );
    desk.set(&["@fresh"], b"canary-new")
        .exits(1)
        .says("matches no credential")
        .says("--add");
    desk.set(&["@fresh", "--add"], b"canary-new")
        .exits(0)
        .says("added @fresh password, used by no endpoint")
        .says("no endpoint uses this credential")
        .says("Next: run 'drspass edit' and add or uncomment endpoints that use the credentials.");
}

#[test]
fn what_is_not_listed_is_added_by_its_id() {
    let desk = desk();
    let place = format!("{J9}/source");
    let before = desk.sealed();
    desk.set(&[&place], b"canary-new")
        .exits(1)
        .says("matches no job")
        .says("--add");
    assert_eq!(desk.sealed(), before);
    desk.set(&[&place, "--add"], b"canary-new")
        .exits(0)
        .says(&format!("added {J9}/source password wrote passwords.yaml.age and passwords.index.yaml, revision 3"));
    let want = format!(
        "{}  {J9}:\n    source: {{ password: \"canary-new\" }}\n",
        document()
    );
    assert_eq!(desk.text(), want);
}

#[test]
fn an_address_that_is_not_exactly_one_place_is_refused_and_not_repeated() {
    let desk = desk();
    let before = desk.sealed();
    for (address, why) in [
        ("orders", "orders has a source and a destination"),
        ("canary-new/source", "matches no job"),
        ("canary-new", "matches no job"),
        (
            "orders/canary-new",
            "an endpoint is 'source' or 'destination'",
        ),
        ("*/destination", "has a wildcard"),
        ("@canary new", "is not a valid credential name"),
    ] {
        desk.refuses(&[address], b"canary-new", why);
    }
    desk.refuses(
        &[J9, "--add"],
        b"canary-new",
        "the job has neither a source nor a destination",
    );
    let domain = "kerberos.domain_name";
    desk.set(&[&format!("{J9}/source"), "--add", "--field", domain], b"X")
        .exits(1)
        .says("has no password yet");
    desk.set(&["@orders-db", "--field", domain], b"X")
        .exits(1)
        .says("has only a password");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn a_value_that_the_manifest_refuses_is_refused_and_not_shown() {
    let desk = desk();
    let before = desk.sealed();
    let long = "canary-new".repeat(14_000);
    for (value, why) in [
        (
            &b""[..],
            "is empty help: Nothing was written. Provide the value itself.",
        ),
        (b"\n", "is empty"),
        (b"********", "is a placeholder"),
        (b"ChangeMe\n", "Provide the real value."),
        (b"canary-new\0x", "NUL"),
        (b"canary-new\n\n", "ends with a line break"),
        (b"canary-new\n\n", "Remove the line breaks at its end."),
        (long.as_bytes(), "longer than 128 KiB"),
        (b"canary-new\xff", "standard input is not UTF-8 text"),
    ] {
        // Quotes would become a part of it.
        desk.refuses(&["orders/destination"], value, why)
            .says_not("quotes");
    }
    desk.run(&["set", "orders/destination", "--from-file", "missing"])
        .exits(1)
        .says("cannot read missing");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn sources_and_fields_that_do_not_go_together_are_a_wrong_command_line() {
    let desk = desk();
    for args in [
        &["--from-file", "x", "--generate"][..],
        &["--length", "20"],
        &["--generate", "--length", "7"],
        &["--generate", "--length", "129"],
        &["--generate", "--alphabet", "canary-new"],
        &["--generate", "--field", "kerberos.domain_name"],
        &["--field", "kerberos.key_tab_file"],
        &["--field", "canary-new"],
        &["canary-new"],
    ] {
        let run = desk.run(&[&["set", "orders/destination"], args].concat());
        assert!(!run.exits(64).all().contains("canary"), "{args:?}");
    }
    let told = desk.run(&[
        "set",
        "orders/destination",
        "--generate",
        "--length",
        "4711",
    ]);
    let told = told
        .exits(64)
        .says("expected: a whole number from 8 to 128");
    assert!(!told.all().contains("4711"), "{}", told.all());
}

#[test]
fn a_keytab_is_binary_and_arrives_byte_for_byte() {
    let mut desk = desk();
    let keytab = [&[5, 2, 0, 0, 0xff][..], b"canary-keytab", &[0, 0x80]].concat();
    desk.lab.plant_bytes(&keytab);
    let file = desk.file("keytab", &keytab);
    let set = |file: &str| {
        desk.run(&[
            "set",
            "orders/destination",
            "--field",
            "kerberos.key_tab_file",
            "--from-file",
            file,
        ])
    };
    set(&file)
        .exits(0)
        .says("added orders/destination kerberos.key_tab_file");
    desk.lab.apply(&[]).exits(0);
    let requests = desk.lab.sim.requests();
    let mut bodies = requests.iter().filter_map(|request| request.body());
    let sent = STANDARD.encode(&keytab);
    assert!(
        bodies.any(|body| String::from_utf8_lossy(body).contains(&sent)),
        "the keytab is sent"
    );
    // Its base64 text, as `base64` prints it, is the same value.
    let wrapped = desk.file("keytab.b64", format!("{}\n", STANDARD.encode(&keytab)));
    set(&wrapped).exits(0).says("unchanged");
    set(&desk.file("other", "canary-new no keytab"))
        .exits(1)
        .says("is neither a keytab nor one in base64");
}

#[test]
fn a_made_up_password_is_sent_and_shown_nowhere() {
    let desk = desk();
    let made = |more: &[&str]| {
        let args = [&["set", "orders/destination", "--generate"], more].concat();
        let run = desk
            .run(&args)
            .exits(0)
            .says("not printed. To read it: drspass get --show orders/destination");
        let text = desk.text();
        let at = text.find("in May\n      password: \"").unwrap() + 24;
        let value = text[at..].split('"').next().unwrap().to_owned();
        assert!(!run.all().contains(&value));
        value
    };
    let first = made(&[]);
    assert_eq!(first.len(), 32, "{first}");
    assert!(first.chars().all(|c| c.is_ascii_alphanumeric()), "{first}");
    let second = made(&["--length", "40", "--alphabet", "symbols"]);
    assert_eq!(second.len(), 40, "{second}");
    assert!(second.contains(['_', '-', '+', '=']), "{second}");
    assert_ne!(first, made(&[]));
    desk.lab.apply(&[]).exits(0);
}

#[test]
fn a_linked_manifest_stays_a_link_and_keeps_its_mode() {
    let desk = desk();
    let (link, real) = desk.lab.link_manifest();
    desk.set(&["orders/destination"], b"canary-new").exits(0);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(mode(&real), 0o640);
    assert!(desk.text().contains("canary-new"));
    fs::remove_file(&real).unwrap();
    desk.set(&["orders/destination"], b"canary-new")
        .exits(1)
        .says("cannot read passwords.yaml.age");
}

#[test]
fn a_killed_set_leaves_the_old_manifest_or_the_new_one() {
    let desk = desk();
    let before = desk.sealed();
    let file = desk.file("pw", "canary-new");
    let args = ["set", "orders/destination", "--from-file", &file];
    desk.lab.killed_at("manifest.before_replace", 1, &args);
    assert_eq!(desk.sealed(), before);
    desk.lab.killed_at("manifest.after_replace", 1, &args);
    assert!(desk.text().contains("\"canary-new\""));
    desk.run(&args).exits(0).says("unchanged");
    desk.assert_clean();
}

#[test]
fn line_ends_and_the_byte_order_mark_of_the_manifest_stay() {
    let desk = Desk::new(&document().replace('\n', "\r\n"), SECRETS);
    // `encrypt` takes the mark away, other programs do not.
    let text = desk.lab.run(&["decrypt"]).exits(0).stdout;
    let recipients = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- \""));
    let recipients: Vec<String> = recipients
        .map(|recipient| recipient.trim_end_matches('"').to_owned())
        .collect();
    let marked = format!("\u{feff}{text}");
    let sealed = drspass::age_file::encrypt(
        marked.as_bytes(),
        &recipients,
        drspass::age_file::Plugins::Never,
    )
    .unwrap();
    desk.lab.write("passwords.yaml.age", sealed);
    desk.set(&["orders/destination"], b"canary-new").exits(0);
    let text = desk.lab.run(&["decrypt"]).exits(0).stdout;
    assert!(text.starts_with("\u{feff}# The passwords"));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert!(text.contains("      password: \"canary-new\" # see the wiki\r\n"));
}

#[test]
fn nobody_writes_without_the_key_or_with_other_recipients() {
    let desk = desk();
    let before = desk.sealed();
    let args = ["set", "orders/destination", "--generate"];
    let mut command = desk.lab.command(&args);
    command.env_remove("DRSPASS_IDENTITY");
    desk.lab
        .run_command(command)
        .exits(1)
        .says("no identity to decrypt with");
    let config = desk.lab.read("drspass.yaml");
    let other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let config = config.replacen("recipients:", &format!("recipients:\n  - {other}"), 1);
    desk.lab.write("drspass.yaml", config);
    desk.run(&args).exits(7).says("recipients changed");
    assert_eq!(desk.sealed(), before);
}

#[test]
fn a_full_disk_behind_the_output_leaves_no_doubt_about_the_change() {
    let desk = desk();
    let list = desk.file("list", "address,password\n@orders-db,canary-new\n");
    let value = desk.file("pw", "canary-new");
    let stands = "The change was made";
    let full = |args: &[&str]| {
        let mut command = desk.lab.command(args);
        command.stdout(
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        );
        let run = desk.lab.run_command(command).exits(1);
        run.says("cannot write the result")
    };
    let set = ["set", "orders/destination", "--from-file", &value];
    for args in [
        &set[..],
        &["import", "--write", &list],
        &["unset", "orders/destination"],
        &["rekey", "--yes", "--new-key"],
        &["state", "adopt", J2, "--yes"],
    ] {
        let before = (desk.sealed(), desk.lab.path("drspass.state.json").exists());
        full(args).says(stands);
        let after = (desk.sealed(), desk.lab.path("drspass.state.json").exists());
        assert_ne!(after, before, "{args:?}");
    }
    // Nothing is said to stand where nothing was done.
    for args in [
        &["import", "--write", &list][..],
        &["import", &list],
        &["show"],
    ] {
        let run = full(args);
        assert!(!run.stderr.contains(stands), "{args:?}\n{}", run.stderr);
    }
}

#[test]
fn a_name_cannot_be_added_as_a_job() {
    let desk = desk();
    let args = ["set", "newname/source", "--generate", "--add"];
    let run = desk
        .run(&args)
        .exits(1)
        .says("is not the id of a new one")
        .says("To add a job, use its id");
    assert!(!run.stderr.contains("--add"), "{}", run.stderr);
    desk.run(&args[..3]).exits(1).says("--add");
}

#[test]
fn an_endpoint_that_is_not_listed_is_a_typing_error_unless_it_is_added() {
    let desk = desk();
    let place = format!("{J2}/destination");
    let before = desk.sealed();
    let why = format!("{J2}/destination is not listed in the manifest");
    desk.refuses(&[&place], b"canary-new", &why).says("--add");
    desk.run(&["set", &place, "--generate"]).exits(1).says(&why);
    let list = format!("address,password\n{place},canary-new\n");
    desk.fed(&["import", "-", "--write"], list.as_bytes())
        .exits(1)
        .says(&format!("line 2: {why}"));
    assert_eq!(desk.sealed(), before);
    desk.set(&[&place, "--add"], b"canary-new")
        .exits(0)
        .says(&format!(
            "added {place} password wrote passwords.yaml.age and passwords.index.yaml, revision 3"
        ));
    desk.set(&[&place], b"canary-old").exits(0);
}

#[test]
fn an_empty_list_of_jobs_is_filled_like_an_empty_map() {
    for jobs in [
        "jobs: []\n",
        "jobs: [] # none yet\n",
        "jobs: [ # none\n ]\n",
    ] {
        let desk = Desk::new(&format!("version: 1\n{jobs}"), SECRETS);
        desk.lab.run(&["plan", "--detailed-exitcode"]).exits(0);
        desk.set(&["@orders-db", "--add"], b"canary-new").exits(0);
        assert!(desk.text().ends_with(jobs), "{}", desk.text());
        let list = format!("address,password\n@other,canary-new\n{J1}/source,canary-old\n");
        desk.fed(&["import", "-", "--write", "--add"], list.as_bytes())
            .exits(0)
            .says("2 to add");
        desk.run(&["unset", J1]).exits(0);
        desk.set(&[&format!("{J2}/source"), "--add"], b"canary-new")
            .exits(0);
        desk.lab.apply(&[]).exits(0);
        assert!(desk.lab.sim.holds(J2, "source", "canary-new"));
    }
}

#[test]
fn a_text_of_lines_takes_the_place_of_one_that_ends_in_blanks() {
    let field = "kerberos.krb5_conf_file";
    for tail in ["            \n", "\n              \n\n", "  \n            "] {
        let document = format!(
            "version: 1\njobs:\n  {J1}:\n    source:\n      password: 'canary-old'\n      kerberos:\n        \
             krb5_conf_file: |+\n          [canary-old]\n{tail}"
        );
        let desk = Desk::new(&document, SECRETS);
        desk.set(&[J1, "--field", field], b"[canary-new]\n  y = 1\n")
            .exits(0);
        desk.lab.apply(&[]).exits(0);
        let body = desk.lab.last_body();
        let sent = &body["jobs"][0]["kerberos"]["krb5_conf_file"];
        assert_eq!(sent, "[canary-new]\n  y = 1\n");
    }
}
