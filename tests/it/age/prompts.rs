//! Passphrases: asked for on the terminal alone, once, and only where they can help.

use age::secrecy::SecretString;

use super::terminal::{self, Typed};
use super::{detached, fixture, public, sealed_to};
use crate::support::around::without_terminal;
use crate::support::{Lab, PASSPHRASE};

/// A file of identities as `age -p` makes it, with a work factor that costs nothing.
fn protected(lines: &str, factor: u8) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(PASSPHRASE));
    recipient.set_work_factor(factor);
    age::encrypt(&recipient, lines.as_bytes()).unwrap()
}

/// A lab with its own key also as a protected file, `id.age`.
fn with_protected_key() -> Lab {
    let lab = Lab::new();
    let key = lab.read("key.txt");
    let sealed = sealed_to(&[&lab.recipient_of("key.txt")]);
    sealed.write("id.age", protected(&key, 2));
    sealed
}

const ASKED: &str = "Passphrase for ";

#[test]
fn a_locked_ssh_key_is_asked_for_once_and_nothing_is_echoed() {
    let lab = sealed_to(&[
        &public("../locked_ed25519"),
        &public("ed25519"),
        &public("rsa"),
    ]);
    let key = fixture("../locked_ed25519");
    let args = ["-i", key.to_str().unwrap(), "show"];
    let run = terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(PASSPHRASE))])
        .exits(0)
        .says("Manifest: 1 entry")
        .says_not(PASSPHRASE);
    assert_eq!(run.stdout.matches(ASKED).count(), 1, "{}", run.stdout);

    terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden("canary-wrong"))])
        .exits(1)
        .says("the passphrase for")
        .says("is wrong")
        .says_not("canary-wrong");
    let run = terminal::drspass(&lab, &args, &[(ASKED, Typed::Interrupt)]);
    assert_ne!(run.code, Some(0), "{}", run.stdout);
    run.says("Cancelled. Nothing was sent or changed.")
        .says_not("error")
        .says_not("Manifest");
    // An empty passphrase is a wrong one, not a reason to panic.
    terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(""))]).exits(1);
}

#[test]
fn without_a_terminal_it_is_said_at_once_how_to_give_the_passphrase() {
    let lab = sealed_to(&[&public("../locked_ed25519"), &public("locked_rsa")]);
    for name in ["../locked_ed25519", "locked_rsa"] {
        let key = fixture(name);
        let run = detached(&lab, &["-i", key.to_str().unwrap(), "show"])
            .exits(1)
            .says("is protected by a passphrase, and there is no terminal to ask for it")
            .says("DRSPASS_IDENTITY_KEY");
        assert!(!run.all().contains("invalid"), "{}", run.all());
        assert_eq!(run.stdout, "");
    }
    let lab = with_protected_key();
    detached(&lab, &["-i", "id.age", "show"])
        .exits(1)
        .says("is protected by a passphrase, and there is no terminal to ask for it");
}

#[test]
fn a_key_that_the_file_does_not_name_is_never_asked_for() {
    let lab = sealed_to(&[&public("ed25519")]);
    let locked = fixture("../locked_ed25519");
    let args = ["-i", locked.to_str().unwrap(), "show"];
    detached(&lab, &args).exits(1).says("no identity matches");
    terminal::drspass(&lab, &args, &[])
        .exits(1)
        .says("no identity matches")
        .says_not(ASKED);
    let rsa = fixture("locked_rsa");
    let args = ["-i", rsa.to_str().unwrap(), "show"];
    detached(&lab, &args).exits(1).says("no identity matches");
}

#[test]
fn a_key_that_asks_nothing_is_tried_before_all_others() {
    let lab = sealed_to(&[&public("../locked_ed25519"), &public("ed25519")]);
    lab.write("id.age", protected("AGE-PLUGIN-NONE-1", 2));
    let (locked, open) = (fixture("../locked_ed25519"), fixture("ed25519"));
    let args = [
        "-i",
        "id.age",
        "-i",
        locked.to_str().unwrap(),
        "-i",
        open.to_str().unwrap(),
        "show",
    ];
    detached(&lab, &args).exits(0);
    terminal::drspass(&lab, &args, &[]).exits(0).says_not(ASKED);
}

#[test]
fn a_key_that_surely_fits_is_asked_for_before_one_that_may() {
    let lab = sealed_to(&[&public("../locked_ed25519")]);
    lab.write("id.age", protected("# nothing\n", 2));
    let locked = fixture("../locked_ed25519");
    let args = ["-i", "id.age", "-i", locked.to_str().unwrap(), "show"];
    let run = terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(PASSPHRASE))]).exits(0);
    assert_eq!(run.stdout.matches(ASKED).count(), 1, "{}", run.stdout);
}

#[test]
fn a_protected_identity_file_opens_after_its_passphrase_alone() {
    let lab = with_protected_key();
    let args = ["-i", "id.age", "show"];
    let run = terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(PASSPHRASE))])
        .exits(0)
        .says_not(PASSPHRASE);
    assert_eq!(run.stdout.matches(ASKED).count(), 1, "{}", run.stdout);
    terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden("canary-wrong"))])
        .exits(1)
        .says("the passphrase for id.age is wrong");
}

#[test]
fn a_protected_file_of_something_else_is_no_identity() {
    let lab = with_protected_key();
    for (text, why) in [
        ("hello\n", "a line is not an age identity"),
        ("# nothing\n", "it contains no key"),
    ] {
        lab.write("other.age", protected(text, 2));
        let args = ["-i", "other.age", "show"];
        terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(PASSPHRASE))])
            .exits(1)
            .says("other.age has no usable identity")
            .says(why);
    }
    // A file for recipients is not what `age -p` makes, and nobody is asked.
    std::fs::copy(lab.path("passwords.yaml.age"), lab.path("same.age")).unwrap();
    terminal::drspass(&lab, &["-i", "same.age", "show"], &[])
        .exits(1)
        .says("only a passphrase is supported here");
    let whole = protected("AGE-PLUGIN-NONE-1", 2);
    lab.write("cut.age", &whole[..whole.len() - 3]);
    let args = ["-i", "cut.age", "show"];
    terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(PASSPHRASE))])
        .exits(1)
        .says("it is encrypted, and truncated or changed");
}

/// The same file with another factor in its header, which is not checked before the
/// passphrase is.
fn with_factor(file: &[u8], factor: &str) -> Vec<u8> {
    let end = file.windows(4).position(|part| part == b"\n---").unwrap();
    let header = std::str::from_utf8(&file[..end]).unwrap();
    let line = header
        .lines()
        .find(|line| line.starts_with("-> scrypt "))
        .unwrap();
    let (start, _) = line.rsplit_once(' ').unwrap();
    let header = header.replace(line, &format!("{start} {factor}"));
    [header.as_bytes(), &file[end..]].concat()
}

#[test]
fn an_excessive_work_factor_is_refused_before_anything_is_asked_or_spent() {
    let lab = with_protected_key();
    let file = std::fs::read(lab.path("id.age")).unwrap();
    for (factor, found) in [
        ("23", "23"),
        ("30", "30"),
        ("64", "64"),
        ("255", "255"),
        ("256", "256"),
    ] {
        lab.write("costly.age", with_factor(&file, factor));
        for has_terminal in [false, true] {
            // With this much memory no such work could be begun.
            let limited = format!(
                "ulimit -v 400000; exec {} -i costly.age show",
                env!("CARGO_BIN_EXE_drspass")
            );
            let text = format!("has a work factor of {found}, above the limit of 22");
            if has_terminal {
                terminal::run(&lab, "sh", &["-c", &limited], &[], |_| {})
                    .exits(1)
                    .says(&text)
                    .says_not(ASKED);
            } else {
                let command = super::tool(&lab, "sh", &["-c", &limited]);
                lab.run_command(without_terminal(&command))
                    .exits(1)
                    .says(&text);
            }
        }
    }
    for odd in ["-1", "0x10", "99999999999999999999", "1.5", "one"] {
        lab.write("costly.age", with_factor(&file, odd));
        detached(&lab, &["-i", "costly.age", "show"])
            .exits(1)
            .says("it is encrypted, and its header is damaged");
    }
    // Another identity that fits is not kept from doing so.
    lab.write("costly.age", with_factor(&file, "64"));
    let lab = sealed_to(&[&public("ed25519")]);
    lab.write("costly.age", with_factor(&file, "64"));
    let open = fixture("ed25519");
    detached(
        &lab,
        &["-i", "costly.age", "-i", open.to_str().unwrap(), "show"],
    )
    .exits(0);
}

#[test]
fn a_work_factor_of_20_is_done() {
    let recipient = std::fs::read_to_string(fixture("work_20.pub")).unwrap();
    let lab = sealed_to(&[recipient.trim()]);
    let file = fixture("work_20.age");
    let args = ["-i", file.to_str().unwrap(), "show"];
    terminal::drspass(&lab, &args, &[(ASKED, Typed::Hidden(PASSPHRASE))])
        .exits(0)
        .says("Manifest: 1 entry");
}

#[test]
fn piped_text_is_never_a_passphrase_even_on_a_terminal() {
    let lab = sealed_to(&[&public("../locked_ed25519")]);
    let locked = fixture("../locked_ed25519");
    let piped = format!(
        "printf '{PASSPHRASE}\\n' | exec {} -i {} encrypt -",
        env!("CARGO_BIN_EXE_drspass"),
        locked.display()
    );
    let before = std::fs::read(lab.path("passwords.yaml.age")).unwrap();
    let command = super::tool(&lab, "sh", &["-c", &piped]);
    lab.run_command(without_terminal(&command)).exits(1);
    // On a terminal, the piped manifest is sealed and the passphrase is typed.
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n{}", super::jobs()),
    );
    let piped = format!(
        "cat plain.yaml | exec {} -i {} encrypt -",
        env!("CARGO_BIN_EXE_drspass"),
        locked.display()
    );
    let answers = [(ASKED, Typed::Hidden(PASSPHRASE))];
    terminal::run(&lab, "sh", &["-c", &piped], &answers, |_| {})
        .exits(0)
        .says("wrote passwords.yaml.age and passwords.index.yaml, revision 3");
    assert_ne!(
        std::fs::read(lab.path("passwords.yaml.age")).unwrap(),
        before
    );
}
