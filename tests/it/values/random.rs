//! Random manifests of every layout: what is set changes one value and one region.
//!
//! A manifest is made of pieces, of which the values are known, so that the judge
//! needs no reader of its own: all other pieces must still be there, byte for byte.

use std::collections::BTreeMap;

use drspass::authoring::{Change, ManifestText, Taken};
use drspass::core::fingerprint::Field;
use drspass::core::manifest::{Manifest, Sealing, parse};
use drspass::core::secret::Secret;

use super::Desk;

/// How many manifests are made.
const MANIFESTS: u64 = 300;

/// A source of choices that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    /// A value that no manifest refuses, of one line or of several.
    fn value(&mut self, of_lines: bool) -> String {
        let mut value = "canary".to_owned();
        for _ in 0..1 + self.roll(4) {
            value.push_str(self.pick(&[
                "-a", "\"", "'", "\\", "#", " #", ": ", "{", "}", ",", "ü", "e\u{301}", "日本",
                "🔑", " ", "$HOME", "%41", "|-", "- ", "\u{a0}", "\u{200b}", "\t", "*x", "&y",
                "!z", "0",
            ]));
        }
        if of_lines {
            for _ in 0..self.roll(3) {
                value.push_str(self.pick(&["\n", "\n\n", "\n  "]));
                value.push_str(self.pick(&["[libdefaults]", "realm = ü", "# no comment"]));
            }
        }
        value.push_str(self.pick(&["x", "9", "\"", "'"]));
        value
    }
}

/// A manifest in pieces.
#[derive(Default)]
struct Made {
    pieces: Vec<String>,
    /// The values: which piece, its address, its field.
    values: Vec<(usize, String, Field)>,
}

impl Made {
    fn put(&mut self, text: &str) {
        self.pieces.push(text.to_owned());
    }

    fn value(&mut self, token: String, address: &str, field: Field) {
        self.values
            .push((self.pieces.len(), address.to_owned(), field));
        self.pieces.push(token);
    }

    fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// A value in one of the styles; a block needs its indentation.
fn token(dice: &mut Dice, value: &str, block: Option<usize>) -> String {
    let is_plain = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{a0}' | '\u{200b}'));
    let fits = value.chars().all(is_plain);
    match (dice.roll(4), block) {
        (0, Some(indent)) if fits => {
            let pad = " ".repeat(indent + 1 + dice.roll(3));
            let lines: Vec<String> = value
                .split('\n')
                .map(|line| {
                    if line.is_empty() {
                        String::new()
                    } else {
                        format!("{pad}{line}")
                    }
                })
                .collect();
            let comment = dice.pick(&["", "  # kept"]);
            format!("|-{comment}\n{}", lines.join("\n"))
        }
        (1, Some(indent)) if fits && !value.contains('\n') => {
            format!(">-\n{}{value}", " ".repeat(indent + 1))
        }
        (2, _) if fits && !value.contains('\n') => format!("'{}'", value.replace('\'', "''")),
        _ => {
            let mut out = String::new();
            drspass::core::yaml::quote(value, &mut out);
            out
        }
    }
}

fn manifest(dice: &mut Dice) -> Made {
    let mut made = Made::default();
    made.put(dice.pick(&["", "\u{feff}"]));
    made.put(dice.pick(&["", "# head\n", "%YAML 1.2\n---\n", "---\n"]));
    made.put("version: 1\n");
    let step = 1 + dice.roll(4);
    let pad = |depth: usize| " ".repeat(step * depth);
    let credentials = dice.roll(3);
    if credentials > 0 {
        made.put("credentials:\n");
        for number in 0..credentials {
            let name = format!("db-{number}");
            made.put(&format!("{}{name}: {{ password: ", pad(1)));
            let value = dice.value(false);
            made.value(
                token(dice, &value, None),
                &format!("@{name}"),
                Field::Password,
            );
            made.put(dice.pick(&[" }\n", ", } # kept\n", " }  # kept: \"not a value\"\n\n"]));
        }
    }
    made.put("jobs:\n");
    for number in 0..1 + dice.roll(4) {
        let id = format!("{number:08x}-a37c-41b9-bc2b-8c00ba32jb52");
        let quote = dice.pick(&["", "\"", "'"]);
        made.put(dice.pick(&["", "\n", "  # before a job\n"]));
        made.put(&format!(
            "{}{quote}{id}{quote}:{}\n",
            pad(1),
            dice.pick(&["", " # a job"])
        ));
        let mut address = id.clone();
        if dice.roll(2) == 0 {
            address = format!("job-{number}");
            made.put(&format!("{}name: {address}\n", pad(2)));
        }
        let both = [
            &["source"][..],
            &["destination"],
            &["destination", "source"],
        ];
        for endpoint in both[dice.roll(3)] {
            let address = format!("{address}/{endpoint}");
            endpoint_of(dice, &mut made, endpoint, &address, step, credentials);
        }
    }
    made.put(dice.pick(&["", "# the end\n", "...\n"]));
    if dice.roll(3) == 0 {
        for piece in &mut made.pieces {
            *piece = piece.replace('\n', "\r\n");
        }
    }
    made
}

fn endpoint_of(
    dice: &mut Dice,
    made: &mut Made,
    endpoint: &str,
    address: &str,
    step: usize,
    credentials: usize,
) {
    let pad = |depth: usize| " ".repeat(step * depth);
    let credential = (credentials > 0 && dice.roll(4) == 0).then(|| dice.roll(credentials));
    if dice.roll(2) == 0 {
        made.put(&format!("{}{endpoint}: {{ ", pad(2)));
        match credential {
            Some(number) => made.put(&format!("credential: db-{number}")),
            None => {
                made.put("password: ");
                let value = dice.value(false);
                made.value(token(dice, &value, None), address, Field::Password);
            }
        }
        if dice.roll(3) == 0 {
            made.put(", kerberos: { domain_name: ");
            let value = dice.value(false);
            made.value(token(dice, &value, None), address, Field::DomainName);
            made.put(" }");
        }
        let spread = format!(",\n{0}# inside\n{0}}}\n", pad(3));
        made.put(dice.pick(&[" }\n", " } # kept\n", &spread]));
        return;
    }
    made.put(&format!("{}{endpoint}:  # kept\n", pad(2)));
    match credential {
        Some(number) => made.put(&format!("{}credential: db-{number}\n", pad(3))),
        None => {
            made.put(&format!("{}password: ", pad(3)));
            let value = dice.value(false);
            made.value(
                token(dice, &value, Some(step * 3)),
                address,
                Field::Password,
            );
            made.put(dice.pick(&["\n", "\n\n", "\n# between\n"]));
        }
    }
    if dice.roll(2) == 0 {
        made.put(&format!("{}kerberos:\n{}krb5_conf_file: ", pad(3), pad(4)));
        let value = dice.value(true);
        made.value(
            token(dice, &value, Some(step * 4)),
            address,
            Field::Krb5ConfFile,
        );
        made.put(dice.pick(&["\n", "\n\n\n"]));
    }
}

/// What a manifest sets, by job, endpoint and field. A password that comes from a
/// credential counts for the credential.
fn meaning(text: &str) -> BTreeMap<String, String> {
    let checked = parse(text.trim_start_matches('\u{feff}'), Sealing::Optional);
    let manifest: Manifest = checked
        .value
        .unwrap_or_else(|| panic!("{:?}\n{text}", checked.problems));
    let mut found = BTreeMap::new();
    for assignment in manifest.assignments() {
        for (field, value) in assignment.values() {
            let place = match &assignment.credential {
                Some(name) if field == Field::Password => format!("@{name}"),
                _ => format!("{} {field}", assignment.label),
            };
            found.insert(place, value.expose().to_owned());
        }
    }
    for job in manifest.jobs() {
        found.insert(format!("{} is listed", job.id), format!("{:?}", job.name));
    }
    found
}

/// Sets one value of a text.
fn set(text: &str, address: &str, field: Field, value: &str) -> String {
    let document = ManifestText::new(text).unwrap();
    let place = document.find(address, field, Taken::New).unwrap();
    let value = Secret::new(value.to_owned());
    let change = Change { place, value };
    let text = document.rewrite(&[change]);
    text.unwrap_or_else(|_| panic!("{address} {field}"))
        .to_string()
}

#[test]
fn what_is_set_changes_one_value_and_one_region_of_the_text() {
    for seed in 0..MANIFESTS {
        let mut dice = Dice(seed);
        let made = manifest(&mut dice);
        let before = made.text();
        let old = meaning(&before);
        for (piece, address, field) in &made.values {
            let value = dice.value(*field == Field::Krb5ConfFile);
            let after = set(&before, address, *field, &value);
            let case = format!("seed {seed}, {address} {field}\n{before}\n---\n{after}");
            let (start, end) = (
                made.pieces[..*piece].concat(),
                made.pieces[piece + 1..].concat(),
            );
            assert!(after.starts_with(&start) && after.ends_with(&end), "{case}");
            assert!(after.len() >= start.len() + end.len(), "{case}");
            let old_token = &made.pieces[*piece];
            let new_token = &after[start.len()..after.len() - end.len()];
            let has_comment = |token: &str| token.lines().next().unwrap().ends_with("  # kept");
            if has_comment(old_token) {
                assert!(new_token.contains(" # kept"), "{case}");
            }
            let mut want = old.clone();
            let place = match address.strip_prefix('@') {
                Some(name) => format!("@{name}"),
                None => format!("{address} {field}"),
            };
            // A credential that nobody uses shows in no assignment.
            if let Some(slot) = want.get_mut(&place) {
                *slot = value;
            }
            assert_eq!(meaning(&after), want, "{case}");
        }
    }
}

#[test]
fn what_is_added_is_one_new_value_and_one_new_region() {
    let new = "99999999-a37c-41b9-bc2b-8c00ba32jb59/source";
    for seed in 0..MANIFESTS {
        let mut dice = Dice(seed);
        let before = manifest(&mut dice).text();
        let old = meaning(&before);
        for address in [new, "00000000-a37c-41b9-bc2b-8c00ba32jb52/source", "@fresh"] {
            let document = ManifestText::new(&before).unwrap();
            let is_there = !document
                .find(address, Field::Password, Taken::New)
                .is_ok_and(|place| {
                    let value = Secret::new(String::new());
                    let effect = document.effect(&Change { place, value });
                    effect == drspass::authoring::Effect::Added
                });
            if is_there {
                continue;
            }
            let value = dice.value(false);
            let after = set(&before, address, Field::Password, &value);
            let case = format!("seed {seed}, {address}\n{before}\n---\n{after}");
            let same_start = before
                .bytes()
                .zip(after.bytes())
                .take_while(|(a, b)| a == b);
            let start = same_start.count();
            assert!(
                after.as_bytes().ends_with(&before.as_bytes()[start..]),
                "{case}"
            );
            let breaks = |text: &str| (text.matches('\n').count(), text.matches("\r\n").count());
            let (all, pairs) = breaks(&after);
            assert!(pairs == 0 || pairs == all, "{case}");
            let mut found = meaning(&after);
            found.retain(|place, found| old.get(place) != Some(found));
            let is_right = match found.len() {
                0 => address == "@fresh",
                _ => found.values().any(|found| *found == value),
            };
            assert!(is_right && found.len() <= 2, "{found:?}\n{case}");
            assert!(
                old.keys().all(|place| meaning(&after).contains_key(place)),
                "{case}"
            );
        }
    }
}

#[test]
fn what_is_removed_is_one_entry_and_the_comments_of_others_stay() {
    for seed in 0..MANIFESTS {
        let mut dice = Dice(seed);
        let made = manifest(&mut dice);
        let before = made.text();
        let old = meaning(&before);
        for (_, address, field) in &made.values {
            let document = ManifestText::new(&before).unwrap();
            let Ok(place) = document.find_removable(address, *field) else {
                assert!(address.starts_with('@'));
                continue;
            };
            let case = format!("seed {seed}, {address} {field}\n{before}");
            let after = document.without(&place).expect(&case);
            let case = format!("{case}\n---\n{}", &*after);
            let new = meaning(&after);
            let gone = |place: &str| match field {
                Field::Password => place.starts_with(&format!("{address} ")),
                _ => place == format!("{address} {field}"),
            };
            let mut want = old.clone();
            want.retain(|place, _| !gone(place));
            // A credential that nobody uses any more shows in no assignment.
            want.retain(|place, _| !place.starts_with('@') || new.contains_key(place));
            assert_eq!(new, want, "{case}");
            for comment in ["# head", "# a job", "# before a job", "# the end"] {
                assert_eq!(
                    after.matches(comment).count(),
                    before.matches(comment).count(),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn documents_that_no_manifest_can_be_are_refused() {
    for text in [
        "version: 1\njobs: &a {}\n",
        "version: 1\njobs: { a: *b }\n",
        "version: 1\njobs: !x {}\n",
        "version: 1\njobs:\n\t- x\n",
        "version: 1\n---\njobs: {}\n",
        "- a\n",
        "",
    ] {
        assert!(ManifestText::new(text).is_err(), "{text}");
    }
}

#[test]
fn random_manifests_come_through_the_binary_as_well() {
    for seed in 0..6 {
        let mut dice = Dice(seed * 31 + 5);
        let made = manifest(&mut dice);
        let desk = Desk::new(&made.text(), &["canary"]);
        let old = meaning(&desk.text());
        let (_, address, field) = &made.values[dice.roll(made.values.len())];
        let value = dice.value(false);
        let args = [
            "set",
            address,
            "--field",
            field.as_str(),
            "--from-file",
            "-",
        ];
        desk.fed(&args, format!("{value}\n").as_bytes()).exits(0);
        let new = meaning(&desk.text());
        let differs = new
            .iter()
            .filter(|(place, value)| old.get(*place) != Some(*value));
        assert!(differs.count() <= 1, "seed {seed}");
        assert_eq!(new.len(), old.len());
    }
}
