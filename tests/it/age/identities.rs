//! Which keys are looked at, and what is said of those that cannot be used.

use std::path::Path;

use super::{detached, detached_command, fixture, public, sealed_to};
use crate::support::Lab;

#[test]
fn a_named_identity_is_the_only_one_that_is_looked_at() {
    let lab = sealed_to(&[&public("ed25519")]);
    let open = fixture("ed25519");
    std::fs::create_dir_all(lab.path(".config/drspass")).unwrap();
    std::fs::create_dir_all(lab.path(".ssh")).unwrap();
    for name in [".config/drspass/identity.txt", ".ssh/id_rsa"] {
        std::fs::copy(fixture("pem_rsa"), lab.path(name)).unwrap();
    }
    let run = detached(&lab, &["-i", open.to_str().unwrap(), "show"]).exits(0);
    assert_eq!(run.stderr, "");
    // Neither is it mentioned where the named one does not fit.
    let rsa = fixture("rsa");
    let run = detached(&lab, &["-i", rsa.to_str().unwrap(), "show"]).exits(1);
    assert!(!run.all().contains("identity.txt"), "{}", run.all());
    assert!(!run.all().contains("id_rsa"), "{}", run.all());
    // Where nothing is named, the default is opened, and no key of ssh.
    detached(&lab, &["show"])
        .exits(1)
        .says("identity.txt has no usable identity");
}

#[test]
fn the_first_place_that_names_an_identity_is_the_only_one() {
    let lab = sealed_to(&[&public("ed25519")]);
    let [fits, other] = ["ed25519", "rsa"].map(fixture);
    let show = |option: Option<&Path>, variable: Option<&Path>, key: Option<&Path>| {
        let mut args = vec!["show"];
        if let Some(path) = option {
            args.extend(["-i", path.to_str().unwrap()]);
        }
        let run = detached_command(&lab, &args, |command| {
            if let Some(path) = variable {
                command.env("DRSPASS_IDENTITY", path);
            }
            if let Some(path) = key {
                command.env(
                    "DRSPASS_IDENTITY_KEY",
                    std::fs::read(path).map(text).unwrap(),
                );
            }
        });
        run.code == Some(0)
    };
    let (fits, other) = (Some(fits.as_path()), Some(other.as_path()));
    for (option, variable, key, opens) in [
        (fits, other, other, true),
        (other, fits, fits, false),
        (None, fits, other, true),
        (None, other, fits, false),
        (None, None, fits, true),
    ] {
        assert_eq!(
            show(option, variable, key),
            opens,
            "{option:?} {variable:?} {key:?}"
        );
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn keys_that_cannot_be_used_are_told_from_broken_ones() {
    let lab = sealed_to(&[&public("ed25519")]);
    let pem = std::fs::read_to_string(fixture("pem_rsa")).unwrap();
    for (text, why) in [
        (
            pem.clone(),
            "passphrases in the old PEM format are not supported",
        ),
        (
            pem.replace('\n', "\r\n"),
            "passphrases in the old PEM format are not supported",
        ),
        (
            std::fs::read_to_string(fixture("locked_ecdsa")).unwrap(),
            "its key type is not supported",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END ENCRYPTED PRIVATE KEY-----\n"
                .to_owned(),
            "PKCS#8 keys are not supported",
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n".to_owned(),
            "its key type is not supported",
        ),
        (
            "PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(),
            "PuTTY keys are not supported",
        ),
        (
            format!("{} me\n", public("ed25519")),
            "it is a public ssh key",
        ),
        (
            "sk-ssh-ed25519@openssh.com AAAA\n".to_owned(),
            "it is a public ssh key",
        ),
        (
            lab.recipient_of("key.txt"),
            "a public recipient, not an identity",
        ),
        (
            "AGE-SECRET-KEY-PQ-1QQQQ\n".to_owned(),
            "post-quantum age keys are not supported",
        ),
        (
            "AGE-PLUGIN-..%2fX-1QQQQ\n".to_owned(),
            "a line is not an age identity",
        ),
        ("\n# only a comment\n".to_owned(), "it contains no key"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n".to_owned(),
            "it is not a complete OpenSSH private key",
        ),
    ] {
        lab.write("bad.txt", &text);
        let run = detached(&lab, &["-i", "bad.txt", "show"])
            .exits(1)
            .says("bad.txt has no usable identity")
            .says(why);
        assert!(!run.all().contains("invalid"), "{}", run.all());
        assert!(!run.all().contains("MHcC"), "{}", run.all());
    }
}

#[test]
fn a_key_whose_line_ends_were_rewritten_is_still_one() {
    let lab = sealed_to(&[&public("ed25519"), &public("rsa")]);
    for name in ["ed25519", "rsa"] {
        let text = std::fs::read_to_string(fixture(name)).unwrap();
        lab.write("crlf", format!("\r\n{}", text.replace('\n', "\r\n")));
        detached(&lab, &["-i", "crlf", "show"]).exits(0);
        let text = text.clone();
        detached_command(&lab, &["show"], |command| {
            command.env("DRSPASS_IDENTITY_KEY", text);
        })
        .exits(0);
    }
}

#[test]
fn recipients_that_cannot_be_encrypted_to_are_named_by_number_and_type() {
    let lab = Lab::new();
    let before = lab.read("passwords.yaml.age");
    let own = lab.recipient_of("key.txt");
    let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA==";
    let sk = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIA==";
    let config = lab.read("drspass.yaml");
    let listed = format!("  - \"{own}\"\n  - \"{ecdsa}\"\n  - \"{sk}\"\n");
    lab.write(
        "drspass.yaml",
        config.replace(&format!("  - \"{own}\"\n"), &listed),
    );
    lab.manifest(&super::jobs())
        .exits(1)
        .says("recipients.#2: is an")
        .says("ecdsa key, which age cannot encrypt to")
        .says("recipients.#3: is a")
        .says("security key, which age cannot encrypt to")
        .says("Use age1…, ssh-ed25519 or ssh-rsa");
    assert_eq!(lab.read("passwords.yaml.age"), before);
}

#[test]
fn init_with_a_key_that_does_not_tell_its_recipient_says_what_to_name() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("sub")).unwrap();
    let locked = fixture("../locked_ed25519");
    let protected = fixture("work_20.age");
    for key in [fixture("ed25519"), locked, protected] {
        let args = ["-C", "sub", "-i", key.to_str().unwrap(), "init"];
        let more = ["--region", "eu-de", "--project-id", "p"];
        detached(&lab, &[&args[..], &more].concat())
            .exits(1)
            .says("pass that of others with --recipient");
        assert_eq!(std::fs::read_dir(lab.path("sub")).unwrap().count(), 0);
    }
    // With the recipient named beside it, the key is welcome.
    let recipient = public("ed25519");
    let open = fixture("ed25519");
    let open = open.to_str().unwrap();
    let args = ["-C", "sub", "-i", open, "init", "--recipient", &recipient];
    let more = ["--region", "eu-de", "--project-id", "p"];
    detached(&lab, &[&args[..], &more].concat()).exits(0);
    detached(&lab, &["-C", "sub", "-i", open, "show"]).exits(0);
}
