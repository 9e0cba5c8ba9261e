//! `git diff` and `git log -p` through the driver.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{changed, commit, git, git_command, program, repository, rotate, script, seal};
use crate::support::Lab;
use drspass::age_file::{self, Plugins};

const LOCKED: &str = include_str!("../../data/locked_ed25519");
const LOCKED_PUBLIC: &str = include_str!("../../data/locked_ed25519.pub");

/// A plugin's identity, of the shape that age's tools write.
const OF_PLUGIN: &str = "AGE-PLUGIN-STUB-1VDSKUCTJ0YQE9DUY";

const MANIFEST: &str = "passwords.yaml.age";

/// The tag at the end of the line that begins so.
fn tag<'a>(text: &'a str, start: &str) -> &'a str {
    let found = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(start));
    let tag = found.unwrap_or_else(|| panic!("{start:?} is not in\n{text}"));
    let is_tag = tag.len() == 8 && tag.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(is_tag, "{tag}");
    tag
}

fn textconv(lab: &Lab, file: &str) -> String {
    let run = lab.run(&["show", "--textconv", file]).exits(0);
    assert_eq!(run.stderr, "");
    run.stdout
}

#[test]
fn a_diff_shows_which_value_changed_and_no_value() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    let before = textconv(&lab, MANIFEST);
    rotate(&mut lab, "canary-new");
    let after = textconv(&lab, MANIFEST);
    let start = "orders/destination password: ";
    let (old, new) = (tag(&before, start), tag(&after, start));
    assert_ne!(old, new);
    let expected = [
        "-revision: 2".to_owned(),
        "+revision: 3".to_owned(),
        format!("-  orders/destination password: {old}"),
        format!("+  orders/destination password: {new}"),
    ];
    let run = git(&lab, &["diff"]).exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(changed(&run.stdout), expected);
    commit(&lab, "Second");
    let run = git(&lab, &["log", "-p", "--", MANIFEST]).exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(changed(&run.stdout)[..4], expected);
    assert_eq!(
        git(&lab, &["diff", "HEAD~1", "HEAD"])
            .exits(0)
            .stdout
            .matches(new)
            .count(),
        1
    );

    // Equal values do not look equal.
    let tags = [
        tag(&after, "@orders-db password: "),
        tag(
            &after,
            "11df459d-a37c-41b9-bc2b-8c00ba32jb51/source password: ",
        ),
        tag(
            &after,
            "11df459d-a37c-41b9-bc2b-8c00ba32jb51/destination password: ",
        ),
        tag(&after, "orders/destination kerberos.domain_name: "),
    ];
    for (place, one) in tags.iter().enumerate() {
        assert!(!tags[..place].contains(one), "{after}");
    }
    // An old value that comes back has its old tag.
    rotate(&mut lab, "canary-old");
    assert_eq!(tag(&textconv(&lab, MANIFEST), start), old);
    // Nothing of it is kept in the repository.
    let refs = git(&lab, &["for-each-ref"]).exits(0).stdout;
    assert!(!refs.contains("notes"), "{refs}");
}

#[test]
fn the_outline_has_the_order_of_the_manifest_and_no_comment() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let text = textconv(&lab, MANIFEST);
    let masked: Vec<String> = text
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((start, value)) if value.len() == 8 && !value.contains('-') => {
                format!("{start}: <tag>")
            }
            _ => line.to_owned(),
        })
        .collect();
    let valid = lab.run(&["validate"]).exits(0).stdout;
    let key_id = valid.lines().find(|line| line.starts_with("key id: "));
    let (endpoint, auth_url) = lab.addresses();
    let key = lab.recipient_of("key.txt");
    let expected = [
        "drspass manifest; a tag of 8 digits shows only that a value changed".to_owned(),
        "revision: 2".to_owned(),
        key_id.unwrap().to_owned(),
        format!("endpoint: {endpoint}"),
        format!("project: {}", lab.sim.project_id()),
        format!("identity service: {auth_url}"),
        format!("recipient: {key}"),
        "credential @orders-db".to_owned(),
        "  @orders-db password: <tag>".to_owned(),
        "job orders (22df459d-a37c-41b9-bc2b-8c00ba32jb52)".to_owned(),
        "  orders/source credential: orders-db".to_owned(),
        "  orders/destination password: <tag>".to_owned(),
        "  orders/destination kerberos.domain_name: <tag>".to_owned(),
        "job 11df459d-a37c-41b9-bc2b-8c00ba32jb51".to_owned(),
        "  11df459d-a37c-41b9-bc2b-8c00ba32jb51/source password: <tag>".to_owned(),
        "  11df459d-a37c-41b9-bc2b-8c00ba32jb51/destination password: <tag>".to_owned(),
    ];
    assert_eq!(masked, expected);
}

#[test]
fn a_manifest_is_shown_in_any_form_and_without_a_root_folder() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let text = textconv(&lab, MANIFEST);
    let armor = lab.read(MANIFEST);
    let base64: String = armor
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    lab.write("binary.age", STANDARD.decode(base64).unwrap());
    lab.write("-crlf.age", armor.replace('\n', "\r\n"));
    std::os::unix::fs::symlink(MANIFEST, lab.path("link.age")).unwrap();
    for file in ["binary.age", "-crlf.age", "link.age"] {
        assert_eq!(textconv(&lab, file), text, "{file}");
    }
    // The key itself may be in the environment, and drspass.yaml is not needed.
    let key = lab.read("key.txt");
    fs::remove_file(lab.path("drspass.yaml")).unwrap();
    let mut command = lab.command(&["show", "--textconv", "binary.age"]);
    command
        .env_remove("DRSPASS_IDENTITY")
        .env("DRSPASS_IDENTITY_KEY", key);
    assert_eq!(lab.run_command(command).exits(0).stdout, text);
    // From elsewhere, with the identity in its usual place.
    fs::create_dir_all(lab.path(".config/drspass")).unwrap();
    fs::copy(
        lab.path("key.txt"),
        lab.path(".config/drspass/identity.txt"),
    )
    .unwrap();
    let mut command = lab.command(&["show", "--textconv"]);
    command
        .arg(lab.path("binary.age"))
        .env_remove("DRSPASS_IDENTITY")
        .current_dir("/");
    assert_eq!(lab.run_command(command).exits(0).stdout, text);
}

/// What is shown of the newest commit with this identity.
fn log(lab: &Lab, identity: &str) -> String {
    let mut command = git_command(lab, &["log", "-p", "--", MANIFEST]);
    command.env("DRSPASS_IDENTITY", identity);
    let run = lab.run_command(command).exits(0);
    assert_eq!(run.stderr, "");
    run.stdout
}

#[test]
fn without_a_key_that_is_at_hand_a_log_shows_one_line_and_goes_on() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "First");
    rotate(&mut lab, "canary-new");
    commit(&lab, "Second");
    lab.run(&["-C", ".", "-i", "other.txt", "init", "--git"])
        .exits(0);
    let (other, _) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    lab.write("other.txt", other.as_bytes());
    lab.write("locked", LOCKED);
    lab.write("plugin.txt", format!("# of a plugin\n{OF_PLUGIN}\n"));
    let sealed_key = age_file::encrypt(
        b"AGE-SECRET-KEY-1",
        &[lab.recipient_of("key.txt")],
        Plugins::Never,
    );
    lab.write("sealed.txt", sealed_key.unwrap());
    script(
        &lab,
        "bin/age-plugin-stub",
        "#!/bin/sh\n: > \"$HOME/ran\"\n",
    );
    let none = "+drspass: nothing is shown: none of the given identities opens it";
    let locked = "+drspass: nothing is shown: the identity needs a passphrase or a plugin";
    for (identity, expected) in [
        ("nowhere.txt", none),
        ("other.txt", none),
        ("drspass.yaml", none),
        // A locked key that the file does not name is of no use, whatever opens it.
        ("locked", none),
        ("plugin.txt", locked),
        ("sealed.txt", locked),
    ] {
        let text = log(&lab, identity);
        for title in ["First", "Second", "A root folder"] {
            assert!(text.contains(title), "{identity}\n{text}");
        }
        assert_eq!(changed(&text), [expected], "{identity}");
    }
    let mut command = git_command(&lab, &["log", "-p"]);
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        lab.path("bin").display(),
        super::bin().display()
    );
    command
        .env("DRSPASS_IDENTITY", "plugin.txt")
        .env("PATH", path);
    lab.run_command(command).exits(0);
    assert!(!lab.exists("ran"), "no plugin runs");
    // A plugin's line beside a usable key does no harm.
    let key = lab.read("key.txt");
    lab.write("key.txt", format!("{OF_PLUGIN}\n{key}"));
    assert!(log(&lab, "key.txt").contains("+  orders/destination password: "));
}

#[test]
fn a_passphrase_is_never_asked_for_not_even_on_a_terminal() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    let config = lab.read("drspass.yaml");
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    let key = lab.recipient_of("key.txt");
    // Encrypted to the locked key alone.
    lab.write("drspass.yaml", config.replace(&key, LOCKED_PUBLIC.trim()));
    let file = age_file::encrypt(
        plain.as_bytes(),
        &[LOCKED_PUBLIC.trim().to_owned()],
        Plugins::Never,
    );
    lab.write(MANIFEST, file.unwrap());
    commit(&lab, "For the locked key");
    lab.write("locked", LOCKED);
    let line = "drspass: nothing is shown: the identity needs a passphrase or a plugin";
    assert!(log(&lab, "locked").contains(line));
    let mut command = program(&lab, "script");
    command
        .args(["-qec", "git --no-pager log -p", "/dev/null"])
        .env("DRSPASS_IDENTITY", "locked");
    let run = lab.run_command(command).exits(0);
    assert!(run.stdout.contains(line), "{}", run.all());
    assert!(!run.all().contains("Passphrase"), "{}", run.all());
}

#[test]
fn older_commits_with_other_readers_do_not_stop_a_log() {
    let mut lab = repository();
    rotate(&mut lab, "canary-old");
    commit(&lab, "For both");
    lab.write(MANIFEST, "version: 1\njobs: {}\n");
    commit(&lab, "Plain text by mistake");
    let (_, public) = drspass::age_file::generate_identity("2026-01-02T03:04:05Z");
    lab.write(
        MANIFEST,
        age_file::encrypt(b"canary-foreign", &[public], Plugins::Never).unwrap(),
    );
    commit(&lab, "For somebody else");
    seal(&lab, MANIFEST, b"jobs: [canary-broken");
    commit(&lab, "Broken");
    fs::remove_file(lab.path(MANIFEST)).unwrap();
    commit(&lab, "Gone");
    let text = log(&lab, "key.txt");
    for line in [
        "-drspass: nothing is shown: not a valid sealed manifest",
        "+drspass: nothing is shown: not a valid sealed manifest",
        "+drspass: nothing is shown: none of the given identities opens it",
        "+drspass: nothing is shown: not encrypted",
        "-  @orders-db password: ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
}
