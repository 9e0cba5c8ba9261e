use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::core::fingerprint::FingerprintKey;
use crate::core::job::Endpoint;
use crate::core::manifest::tests::sealing;
use crate::core::manifest::{Manifest, Sealed, parse, seal};
use crate::core::merge::{MergeLine, Verdict, Version, Versions};

const J: [&str; 4] = [
    "11df459d-a37c-41b9-bc2b-8c00ba32jb51",
    "22df459d-a37c-41b9-bc2b-8c00ba32jb52",
    "33df459d-a37c-41b9-bc2b-8c00ba32jb53",
    "44df459d-a37c-41b9-bc2b-8c00ba32jb54",
];

/// A version of a manifest: its text, sealed with a revision, and its values.
struct Made {
    text: Zeroizing<String>,
    manifest: Manifest,
    sealed: Sealed,
}

impl Made {
    fn version(&self) -> Version<'_> {
        Version {
            manifest: &self.manifest,
            sealed: &self.sealed,
        }
    }
}

#[track_caller]
fn made(text: &str, revision: u64) -> Made {
    let sealed = Sealed {
        fingerprint_key: FingerprintKey::new([7; 32]),
        recipients: vec!["age1abc".to_owned()],
        revision,
        ..sealing::sealed()
    };
    let text = seal(text, &sealed).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let manifest = parse(split_mark(&text).1, Sealing::Required).value.unwrap();
    Made {
        text,
        manifest,
        sealed,
    }
}

/// The text of a merge, without the sealed part, and how many conflicts there are.
#[track_caller]
fn merge(
    base: &str,
    [ours, theirs]: [&str; 2],
    revisions: [u64; 2],
    named: [&[String]; 2],
) -> (Result<String, Vec<Problem>>, usize) {
    let base = made(base, 7);
    let (ours, theirs) = (made(ours, revisions[0]), made(theirs, revisions[1]));
    let versions = Versions {
        base: Some(base.version()),
        sides: [ours.version(), theirs.version()],
    };
    let result = versions.merge(&[], named).unwrap();
    let conflicts = result
        .lines
        .iter()
        .filter(|line: &&MergeLine| matches!(line.verdict, Verdict::Conflict { .. }));
    let text = merged(Some(&base.text), [&ours.text, &theirs.text], &result);
    (text.map(|text| unsealed(&text)), conflicts.count())
}

fn unsealed(text: &str) -> String {
    let (before, rest) = text.split_once("sealed:\n").unwrap();
    let end = rest.find("\n\"").map_or(0, |at| at + 1);
    let rest = &rest[end..];
    let lines = rest.split_inclusive('\n');
    let after: String = lines.skip_while(|line| line.starts_with("  ")).collect();
    format!("{before}{after}")
}

/// Merges texts in which J1 to J4 are ids.
#[track_caller]
fn check(base: &str, ours: &str, theirs: &str, expected: &str) {
    let long = |text: &str| {
        let text = J
            .iter()
            .zip(1..)
            .fold(text.to_owned(), |text, (id, number)| {
                text.replace(&format!("J{number}"), id)
            });
        format!("version: 1\n{text}")
    };
    let [base, ours, theirs] = [base, ours, theirs].map(long);
    let (text, conflicts) = merge(&base, [&ours, &theirs], [8, 9], [&[], &[]]);
    assert_eq!(conflicts, 0);
    let text = text.unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(text, long(expected), "\n{text}");
}

const BASE: &str = "\
# head
credentials:
  # of the database
  db: { password: 'canary-db' }
  spare: { password: 'canary-spare' }

# jobs
jobs:
  # the first
  J1:
    source: { credential: db } # beside
    destination:
      password: 'canary-1'
  # the second
  J2:
    name: two
    source: { password: 'canary-2' }
# the end
";

#[test]
fn a_block_that_one_side_touched_is_taken_byte_for_byte() {
    let ours = BASE.replace("'canary-1'", "\"canary-ours\"  # new");
    let theirs = BASE
        .replace("# the second", "# the 2nd")
        .replace(
            "{ password: 'canary-2' }",
            "{   password:   'canary-theirs'   }",
        )
        .replace("# of the database", "# of a database");
    let both = theirs.replace("'canary-1'", "\"canary-ours\"  # new");
    check(BASE, &ours, &theirs, &both);
    check(BASE, &theirs, &ours, &both);
    // The head, and what is between and behind the sections, is one block.
    let theirs = BASE
        .replace("# head", "# title")
        .replace("# jobs", "# the jobs")
        .replace("# the end", "# end");
    let both = theirs.replace("'canary-1'", "\"canary-ours\"  # new");
    check(BASE, &ours, &theirs, &both);
    check(BASE, &theirs, &ours, &both);
}

#[test]
fn a_block_that_both_touched_keeps_the_text_of_head_with_the_other_values() {
    let ours = BASE.replace("'canary-1'", "\"canary-ours\"  # new");
    let theirs = BASE.replace("# the first", "# first").replace(
        "source: { credential: db } # beside",
        "source: { password: 'canary-own', kerberos: { domain_name: 'canary-d' } }",
    );
    let both = ours.replace(
        "{ credential: db } # beside",
        "{ password: \"canary-own\", kerberos: { domain_name: \"canary-d\" } } # beside",
    );
    check(BASE, &ours, &theirs, &both);
}

#[test]
fn new_blocks_go_behind_their_former_neighbour_and_removed_ones_go() {
    let ours = BASE.replace(
        "# the end",
        "  # new in ours\n  J3:\n    source: { password: 'canary-3' }\n# the end",
    );
    let theirs = BASE
        .replace("  spare: { password: 'canary-spare' }\n", "")
        .replace(
            "  # the first",
            "  # new in theirs\n  J4: { source: { credential: db } }\n  # the first",
        );
    let both = theirs.replace(
        "# the end",
        "  # new in ours\n  J3:\n    source: { password: 'canary-3' }\n# the end",
    );
    check(BASE, &ours, &theirs, &both);
    check(BASE, &theirs, &ours, &both);
}

#[test]
fn texts_without_blocks_get_the_values() {
    let flow = "jobs: { J1: { source: { password: 'canary-1' }, destination: { password: 'canary-2' } } }\n";
    check(
        flow,
        &flow.replace("canary-1", "canary-ours"),
        &flow.replace("canary-2", "canary-theirs"),
        "jobs: { J1: { source: { password: 'canary-ours' }, destination: { password: \"canary-theirs\" } } }\n",
    );
    check(
        "jobs: {}\n",
        "jobs:\n    J1:\n        source: { password: 'canary-1' }",
        "jobs:\n  J2:\n    source: { password: 'canary-2' }\n",
        "jobs:\n    J1:\n        source: { password: 'canary-1' }\n    J2:\n        source: { password: \"canary-2\" }\n",
    );
    // The first credential comes with its section.
    let base = "jobs:\n  J1:\n    source: { password: 'canary-1' }\n";
    let theirs =
        format!("# accounts\ncredentials:\n  # one\n  db: {{ password: 'canary-db' }}\n\n{base}");
    check(
        base,
        &base.replace("canary-1", "canary-ours"),
        &theirs,
        &theirs.replace("canary-1", "canary-ours"),
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let base = BASE.replace("J1", J[0]).replace("J2", J[1]);
    let base = format!("version: 1\n{base}");
    let ours = base.replace("  spare: { password: 'canary-spare' }\n", "");
    let theirs = base.replace("{ password: 'canary-2' }", "{ credential: spare }");
    let (text, conflicts) = merge(&base, [&ours, &theirs], [8, 9], [&[], &[]]);
    assert_eq!(conflicts, 0);
    let problems = text.unwrap_err();
    assert_eq!(problems[0].what, "the credential is not defined");
    let named = ["@spare".to_owned()];
    let (text, _) = merge(&base, [&ours, &theirs], [8, 9], [&[], &named]);
    assert!(
        text.unwrap()
            .contains("spare: { password: 'canary-spare' }")
    );
}

/// A manifest as a list of values, with the style of its text.
#[derive(Clone, Debug)]
struct Doc {
    /// Each with its password.
    credentials: BTreeMap<String, u8>,
    jobs: BTreeMap<usize, DocJob>,
    is_flow: bool,
}

#[derive(Clone, Debug, Default)]
struct DocJob {
    name: Option<u8>,
    /// Password or credential, and a domain.
    endpoints: [Option<DocEndpoint>; 2],
}

type DocEndpoint = (Login, Option<u8>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Login {
    Own(u8),
    Shared,
}

/// An id for every number.
fn id(number: usize) -> String {
    format!("{number:08}-a37c-41b9-bc2b-8c00ba32jb51")
}

impl Doc {
    fn text(&self) -> String {
        let mut text = "version: 1\n# head\ncredentials:\n".to_owned();
        for (name, password) in &self.credentials {
            let _ = writeln!(
                text,
                "  # of {name}\n  {name}: {{ password: 'canary-{password}' }}"
            );
        }
        text.push_str("jobs:");
        if self.jobs.is_empty() {
            text.push_str(" {}");
        }
        text.push('\n');
        for (number, job) in &self.jobs {
            let is_empty = job.name.is_none() && job.endpoints.iter().all(Option::is_none);
            let _ = writeln!(
                text,
                "  # number {number}\n  {}:{}",
                id(*number),
                if is_empty { " {}" } else { "" }
            );
            if let Some(name) = job.name {
                let _ = writeln!(text, "    name: job-{number}-{name}");
            }
            for (endpoint, content) in Endpoint::ALL.iter().zip(job.endpoints) {
                let Some((login, domain)) = content else {
                    continue;
                };
                let login = match login {
                    Login::Own(password) => format!("password: 'canary-{password}'"),
                    Login::Shared => "credential: shared".to_owned(),
                };
                let domain =
                    domain.map(|domain| format!("kerberos: {{ domain_name: 'canary-{domain}' }}"));
                if self.is_flow {
                    let domain = domain.map_or_else(String::new, |domain| format!(", {domain}"));
                    let _ = writeln!(text, "    {endpoint}: {{ {login}{domain} }} # there");
                } else {
                    let domain =
                        domain.map_or_else(String::new, |domain| format!("      {domain}\n"));
                    let _ = write!(text, "    {endpoint}:\n      {login}\n{domain}");
                }
            }
        }
        text.push_str("# end\n");
        text
    }
}

/// The values of a text, by their places.
fn values(text: &str) -> BTreeSet<String> {
    let manifest = parse(text, Sealing::Optional)
        .value
        .unwrap_or_else(|| panic!("{text}"));
    let credentials = manifest.credentials().iter();
    let credentials = credentials.map(|it| format!("@{} {}", it.name, it.password.expose()));
    let jobs = manifest
        .jobs()
        .iter()
        .map(|job| format!("{} {:?}", job.id, job.name));
    let entries = manifest.assignments().iter().flat_map(|entry| {
        let values = entry
            .values()
            .map(|(field, value)| format!("{field} {}", value.expose()));
        let values: Vec<_> = values.collect();
        values
            .into_iter()
            .map(move |value| format!("{} {value} {:?}", entry.key, entry.credential))
    });
    credentials.chain(jobs).chain(entries).collect()
}

/// A unit of a document, and what an edit makes of it.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Credential(usize, u8),
    NewCredential(u8),
    Name(usize, Option<u8>),
    Login(usize, usize, Login),
    Domain(usize, usize, Option<u8>),
    Endpoint(usize, usize, Option<u8>),
    NewJob(usize, u8),
    NoJob(usize),
}

impl Edit {
    /// What only one side may touch. An endpoint and a job are touched as a whole, or in parts.
    fn units(self) -> Vec<String> {
        let all = |job: usize| {
            let parts = ["name", "0 login", "0 domain", "1 login", "1 domain"];
            parts.map(|part| format!("{job} {part}")).to_vec()
        };
        match self {
            Self::Credential(number, _) => vec![format!("@{number}")],
            Self::NewCredential(_) => Vec::new(),
            Self::Name(job, _) => vec![format!("{job} name")],
            Self::Login(job, endpoint, _) => vec![format!("{job} {endpoint} login")],
            Self::Domain(job, endpoint, _) => vec![format!("{job} {endpoint} domain")],
            Self::Endpoint(job, endpoint, _) => {
                vec![
                    format!("{job} {endpoint} login"),
                    format!("{job} {endpoint} domain"),
                ]
            }
            Self::NewJob(job, _) | Self::NoJob(job) => all(job),
        }
    }

    fn apply(self, doc: &mut Doc, side: usize) {
        let endpoint =
            |doc: &mut Doc, job: usize, endpoint: usize, change: &dyn Fn(&mut DocEndpoint)| {
                if let Some(content) = doc
                    .jobs
                    .get_mut(&job)
                    .and_then(|job| job.endpoints[endpoint].as_mut())
                {
                    change(content);
                }
            };
        match self {
            Self::Credential(number, password) => {
                let name = ["a", "b", "c", "d", "shared"][number];
                if let Some(known) = doc.credentials.get_mut(name) {
                    *known = password;
                }
            }
            Self::NewCredential(password) => {
                doc.credentials
                    .insert(format!("new-{side}-{password}"), password);
            }
            Self::Name(job, name) => {
                if let Some(job) = doc.jobs.get_mut(&job) {
                    job.name = name;
                }
            }
            Self::Login(job, number, login) => endpoint(doc, job, number, &|it| it.0 = login),
            Self::Domain(job, number, domain) => endpoint(doc, job, number, &|it| it.1 = domain),
            Self::Endpoint(job, number, password) => {
                if let Some(job) = doc.jobs.get_mut(&job) {
                    job.endpoints[number] = password.map(|password| (Login::Own(password), None));
                }
            }
            Self::NewJob(job, password) => {
                let endpoints = [Some((Login::Own(password), None)), None];
                let name = Some(password);
                doc.jobs
                    .entry(100 * (side + 1) + job)
                    .or_insert(DocJob { name, endpoints });
            }
            Self::NoJob(job) => {
                doc.jobs.remove(&job);
            }
        }
    }
}

fn login() -> impl Strategy<Value = Login> {
    prop_oneof![any::<u8>().prop_map(Login::Own), Just(Login::Shared)]
}

fn docs() -> impl Strategy<Value = Doc> {
    let domain = || proptest::option::of(any::<u8>());
    let endpoint = move || proptest::option::of((login(), domain()));
    let job = (proptest::option::of(any::<u8>()), [endpoint(), endpoint()])
        .prop_map(|(name, endpoints)| DocJob { name, endpoints });
    let credentials = proptest::collection::btree_map("[a-d]", any::<u8>(), 0..4);
    let jobs = proptest::collection::btree_map(0..8_usize, job, 0..6);
    (credentials, jobs, any::<bool>()).prop_map(|(mut credentials, jobs, is_flow)| {
        credentials.insert("shared".to_owned(), 0);
        Doc {
            credentials,
            jobs,
            is_flow,
        }
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let (job, end) = (0..8_usize, 0..2_usize);
    let some = || proptest::option::of(any::<u8>());
    let edit = prop_oneof![
        (0..5_usize, any::<u8>()).prop_map(|(number, password)| Edit::Credential(number, password)),
        any::<u8>().prop_map(Edit::NewCredential),
        (job.clone(), some()).prop_map(|(job, name)| Edit::Name(job, name)),
        (job.clone(), end.clone(), login())
            .prop_map(|(job, end, login)| Edit::Login(job, end, login)),
        (job.clone(), end.clone(), some())
            .prop_map(|(job, end, some)| Edit::Domain(job, end, some)),
        (job.clone(), end, some()).prop_map(|(job, end, some)| Edit::Endpoint(job, end, some)),
        (job.clone(), any::<u8>()).prop_map(|(job, password)| Edit::NewJob(job, password)),
        job.prop_map(Edit::NoJob),
    ];
    proptest::collection::vec(edit, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_merge_of_changes_of_different_units_has_both_whichever_side_is_head(
        base in docs(), edits in edits(), sides in proptest::collection::vec(0..2_usize, 8)
    ) {
        let (mut both, mut docs) = (base.clone(), [base.clone(), base.clone()]);
        let mut owners = BTreeMap::new();
        for (edit, side) in edits.into_iter().zip(sides) {
            let units = edit.units();
            if units.iter().any(|unit| owners.get(unit).is_some_and(|owner| *owner != side)) {
                continue;
            }
            owners.extend(units.into_iter().map(|unit| (unit, side)));
            edit.apply(&mut docs[side], side);
            edit.apply(&mut both, side);
        }
        let [ours, theirs] = docs.each_ref().map(Doc::text);
        let expected = values(&both.text());
        for sides in [[&*ours, &theirs], [&theirs, &ours]] {
            let (text, conflicts) = merge(&base.text(), sides, [8, 9], [&[], &[]]);
            prop_assert_eq!(conflicts, 0, "{}\n{}\n{}", base.text(), ours, theirs);
            let text = text.map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{}\n{ours}\n{theirs}", base.text())))?;
            prop_assert_eq!(&values(&text), &expected, "{}\n{}\n{}\n{}", base.text(), ours, theirs, text);
        }
    }

    #[test]
    fn a_change_of_the_same_unit_on_both_sides_is_a_conflict_until_a_side_is_chosen(
        base in docs(), edits in edits(), at in any::<Index>(), other in 1..=255_u8
    ) {
        let changed = |edit: Edit| match edit {
            Edit::Credential(number, password) => Some(Edit::Credential(number, password.wrapping_add(other))),
            Edit::Name(job, name) => Some(Edit::Name(job, Some(name.unwrap_or(0).wrapping_add(other)))),
            Edit::Login(job, end, Login::Own(password)) => Some(Edit::Login(job, end, Login::Own(password.wrapping_add(other)))),
            Edit::Domain(job, end, domain) => Some(Edit::Domain(job, end, Some(domain.unwrap_or(0).wrapping_add(other)))),
            Edit::Endpoint(job, end, password) => Some(Edit::Endpoint(job, end, Some(password.unwrap_or(0).wrapping_add(other)))),
            Edit::NoJob(job) => Some(Edit::Name(job, Some(other))),
            _ => None,
        };
        prop_assume!(!edits.is_empty());
        let one = edits[at.index(edits.len())];
        let Some(two) = changed(one) else { return Ok(()) };
        let mut docs = [base.clone(), base.clone()];
        one.apply(&mut docs[0], 0);
        two.apply(&mut docs[1], 1);
        let [before, ours, theirs] = [base.text(), docs[0].text(), docs[1].text()];
        let [old, mine, other] = [&before, &ours, &theirs].map(|text| values(text));
        prop_assume!(mine != other && mine != old && other != old);
        for (sides, values) in [([&*ours, &theirs], [&mine, &other]), ([&theirs, &ours], [&other, &mine])] {
            let (_, conflicts) = merge(&before, sides, [8, 9], [&[], &[]]);
            prop_assert!(conflicts > 0, "{}\n{}\n{}", before, ours, theirs);
            let all = ["*", "@*"].map(str::to_owned);
            let is_credential = matches!(one, Edit::Credential(..));
            let all = &all[usize::from(is_credential)..][..1];
            for (named, expected) in [([all, &[]], values[0]), ([&[], all], values[1])] {
                let (text, conflicts) = merge(&before, sides, [8, 9], named);
                prop_assert_eq!(conflicts, 0);
                prop_assert_eq!(&self::values(&text.unwrap()), expected, "{}\n{}\n{}", before, ours, theirs);
            }
        }
    }
}
