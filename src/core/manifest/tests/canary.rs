//! No problem of any damaged document repeats a piece of its text.

use proptest::prelude::*;

use super::J1;
use super::sealing::sealed;
use crate::core::config;
use crate::core::manifest::{Sealing, parse, seal};
use crate::core::yaml::decode;

/// No part of it can be a name: names of credentials are shown.
const CANARY: &str = "Zq7^XkW^9vJ^3pL^mR5t";
const PIECE: usize = 6;

/// A good manifest in which everything that a user chooses is a canary.
fn good() -> String {
    format!(
        "version: 1\nsealed:\n  fingerprint_key: \"{CANARY}\"\n  endpoint: {CANARY}\n  project_id: {CANARY}\n  \
         auth_url: {CANARY}\n  recipients: [{CANARY}, \"{CANARY}\"]\n  revision: 7\n\
         credentials:\n  {CANARY}: {{ password: \"{CANARY}\" }}\n\
         jobs:\n  {J1}:\n    name: {CANARY}\n    source: {{ credential: {CANARY} }}\n    destination:\n      \
         password: '{CANARY}'\n      kerberos:\n        krb5_conf_file: |\n          {CANARY}\n        \
         key_tab_file: \"{CANARY}==\"\n  \"{CANARY}\":\n    source:\n      password: |-\n        {CANARY}\n \
         \x20{CANARY}x:\n    source: &{CANARY} {{ password: !{CANARY} \"{CANARY}\" }}\n    \
         destination: *{CANARY} # {CANARY}\n"
    )
}

#[derive(Clone, Debug)]
enum Damage {
    Insert(usize, &'static str),
    Delete(usize, usize),
    DoubleLine(usize),
    DeleteLine(usize),
    Indent(usize, usize),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let piece = prop_oneof![
        Just(CANARY),
        Just("\""),
        Just("'"),
        Just("\t"),
        Just("\n"),
        Just(" "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(": "),
        Just("#"),
        Just(" #"),
        Just("&"),
        Just("*"),
        Just("!"),
        Just("%"),
        Just("@"),
        Just("|"),
        Just(">"),
        Just("- "),
        Just("? "),
        Just("\\"),
        Just("\u{feff}"),
        Just("\u{200b}"),
        Just("\0"),
        Just("\r"),
        Just("---\n"),
        Just("...\n"),
        Just("<<: "),
        Just("é"),
    ];
    prop_oneof![
        4 => (any::<usize>(), piece).prop_map(|(at, text)| Damage::Insert(at, text)),
        2 => (any::<usize>(), 1_usize..4).prop_map(|(at, count)| Damage::Delete(at, count)),
        1 => any::<usize>().prop_map(Damage::DoubleLine),
        1 => any::<usize>().prop_map(Damage::DeleteLine),
        1 => (any::<usize>(), 0_usize..12).prop_map(|(at, by)| Damage::Indent(at, by)),
        1 => any::<usize>().prop_map(Damage::Cut),
    ]
}

fn apply(text: &str, damage: &Damage) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let line = |at: usize| at % lines.len().max(1);
    let place = |at: usize| at % (chars.len() + 1);
    match *damage {
        Damage::Insert(at, piece) => {
            let (before, after) = chars.split_at(place(at));
            before
                .iter()
                .copied()
                .chain(piece.chars())
                .chain(after.iter().copied())
                .collect()
        }
        Damage::Delete(at, count) => {
            let at = place(at);
            let kept = chars
                .iter()
                .enumerate()
                .filter(|(i, _)| *i < at || *i >= at + count);
            kept.map(|(_, c)| *c).collect()
        }
        Damage::Cut(at) => chars[..place(at)].iter().collect(),
        Damage::DoubleLine(at) if !lines.is_empty() => {
            let at = line(at);
            lines.insert(at, lines[at].clone());
            lines.join("\n")
        }
        Damage::DeleteLine(at) if !lines.is_empty() => {
            let at = line(at);
            lines.remove(at);
            lines.join("\n")
        }
        Damage::Indent(at, by) if !lines.is_empty() => {
            let at = line(at);
            lines[at] = format!("{}{}", " ".repeat(by), lines[at].trim_start());
            lines.join("\n")
        }
        _ => text.to_owned(),
    }
}

fn assert_tells_nothing(text: &str) {
    let problems = match decode(text.as_bytes()) {
        Ok(text) => {
            let mut problems = parse(text, Sealing::Required).problems;
            problems.extend(config::parse(text).problems);
            problems.extend(seal(text, &sealed()).err().unwrap_or_default());
            problems
        }
        Err(problem) => vec![problem],
    };
    let told = format!("{problems:?}");
    for start in 0..=CANARY.len() - PIECE {
        let piece = &CANARY[start..start + PIECE];
        assert!(!told.contains(piece), "{text:?} gives {told}");
    }
}

#[test]
fn problems_of_the_undamaged_document_tell_nothing() {
    assert_tells_nothing(&good());
    let problems = parse(&good(), Sealing::Required).problems;
    assert!(problems.len() > 8, "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn problems_of_damaged_documents_tell_nothing(
        damages in proptest::collection::vec(damage(), 1..6),
        is_crlf in any::<bool>(),
    ) {
        let mut text = good();
        if is_crlf {
            text = text.replace('\n', "\r\n");
        }
        for damage in &damages {
            text = apply(&text, damage);
        }
        assert_tells_nothing(&text);
    }
}
