//! Keys and headers with changed bytes: whatever they hold, they are refused or are
//! sound, nothing panics, and the work that they ask for is bounded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drspass::age_file::{self, Identities, Means, NoPassphrase, Plugins};

use super::{detached, fixture, public};
use crate::support::{LOCKED, Lab};

const MEANS: Means<'static> = Means {
    ask: &|_| Err(NoPassphrase::Nobody),
    plugins: Plugins::Never,
};

/// A number that looks random, the same in each run.
fn next(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    usize::try_from(*state >> 33).unwrap()
}

/// Changes up to four bytes, or cuts, doubles or wipes a part.
fn mutated(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=next(state) % 4 {
        if bytes.is_empty() {
            break;
        }
        let at = next(state) % bytes.len();
        let end = (at + next(state) % 40).min(bytes.len());
        match next(state) % 8 {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes[at..end].fill(0),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b' ', b'-'][next(state) % 8],
            _ => bytes[at] ^= 1 << (next(state) % 8),
        }
    }
    bytes
}

/// Text around base64, with that decoded, changed and encoded again.
fn around_base64(before: &str, encoded: &str, after: &str, state: &mut u64) -> String {
    let bytes = STANDARD.decode(encoded.replace(['\n', '\r'], "")).unwrap();
    let encoded = STANDARD.encode(mutated(&bytes, state));
    format!("{before}{encoded}{after}")
}

#[test]
fn no_recipient_makes_the_library_panic() {
    let state = &mut 1;
    let sound = [
        public("rsa"),
        public("ed25519"),
        "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned(),
        "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e".to_owned(),
    ];
    for text in sound.iter().cycle().take(2_000) {
        let text = match text.split_once(' ') {
            Some((kind, key)) if !next(state).is_multiple_of(4) => {
                around_base64(&format!("{kind} "), key, "", state)
            }
            _ => String::from_utf8_lossy(&mutated(text.as_bytes(), state)).into_owned(),
        };
        let _ = age_file::encrypt(b"x", &[text], Plugins::Never);
    }
    // With sums that are right, but over any bytes.
    for name in ["age", "age1tag", "age1tagpq", "age1stub"] {
        for length in [31, 32, 33, 1216, 1217, 1249] {
            for fill in [0, 1, 2, 3, 0x7f, 0xff] {
                let mut key = vec![fill; length];
                key[0] = u8::try_from(next(state) % 5).unwrap();
                let text = super::recipients::bech32(name, &key);
                let _ = age_file::encrypt(b"x", &[text], Plugins::Never);
            }
        }
    }
}

#[test]
fn no_identity_makes_the_library_panic() {
    let state = &mut 2;
    let read = |name: &str| std::fs::read_to_string(fixture(name)).unwrap();
    let keys = [
        read("rsa"),
        read("ed25519"),
        read("locked_rsa"),
        read("locked_ecdsa"),
        LOCKED.to_owned(),
    ];
    let sealed = age_file::encrypt(b"x", &[public("rsa"), public("ed25519")], Plugins::Never);
    let sealed = sealed.unwrap();
    for key in keys.iter().cycle().take(2_000) {
        let (before, rest) = key.split_at(key.find('\n').unwrap() + 1);
        let (body, after) = rest.split_at(rest.find("-----END").unwrap());
        let text = if !next(state).is_multiple_of(4) {
            around_base64(before, body, &format!("\n{after}"), state).into_bytes()
        } else {
            mutated(key.as_bytes(), state)
        };
        let mut identities = Identities::default();
        if identities.add(&text, "a key").is_ok() {
            let _ = age_file::decrypt(&sealed, &identities, &MEANS);
        }
        let _ = age_file::recipients_of(&text, "a key");
    }
}

#[test]
fn no_header_makes_the_library_panic() {
    let state = &mut 3;
    let mut identities = Identities::default();
    for name in ["rsa", "ed25519"] {
        identities
            .add(&std::fs::read(fixture(name)).unwrap(), name)
            .unwrap();
    }
    let (own, recipient) = age_file::generate_identity("2026-01-02T03:04:05Z");
    identities.add(own.as_bytes(), "own").unwrap();
    let to = [recipient, public("rsa"), public("ed25519")];
    let armored = age_file::encrypt(b"canary-text", &to, Plugins::Never).unwrap();
    let text = String::from_utf8(armored.clone()).unwrap();
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let binary = STANDARD.decode(body).unwrap();
    assert!(age_file::decrypt(&binary, &identities, &MEANS).is_ok());
    let header = binary.windows(4).position(|part| part == b"--- ").unwrap() + 48;
    for file in [&armored, &binary].into_iter().cycle().take(1_500) {
        let changed = if file == &binary {
            [&mutated(&binary[..header], state)[..], &binary[header..]].concat()
        } else {
            mutated(file, state)
        };
        if let Ok(plain) = age_file::decrypt(&changed, &identities, &MEANS) {
            assert_eq!(&plain[..], b"canary-text");
        }
        let _ = age_file::header::recipients(&changed);
    }
}

/// Files under 100 kB whose headers once took minutes, each with what is said of it.
fn costly() -> Vec<(String, &'static str)> {
    let file = |rest: &str| format!("age-encryption.org/v1\n{rest}");
    let many = |part: &str| file(&part.repeat(98_000 / part.len()));
    let line = "A".repeat(64);
    let end = "\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
    vec![
        (many("-> a\n\n"), "more than 128 stanzas"),
        (many("-> a b c\nAAAA\n"), "more than 128 stanzas"),
        (
            many(&format!("-> X25519 {}\n{}\n", &line[..43], &line[..43])),
            "more than 128 stanzas",
        ),
        (many("\n"), "damaged"),
        (many("-> "), "damaged"),
        (many("a\n"), "damaged"),
        (many("---\n"), "damaged"),
        (
            file(&format!("-> a\n{}", format!("{line}\n").repeat(1_500))),
            "damaged",
        ),
        (
            file(&format!("-> a\n{}{end}", format!("{line}\n").repeat(1_400))),
            "damaged",
        ),
        (file(&format!("-> {}", "a ".repeat(49_000))), "damaged"),
        (
            file(&format!("-> a {}\n{end}", "a".repeat(97_000))),
            "damaged",
        ),
        (file(&format!("-> a\n{}", "A".repeat(97_000))), "damaged"),
    ]
}

#[test]
fn small_files_never_keep_a_command_busy() {
    let lab = Lab::new();
    for (text, why) in costly() {
        let armored = STANDARD.encode(&text).into_bytes();
        let lines: Vec<&str> = armored
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let armored = format!(
            "-----BEGIN AGE ENCRYPTED FILE-----\n{}\n-----END AGE ENCRYPTED FILE-----\n",
            lines.join("\n")
        );
        let long_line = armored.replace('\n', "");
        for (file, why) in [(&text, why), (&armored, why), (&long_line, "")] {
            lab.write("passwords.yaml.age", file);
            for args in [
                &["validate", "--require-encrypted"][..],
                &["recipients"],
                &["plan"],
            ] {
                let run = detached(&lab, &[&["-i", "key.txt"], args].concat()).exits(1);
                run.says(why).says_not("bug");
            }
            // An identity may be encrypted, too.
            lab.write("id.age", file);
            detached(&lab, &["-i", "id.age", "recipients"])
                .exits(1)
                .says_not("bug");
        }
    }
}

#[test]
fn a_header_of_as_many_stanzas_as_are_written_is_read() {
    let lab = Lab::new();
    let own = lab.recipient_of("key.txt");
    let others: Vec<String> = (0..127)
        .map(|_| age_file::generate_identity("2026-01-02T03:04:05Z").1)
        .collect();
    let mut listed: Vec<&str> = others.iter().map(String::as_str).collect();
    listed[126] = &own;
    lab.list_recipients(&listed);
    detached(&lab, &["-i", "key.txt", "rekey", "--yes"])
        .exits(0)
        .says("encrypted to 127 recipients");
    detached(&lab, &["-i", "key.txt", "validate"]).exits(0);
    let before = lab.read("passwords.yaml.age");
    listed.push(&others[126]);
    lab.list_recipients(&listed);
    detached(&lab, &["-i", "key.txt", "rekey", "--yes"])
        .exits(1)
        .says("127 keys");
    assert_eq!(lab.read("passwords.yaml.age"), before);
}
