//! The same text through drspass and the real `age`, in both directions.

use super::terminal::{self, Typed};
use super::{PASSWORD, age, detached, fixture, public, readdress, sealed_to, tool};
use crate::support::{Lab, PASSPHRASE};

/// What drspass makes of the manifest with one identity, which asks nothing.
#[track_caller]
fn ours(lab: &Lab, identity: &str) -> String {
    lab.run(&["-i", identity, "decrypt"]).exits(0).stdout
}

/// Puts what `age` makes of a text in the place of the manifest.
fn seal_with_age(lab: &Lab, text: &str, more: &[&str]) {
    lab.write("plain.yaml", text);
    age(
        lab,
        &[&["-o", "passwords.yaml.age"], more, &["plain.yaml"]].concat(),
    );
    std::fs::remove_file(lab.path("plain.yaml")).unwrap();
}

/// Both directions for a key that asks nothing, with armor and without.
#[track_caller]
fn both_ways(recipient: &str, identity: &str) {
    let lab = sealed_to(&[recipient]);
    let text = ours(&lab, identity);
    assert!(text.contains(PASSWORD));
    let theirs = age(&lab, &["-d", "-i", identity, "passwords.yaml.age"]);
    assert_eq!(String::from_utf8(theirs).unwrap(), text);
    for form in [&["-r", recipient, "-a"][..], &["-r", recipient]] {
        seal_with_age(&lab, &text, form);
        assert_eq!(ours(&lab, identity), text, "{form:?}");
        // Another program writes no index.
        lab.run(&["-i", identity, "index", "--write"]).exits(0);
        lab.run(&["-i", identity, "validate"]).exits(0);
        lab.run(&["validate", "--require-encrypted"]).exits(0);
    }
}

#[test]
fn x25519_works_both_ways_armored_and_binary() {
    let lab = Lab::new();
    let key = lab.path("key.txt");
    both_ways(&lab.recipient_of("key.txt"), key.to_str().unwrap());
}

#[test]
fn an_identity_of_age_keygen_works_both_ways() {
    let lab = Lab::new();
    let made = tool(&lab, "age-keygen", &["-o", "made.txt"]).output();
    assert!(made.expect("age-keygen is installed").status.success());
    let text = lab.read("made.txt");
    let public = text.lines().find_map(|l| l.strip_prefix("# public key: "));
    both_ways(public.unwrap(), lab.path("made.txt").to_str().unwrap());
}

#[test]
fn ssh_keys_without_a_passphrase_work_both_ways() {
    for name in ["ed25519", "rsa"] {
        both_ways(&public(name), fixture(name).to_str().unwrap());
    }
}

#[test]
fn ssh_keys_with_a_passphrase_work_both_ways() {
    for name in ["../locked_ed25519", "locked_rsa"] {
        let recipient = public(name);
        let key = fixture(name);
        let key = key.to_str().unwrap();
        let lab = sealed_to(&[&recipient]);
        let passphrase = || [("Passphrase for ", Typed::Hidden(PASSPHRASE))];
        let shown = terminal::drspass(&lab, &["-i", key, "show"], &passphrase());
        shown
            .exits(0)
            .says("Manifest: 1 entry")
            .says_not(PASSPHRASE);
        // The text is taken from a file, since a terminal rewrites line ends.
        terminal::drspass(
            &lab,
            &["-i", key, "decrypt", "-o", "plain.yaml"],
            &passphrase(),
        )
        .exits(0);
        let text = lab.read("plain.yaml");
        assert!(text.contains(PASSWORD));
        std::fs::remove_file(lab.path("plain.yaml")).unwrap();

        let open = ["-d", "-i", key, "-o", "plain.yaml", "passwords.yaml.age"];
        let asked = [("Enter passphrase for ", Typed::Hidden(PASSPHRASE))];
        terminal::run(&lab, "age", &open, &asked, |_| {}).exits(0);
        assert_eq!(lab.read("plain.yaml"), text);
        std::fs::remove_file(lab.path("plain.yaml")).unwrap();

        seal_with_age(&lab, &text, &["-r", &recipient, "-a"]);
        terminal::drspass(&lab, &["-i", key, "index", "--write"], &passphrase()).exits(0);
        terminal::drspass(&lab, &["-i", key, "validate"], &passphrase()).exits(0);
    }
}

#[test]
fn each_of_several_recipients_opens_what_was_sealed_to_all() {
    let lab = Lab::new();
    let (own, key) = (lab.recipient_of("key.txt"), lab.path("key.txt"));
    let (ed25519, rsa) = (public("ed25519"), public("rsa"));
    let recipients = [own.as_str(), &ed25519, &rsa];
    let sealed = sealed_to(&recipients);
    let identities = [key, fixture("ed25519"), fixture("rsa")];
    let text = ours(&sealed, identities[0].to_str().unwrap());
    let open_all = || {
        for identity in &identities {
            let identity = identity.to_str().unwrap();
            assert_eq!(ours(&sealed, identity), text);
            let theirs = age(&sealed, &["-d", "-i", identity, "passwords.yaml.age"]);
            assert_eq!(String::from_utf8(theirs).unwrap(), text);
        }
    };
    open_all();
    let each = recipients.iter().flat_map(|recipient| ["-r", recipient]);
    seal_with_age(&sealed, &text, &each.collect::<Vec<_>>());
    open_all();
    // Who is not among them reads nothing.
    readdress(&sealed, &[&ed25519]);
    sealed.manifest(&super::first_jobs(&sealed)).exits(0);
    let rsa = fixture("rsa");
    detached(&sealed, &["-i", rsa.to_str().unwrap(), "show"])
        .exits(1)
        .says("no identity matches: passwords.yaml.age is encrypted to ")
        .says("opens it (tried ")
        .says("adds your public key to drspass.yaml and rekeys");
}

#[test]
fn an_identity_file_of_age_p_opens_after_one_question() {
    let lab = Lab::new();
    let own = lab.recipient_of("key.txt");
    let key = lab.path("key.txt");
    let sealed = sealed_to(&[&own]);
    for (name, armor) in [("id.age", &[][..]), ("id.armored", &["-a"])] {
        let args = [&["-p", "-o", name], armor, &[key.to_str().unwrap()]].concat();
        let answers = [
            ("Enter passphrase", Typed::Hidden(PASSPHRASE)),
            ("Confirm passphrase", Typed::Hidden(PASSPHRASE)),
        ];
        terminal::run(&sealed, "age", &args, &answers, |_| {}).exits(0);
        let asked = [("Passphrase for ", Typed::Hidden(PASSPHRASE))];
        terminal::drspass(&sealed, &["-i", name, "validate"], &asked)
            .exits(0)
            .says("passwords.yaml.age: valid")
            .says_not(PASSPHRASE);
    }
}
