//! Recipients that nobody should or can encrypt to: refused where drspass.yaml is read,
//! all of them at once, by every command.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{detached, public};
use crate::support::Lab;

/// The y coordinates of the points of low order on the curve of ed25519, other spellings
/// included; each has a sign, too.
const LOW_ED25519: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// The coordinates of low order of X25519, other spellings included.
const LOW_X25519: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// The text form of a key (BIP 173).
pub(super) fn bech32(name: &str, data: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let mut digits = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in data {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            digits.push((held >> bits) & 31);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        digits.push(held << (5 - bits) & 31);
    }
    let name_digits = name.bytes().map(|byte| u32::from(byte >> 5)).chain([0]);
    let name_digits = name_digits.chain(name.bytes().map(|byte| u32::from(byte & 31)));
    let mut sum = 1_u32;
    for digit in name_digits.chain(digits.clone()).chain([0; 6]) {
        let top = sum >> 25;
        sum = (sum & 0x01ff_ffff) << 5 ^ digit;
        for (at, part) in [
            0x3b6a_57b2,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3,
        ]
        .into_iter()
        .enumerate()
        {
            sum ^= if top >> at & 1 == 1 { part } else { 0 };
        }
    }
    sum ^= 1;
    digits.extend((0..6).map(|at| (sum >> (5 * (5 - at))) & 31));
    let letters = digits
        .iter()
        .map(|digit| char::from(LETTERS[*digit as usize]));
    format!("{name}1{}", letters.collect::<String>())
}

fn ssh(parts: &[&[u8]]) -> String {
    let mut blob = Vec::new();
    for part in parts {
        blob.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        blob.extend_from_slice(part);
    }
    let kind = String::from_utf8(parts[0].to_vec()).unwrap();
    format!("{kind} {}", STANDARD.encode(blob))
}

/// An rsa modulus of so many bytes, the first and last bits of which are set; of 256 bytes
/// one without small factors.
fn modulus(bytes: usize) -> Vec<u8> {
    [vec![0], vec![0xc1; bytes - 1], vec![0x1d]].concat()
}

/// Every recipient that is refused, with what is said of it.
fn refused() -> Vec<(String, &'static str)> {
    let mut all: Vec<(String, &str)> = Vec::new();
    for hex in LOW_ED25519 {
        for sign in [0, 0x80] {
            let mut point = bytes(hex);
            point[31] |= sign;
            all.push((ssh(&[b"ssh-ed25519", &point]), "is an ed25519 key"));
        }
    }
    for hex in LOW_X25519 {
        for sign in [0, 0x80] {
            let mut point = bytes(hex);
            point[31] |= sign;
            all.push((bech32("age", &point), "is an age key of low order"));
        }
    }
    const RSA: &[u8] = b"ssh-rsa";
    const E: &[u8] = &[1, 0, 1];
    let good = modulus(256);
    let even = [&good[..256], &[0xc2]].concat();
    let numbers = "is an rsa key with invalid numbers";
    for (exponent, modulus, why) in [
        (E, &modulus(128)[..], "fewer than 2048 bits"),
        (E, &modulus(513), "more than 4096 bits"),
        (E, &[], numbers),
        (E, &[0], numbers),
        (E, &[0; 257], numbers),
        // Negative, and with a zero more than it needs.
        (E, &good[1..], numbers),
        (E, &[&[0], &good[..]].concat(), numbers),
        (E, &even, numbers),
        // 2^2048 - 1 is a product of small factors.
        (E, &[&[0][..], &[0xff; 256]].concat(), numbers),
        (&[], &good, numbers),
        (&[0], &good, numbers),
        (&[1], &good, numbers),
        (&[2], &good, numbers),
        (&[0x7f; 6], &good, numbers),
    ] {
        all.push((ssh(&[RSA, exponent, modulus]), why));
    }
    let ed25519 = public("ed25519");
    let point = STANDARD.decode(&ed25519["ssh-ed25519 ".len()..]).unwrap()[19..].to_vec();
    let no_point = bytes("0200000000000000000000000000000000000000000000000000000000000000");
    for (text, why) in [
        ("ssh-rsa AAAAB3NzaC1yc2EAAAABAAAAAAEA".to_owned(), numbers),
        (
            "ssh-rsa AAAAB3NzaC1yc2EAAAABAA".to_owned(),
            "is a damaged ssh key",
        ),
        (ssh(&[RSA, E, &good, b"more"]), "is a damaged ssh key"),
        (ssh(&[RSA, E]), numbers),
        (
            ssh(&[b"ssh-ed25519", &no_point]),
            "is an ed25519 key that is not a valid point",
        ),
        (ssh(&[b"ssh-ed25519", &point[1..]]), "is a damaged ssh key"),
        (ssh(&[b"ssh-ed25519", &point, b""]), "is a damaged ssh key"),
        (
            ed25519.replace("ssh-ed25519", "ssh-rsa"),
            "is a damaged ssh key",
        ),
        (format!("{ed25519}!"), "is a damaged ssh key"),
        (format!("restrict {ed25519}"), "has options before the key"),
        (
            format!("no-pty,no-x11-forwarding {ed25519} me"),
            "has options before the key",
        ),
        (
            bech32("age1pq", &[7; 1216]),
            "post-quantum age keys are not supported",
        ),
        (bech32("age", &[9; 31]), "is not a valid age public key"),
        (
            bech32("age", &[9; 32]).replace("age1", "age1q"),
            "is not a valid age public key",
        ),
        (bech32("age1tag", &[9; 33]), "is not a valid age public key"),
        (
            format!("{} me", bech32("age", &[9; 32])),
            "has text after the age key",
        ),
        ("ecdsa-sha2-nistp256 AAAA".to_owned(), "is an ecdsa key"),
        ("AGE-SECRET-KEY-1CANARY".to_owned(), "is a private key"),
    ] {
        all.push((text, why));
    }
    all
}

#[test]
fn unsound_recipients_are_all_refused_at_once_by_every_command() {
    let lab = Lab::new();
    let own = lab.recipient_of("key.txt");
    let before = lab.read("passwords.yaml.age");
    let all = refused();
    let listed: Vec<&str> = all.iter().map(|(text, _)| text.as_str()).collect();
    lab.list_recipients(&[&[own.as_str()], &listed[..]].concat());
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n{}", super::jobs()),
    );
    let config = lab.read("drspass.yaml");
    for args in [
        &["encrypt", "plain.yaml"][..],
        &["rekey", "--yes"],
        &["validate"],
        &["validate", "--require-encrypted"],
        &["plan"],
    ] {
        let run = detached(&lab, &[&["-i", "key.txt"], args].concat()).exits(1);
        for ((text, why), number) in all.iter().zip(2..) {
            let start = format!("recipients.#{number}: ");
            let said = run.stderr.lines().find(|line| line.contains(&start));
            let said = said.unwrap_or_else(|| panic!("{text}: {start} is not in {}", run.stderr));
            assert!(said.contains(why), "{text}: {said}");
            let line = config
                .lines()
                .position(|line| line.contains(&format!("{text}\"")))
                .map(|at| at + 1);
            let line = line.expect("it is listed");
            assert!(said.contains(&format!("line {line}, ")), "{text}: {said}");
        }
        assert!(!run.all().contains("AAAA"), "{}", run.all());
        assert!(!run.all().contains("CANARY"), "{}", run.all());
    }
    assert_eq!(lab.read("passwords.yaml.age"), before);
}

#[test]
fn sound_recipients_are_encrypted_to_and_counted() {
    let lab = Lab::new();
    let own = lab.recipient_of("key.txt");
    let (rsa, ed25519) = (public("rsa"), public("ed25519"));
    let spaced = format!("{} me at home", ed25519.replace(' ', "  "));
    lab.list_recipients(&[&own, &rsa, &spaced]);
    let run = detached(&lab, &["-i", "key.txt", "rekey", "--yes"]).exits(0);
    assert_eq!(run.stdout.lines().last(), Some("encrypted to 3 recipients"));
    lab.write(
        "plain.yaml",
        format!("version: 1\njobs:\n{}", super::jobs()),
    );
    let run = detached(&lab, &["-i", "key.txt", "encrypt", "plain.yaml"]).exits(0);
    assert_eq!(run.stdout.lines().last(), Some("encrypted to 3 recipients"));
    for name in ["ed25519", "rsa"] {
        let key = super::fixture(name);
        detached(&lab, &["-i", key.to_str().unwrap(), "show"]).exits(0);
    }
}
