use super::*;
use crate::core::fingerprint::{Field, FingerprintKey};
use crate::core::manifest::tests::sealing;
use crate::core::manifest::{Former, Sealing, parse};
use crate::core::place::SealedPlace;
use crate::core::state::Lineage;

const J1: &str = "11df459d-a37c-41b9-bc2b-8c00ba32jb51";
const J2: &str = "22df459d-a37c-41b9-bc2b-8c00ba32jb52";

/// A version whose revision and key are these numbers.
struct Made(Manifest, Sealed);

fn made(jobs: &str, revision: u64, key: u8) -> Made {
    let text = format!("version: 1\n{jobs}")
        .replace("J1", J1)
        .replace("J2", J2);
    let manifest = parse(&text, Sealing::Optional).value.expect(&text);
    let sealed = Sealed {
        fingerprint_key: FingerprintKey::new([key; 32]),
        recipients: vec!["age1abc".to_owned()],
        revision,
        ..sealing::sealed()
    };
    Made(manifest, sealed)
}

impl Made {
    fn version(&self) -> Version<'_> {
        Version {
            manifest: &self.0,
            sealed: &self.1,
        }
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// The lines of a merge, as `sign label what`.
#[track_caller]
fn lines(merged: &Merged<'_>) -> Vec<String> {
    let line = |line: &MergeLine| {
        let sign = match &line.verdict {
            Verdict::Both => "=".to_owned(),
            Verdict::Taken { from, is_named, .. } => {
                let sign = if *from == 0 { "<" } else { ">" };
                format!("{sign}{}", if *is_named { "!" } else { "" })
            }
            Verdict::Conflict { .. } => "!".to_owned(),
        };
        let label = line.label.replace(J1, "J1").replace(J2, "J2");
        format!("{sign} {label} {}", line.what)
            .trim_end()
            .to_owned()
    };
    merged.lines.iter().map(line).collect()
}

/// Merges three versions of which only the base's revision is 7.
#[track_caller]
fn check(base: &str, ours: &str, theirs: &str, expected: &[&str]) {
    let [base, ours, theirs] = [made(base, 7, 1), made(ours, 8, 1), made(theirs, 9, 1)];
    let versions = Versions {
        base: Some(base.version()),
        sides: [ours.version(), theirs.version()],
    };
    let merged = versions.merge(&[], [&[], &[]]).unwrap();
    assert_eq!(lines(&merged), expected);
    assert_eq!(merged.sealed.revision, 9);
}

const A: &str = "jobs: { J1: { source: { password: 'canary-a' } } }";
const B: &str = "jobs: { J1: { source: { password: 'canary-b' } } }";
const C: &str = "jobs: { J1: { source: { password: 'canary-c' } } }";
const NONE: &str = "jobs: {}";

#[test]
fn what_one_side_changed_is_taken_and_what_both_changed_is_a_conflict() {
    check(A, A, A, &[]);
    check(A, B, A, &["< J1/source password"]);
    check(A, A, B, &["> J1/source password"]);
    check(A, B, B, &["= J1/source password"]);
    check(A, B, C, &["! J1/source password"]);
}

#[test]
fn what_one_side_removed_and_the_other_changed_is_a_conflict_as_a_whole() {
    check(A, NONE, A, &["< J1 job removed"]);
    check(A, A, NONE, &["> J1 job removed"]);
    check(A, NONE, NONE, &["= J1 job removed"]);
    check(A, NONE, B, &["! J1 job"]);
    check(NONE, A, NONE, &["< J1 job added"]);
    check(NONE, A, A, &["= J1 job added"]);
    check(NONE, A, B, &["! J1 job"]);
    let both =
        "jobs: { J1: { source: { password: 'canary-a' }, destination: { password: 'canary-x' } } }";
    check(A, NONE, both, &["! J1 job"]);
    check(A, both, A, &["< J1/destination endpoint added"]);
    check(both, A, both, &["< J1/destination endpoint removed"]);
    let kerberos = "jobs: { J1: { source: { password: 'canary-a' }, destination: { password: 'canary-x', kerberos: { domain_name: 'canary-d' } } } }";
    check(both, A, kerberos, &["! J1/destination endpoint"]);
    check(A, both, kerberos, &["! J1/destination endpoint"]);
    check(both, both, kerberos, &["> J1/destination kerberos added"]);
    check(
        kerberos,
        both,
        kerberos,
        &["< J1/destination kerberos removed"],
    );
}

#[test]
fn password_or_credential_is_one_choice_and_kerberos_and_name_are_units_of_their_own() {
    let base = "credentials: { db: { password: 'canary-db' } }\njobs: { J1: { name: one, source: { credential: db }, destination: { credential: db } } }";
    let own = base.replace(
        "source: { credential: db }",
        "source: { password: 'canary-o' }",
    );
    let new = base.replace("canary-db", "canary-new");
    check(
        base,
        &own,
        &new,
        &["> @db password", "< one/source password"],
    );
    let other = base.replace(
        "source: { credential: db }",
        "source: { password: 'canary-p' }",
    );
    check(base, &own, &other, &["! one/source password"]);
    let kerberos = base.replace(
        "source: { credential: db }",
        "source: { credential: db, kerberos: { domain_name: 'canary-d' } }",
    );
    check(
        base,
        &own,
        &kerberos,
        &["< one/source password", "> one/source kerberos added"],
    );
    let named = base.replace("name: one", "name: two");
    check(base, &own, &named, &["> one name", "< one/source password"]);
    let unnamed = base.replace("name: one, ", "");
    check(base, &named, &unnamed, &["! two name"]);
    let spare = base.replace("} }\n", "}, spare: { password: 'canary-s' } }\n");
    check(base, &spare, base, &["< @spare password added"]);
}

#[test]
fn without_a_common_version_every_difference_is_a_conflict() {
    let [ours, theirs] = [made(A, 8, 1), made(B, 9, 1)];
    let job = made("jobs: { J2: { source: { password: 'canary-2' } } }", 9, 1);
    for (theirs, expected) in [
        (&theirs, &["! J1/source password"][..]),
        (&job, &["! J1 job", "! J2 job"]),
        (&ours, &[]),
    ] {
        let sides = [ours.version(), theirs.version()];
        let versions = Versions { base: None, sides };
        let merged = versions.merge(&[], [&[], &[]]).unwrap();
        assert_eq!(lines(&merged), expected);
    }
}

/// Merges A with B, of these revisions and keys. The base is A, of revision 7 and key 1.
fn doubted(
    [ours, theirs]: [(u64, u8); 2],
    expected: &[u8],
    named: [&[&str]; 2],
) -> Result<Vec<String>, String> {
    let (base, ours) = (made(A, 7, 1), made(A, ours.0, ours.1));
    let theirs = made(B, theirs.0, theirs.1);
    let versions = Versions {
        base: Some(base.version()),
        sides: [ours.version(), theirs.version()],
    };
    let expected = expected
        .iter()
        .map(|key| FingerprintKey::new([*key; 32]).id());
    let expected: Vec<_> = expected.collect();
    let named = named.map(texts);
    let merged = versions.merge(&expected, [&named[0], &named[1]]);
    let merged = merged.map_err(|failure| failure.to_string())?;
    assert!(merged.unmatched.is_empty());
    Ok(lines(&merged))
}

#[test]
fn nothing_of_a_side_that_is_not_newer_is_taken_unless_its_flag_names_it() {
    let taken = |lines: &str| Ok(texts(&[lines]));
    for revision in [6, 7] {
        let sides = [(8, 1), (revision, 1)];
        assert_eq!(
            doubted(sides, &[], [&[], &[]]),
            taken("! J1/source password")
        );
        for address in [&format!("{J1}/source"), J1, "*", "*/source"] {
            let theirs = doubted(sides, &[], [&[], &[address]]);
            assert_eq!(theirs, taken(">! J1/source password"), "{address}");
            let ours = doubted(sides, &[], [&[address], &[]]);
            assert_eq!(ours, taken("<! J1/source password"), "{address}");
        }
    }
    // What the older one did not change is none of its business.
    let new = doubted([(6, 1), (8, 1)], &[], [&[], &[]]);
    assert_eq!(new, taken("> J1/source password"));
}

#[test]
fn nothing_of_a_side_with_a_former_key_is_taken_unless_its_flag_names_it() {
    let taken = |lines: &str| Ok(texts(&[lines]));
    // HEAD was rekeyed; the other side is newer, but of somebody who was removed.
    let sides = [(8, 2), (9, 1)];
    let refused = doubted(sides, &[], [&[], &[]]).unwrap_err();
    assert!(refused.starts_with("HEAD has the key"), "{refused}");
    let lines = doubted(sides, &[2], [&[], &[]]);
    assert_eq!(lines, taken("! J1/source password"));
    // With the key of the other side, that is the right one.
    let lines = doubted(sides, &[1], [&[], &[]]);
    assert_eq!(lines, taken("> J1/source password"));
    assert!(doubted(sides, &[3], [&[], &[]]).is_err());
    // A common version with a key of its own is worth nothing.
    assert!(doubted([(8, 2), (9, 2)], &[], [&[], &[]]).is_err());
    let lines = doubted([(8, 2), (9, 2)], &[2], [&[], &[]]);
    assert_eq!(lines, taken("! J1/source password"));
}

fn former(key: u8, serial: u64) -> Option<Former> {
    Some(Former {
        fingerprint_key: FingerprintKey::new([key; 32]),
        lineage: Lineage::new("lineage".to_owned()),
        serial,
        state_sha256: "0".repeat(64),
    })
}

#[test]
fn the_former_key_is_that_of_the_side_with_the_newer_one() {
    let check = |formers: [Option<Former>; 3], keys: [u8; 3], expected: &[u8]| {
        let mut all = [
            made(A, 7, keys[0]),
            made(A, 8, keys[1]),
            made(A, 9, keys[2]),
        ];
        for (made, former) in all.iter_mut().zip(formers) {
            made.1.former = former;
        }
        let [base, ours, theirs] = &all;
        let versions = Versions {
            base: Some(base.version()),
            sides: [ours.version(), theirs.version()],
        };
        let expected = expected
            .iter()
            .map(|key| FingerprintKey::new([*key; 32]).id());
        let merged = versions.merge(&expected.collect::<Vec<_>>(), [&[], &[]]);
        let sealed = merged.ok()?.sealed;
        Some((sealed.fingerprint_key.id(), sealed.former))
    };
    let is = |key: u8, former| Some((FingerprintKey::new([key; 32]).id(), former));
    let rekeyed = || [None, former(1, 4), None];
    assert_eq!(check(rekeyed(), [1, 2, 1], &[2]), is(2, former(1, 4)));
    // Both ids are expected for a while; the newer key is that of the side that replaced the other.
    assert_eq!(check(rekeyed(), [1, 2, 1], &[1, 2]), is(2, former(1, 4)));
    let theirs = || [None, None, former(1, 4)];
    assert_eq!(check(theirs(), [1, 1, 2], &[1, 2]), is(2, former(1, 4)));
    assert_eq!(check(theirs(), [1, 1, 2], &[]), None);
    assert_eq!(check([None, None, None], [1, 1, 2], &[1, 2]), None);
    // Under one key, the side that changed it counts: the state has gone over, or did so anew.
    let gone = [former(1, 4), former(1, 4), None];
    assert_eq!(check(gone, [2, 2, 2], &[]), is(2, None));
    let again = [former(1, 4), former(1, 5), former(1, 4)];
    assert_eq!(check(again, [2, 2, 2], &[]), is(2, former(1, 5)));
}

#[test]
fn settings_are_taken_from_the_side_that_changed_them_and_recipients_are_a_set() {
    let versions = |change: [&dyn Fn(&mut Sealed); 2]| {
        let base = made(A, 7, 1);
        let mut sides = [made(A, 8, 1), made(A, 9, 1)];
        for (side, change) in sides.iter_mut().zip(change) {
            change(&mut side.1);
        }
        (base, sides)
    };
    let add = |key: &'static str| move |sealed: &mut Sealed| sealed.recipients.push(key.to_owned());
    let turn = |sealed: &mut Sealed| {
        sealed.recipients = vec!["age1new".to_owned(), "age1abc".to_owned()];
    };
    let moved = |sealed: &mut Sealed| sealed.scope.project_id = "f".repeat(32);
    let elsewhere = |sealed: &mut Sealed| sealed.state = SealedPlace::File("other.json".to_owned());
    let nothing = |_: &mut Sealed| {};
    let check = |change: [&dyn Fn(&mut Sealed); 2], named: [&[&str]; 2], expected: &[&str]| {
        let (base, [ours, theirs]) = versions(change);
        let versions = Versions {
            base: Some(base.version()),
            sides: [ours.version(), theirs.version()],
        };
        let named = named.map(texts);
        let merged = versions.merge(&[], [&named[0], &named[1]]).unwrap();
        assert_eq!(lines(&merged), expected);
        merged.sealed
    };
    let sealed = check([&nothing, &add("age1new")], [&[], &[]], &["> recipients"]);
    assert_eq!(sealed.recipients, ["age1abc", "age1new"]);
    check([&turn, &add("age1new")], [&[], &[]], &["= recipients"]);
    let both: [&dyn Fn(&mut Sealed); 2] = [&add("age1one"), &add("age1two")];
    check(both, [&[], &[]], &["! recipients"]);
    // No wildcard names who can read.
    check(both, [&["recipients"], &[]], &["<! recipients"]);
    let sealed = check(
        [&moved, &elsewhere],
        [&[], &[]],
        &["< target.project_id", "> state"],
    );
    assert_eq!(
        (sealed.state.name(), sealed.scope.project_id),
        ("other.json".to_owned(), "f".repeat(32))
    );
}

#[test]
fn an_address_that_matches_no_difference_and_one_of_both_flags_are_reported() {
    let [base, ours, theirs] = [made(A, 7, 1), made(B, 8, 1), made(C, 9, 1)];
    let versions = Versions {
        base: Some(base.version()),
        sides: [ours.version(), theirs.version()],
    };
    let named = [&["*", "@db", "recipients"][..], &["none/source"]].map(texts);
    let merged = versions.merge(&[], [&named[0], &named[1]]).unwrap();
    let expected = [("--ours", 2), ("--ours", 3), ("--theirs", 1)];
    let expected = expected.map(|(flag, at)| format!("address {at} of {flag} matches no entry"));
    assert_eq!(merged.unmatched, expected);
    assert!(!merged.is_contradictory);
    let exact = &format!("{J1}/source")[..];
    for (ours, theirs, is_contradictory, line) in [
        (&["*"][..], &["*/source"][..], true, "<! J1/source password"),
        (&["*", exact], &[exact], true, "<! J1/source password"),
        (&["*"], &[exact], false, ">! J1/source password"),
        (&[exact], &["*"], false, "<! J1/source password"),
    ] {
        let named = [ours, theirs].map(texts);
        let merged = versions.merge(&[], [&named[0], &named[1]]).unwrap();
        assert_eq!(merged.is_contradictory, is_contradictory);
        assert_eq!(lines(&merged), [line]);
    }
}

#[test]
fn a_pattern_settles_conflicts_alone() {
    let two = |one: &str, other: &str| {
        let jobs = format!(
            "jobs: {{ J1: {{ source: {{ password: '{one}' }}, destination: {{ password: '{other}' }} }} }}"
        );
        jobs
    };
    let base = made(&two("canary-a", "canary-b"), 7, 1);
    let ours = made(&two("canary-a", "canary-ours"), 8, 1);
    let theirs = made(&two("canary-new", "canary-theirs"), 9, 1);
    let versions = Versions {
        base: Some(base.version()),
        sides: [ours.version(), theirs.version()],
    };
    for (address, lines) in [
        ("*", ["> J1/source password", "<! J1/destination password"]),
        (J1, ["<! J1/source password", "<! J1/destination password"]),
    ] {
        let named = texts(&[address]);
        let merged = versions.merge(&[], [&named, &[]]).unwrap();
        assert_eq!(self::lines(&merged), lines);
    }
}

#[test]
fn a_line_has_the_tags_of_the_index_of_what_is_not_in_head() {
    let [base, ours, theirs] = [made(A, 7, 1), made(B, 8, 1), made(C, 9, 1)];
    let versions = Versions {
        base: Some(base.version()),
        sides: [ours.version(), theirs.version()],
    };
    let merged = versions.merge(&[], [&[], &[]]).unwrap();
    let tagger = ours.1.fingerprint_key.tagger(&ours.1.scope);
    let tag = |made: &Made| {
        let entry = &made.0.assignments()[0];
        tagger.of(&entry.key.to_string(), Field::Password, &entry.password)
    };
    let line = &merged.lines[0];
    assert_eq!(line.tags, [tag(&theirs)]);
    // Of several values that are decided as one, only those that HEAD does not have.
    let kerberos = |domain: &str, revision| {
        let text = format!(
            "jobs:\n  {J1}:\n    source:\n      password: 'canary-1'\n      kerberos:\n        \
             krb5_conf_file: 'k'\n        key_tab_file: 'QUJD'\n        domain_name: '{domain}'\n        \
             user_principal: 'u'\n"
        );
        made(&text, revision, 1)
    };
    let [base, one, other] =
        [("one", 7), ("one", 8), ("other", 9)].map(|(domain, revision)| kerberos(domain, revision));
    let versions = Versions {
        base: Some(base.version()),
        sides: [one.version(), other.version()],
    };
    let tags = &versions.merge(&[], [&[], &[]]).unwrap().lines[0].tags;
    assert_eq!(tags.len(), 1);
    let shown = [&ours, &theirs].map(|made| format!("{}…", &tag(made)[..8]));
    let verdict = Verdict::Conflict {
        sides: shown,
        doubted: None,
    };
    assert_eq!(line.verdict, verdict);
}
