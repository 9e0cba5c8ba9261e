//! No secret stands in a plan, however it is looked at.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{PLAN, key, save};
use crate::support::leaks::found;
use crate::support::{J1, J2, J3, Lab, TOKEN};

const SECRETS: [&str; 5] = [
    "canary-pass-1",
    "canary-pass-2 ÄÖ\"\\",
    "canary-pass-3-of-this-plan",
    "Y2FuYXJ5LWtleXRhYi1jb250ZW50",
    "canary-krb5-conf",
];

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.plant(&SECRETS);
    let [one, two, three, keytab, conf] = SECRETS;
    let quoted = serde_json::to_string(two).unwrap();
    lab.document(format!(
        "version: 1\ncredentials:\n  shared: {{ password: '{one}' }}\njobs:\n  {J1}:\n    \
         source: {{ credential: shared }}\n    destination:\n      password: {quoted}\n      \
         kerberos:\n        krb5_conf_file: '{conf}'\n        key_tab_file: '{keytab}'\n  \
         {J2}:\n    source: {{ password: '{three}' }}\n  {J3}:\n    source: {{ credential: \
         shared }}\n"
    ))
    .exits(0);
    lab
}

/// Every string of a document, the names of its fields included.
fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| strings(value, into)),
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            into.push(name.clone());
            strings(value, into);
        }),
        _ => {}
    }
}

/// What a text decodes to, from each place at which base64 or hexadecimal may begin.
fn decoded(text: &str) -> Vec<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engines = [STANDARD, URL_SAFE].map(|alphabet| GeneralPurpose::new(&alphabet, config));
    let mut all = Vec::new();
    // A prefix such as `v1:` ends where the signs of the alphabet begin.
    let runs = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c)));
    for run in runs.filter(|run| run.len() >= 4) {
        for start in 0..4.min(run.len()) {
            let rest = &run[start..];
            // One sign too many is no end of a base64 text.
            let whole = rest.len() - usize::from(rest.len() % 4 == 1);
            let texts = engines.iter().map(|engine| engine.decode(&rest[..whole]));
            all.extend(texts.filter_map(Result::ok));
        }
        for start in 0..2 {
            let pairs = run.as_bytes()[start..].chunks_exact(2);
            let bytes = pairs.map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                u8::from_str_radix(pair, 16).ok()
            });
            all.extend(bytes.collect::<Option<Vec<u8>>>());
        }
    }
    all
}

#[track_caller]
fn assert_holds_none(lab: &Lab, content: &[u8]) {
    let key = key(lab).to_base64();
    let identity = lab.read("key.txt");
    let identity = identity.lines().last().unwrap();
    let mut secrets = SECRETS.to_vec();
    secrets.extend([key.expose(), TOKEN, identity]);
    // Digests that need no key can be made by whoever guesses.
    let digests = SECRETS.map(|secret| format!("{:x}", Sha256::digest(secret)));
    secrets.extend(digests.iter().map(String::as_str));
    let folder = lab.dir.path().display().to_string();
    secrets.push(&folder);

    let document: Value = serde_json::from_slice(content).unwrap();
    let mut texts = Vec::new();
    strings(&document, &mut texts);
    let mut places = vec![content.to_vec()];
    places.extend(texts.iter().map(|text| text.clone().into_bytes()));
    places.extend(texts.iter().flat_map(|text| decoded(text)));
    for place in &places {
        for secret in &secrets {
            assert_eq!(found(secret, place), None);
        }
    }
}

#[test]
fn a_plan_holds_no_secret_in_any_form() {
    let lab = lab();
    save(&lab);
    assert_holds_none(&lab, &std::fs::read(lab.path(PLAN)).unwrap());
    // Nor does the next one, which repeats what the state knows.
    lab.apply(&["--only", J1]).exits(0);
    lab.run(&["plan", "--out", PLAN, "--resend", "*"]).exits(0);
    assert_holds_none(&lab, &std::fs::read(lab.path(PLAN)).unwrap());
}

#[test]
fn the_search_finds_what_is_there() {
    let secret = SECRETS[0];
    let engine = base64::engine::general_purpose::STANDARD;
    for hidden in [
        engine.encode(format!("x{secret}")),
        format!("v1:{}", engine.encode(secret)),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        let is_found = decoded(&hidden)
            .iter()
            .any(|bytes| found(secret, bytes).is_some());
        assert!(is_found, "{hidden}");
    }
}

#[test]
fn equal_values_are_not_told_by_equal_texts() {
    let lab = lab();
    save(&lab);
    let file: Value = serde_json::from_str(&lab.read(PLAN)).unwrap();
    let entries = file["body"]["entries"].as_array().unwrap();
    let mut prints: Vec<String> = Vec::new();
    for entry in entries {
        strings(&entry["wanted"], &mut prints);
    }
    prints.retain(|text| text.starts_with("v1:"));
    let all = prints.len();
    assert_eq!(all, 6);
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), all);
    let lengths: Vec<usize> = prints.iter().map(String::len).collect();
    assert!(lengths.iter().all(|length| *length == lengths[0]));
}
