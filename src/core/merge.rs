//! A merge of two manifests by entry: the two sides, and the version that both come from.
//!
//! What one side changed is taken; what both changed is a conflict, which a person decides. A side
//! that is not newer than the common version, or has a former key, may be an old manifest that
//! someone put on top of the history to bring a leaked password back, and an honest revert looks
//! the same. So nothing of such a side is taken unless its own flag names it.

mod content;

use std::collections::{HashMap, HashSet};

pub use content::SECTIONS;
use content::{Content, Leaf};

use super::address::{Address, unmatched};
use super::failure::{ErrorClass, Failure};
use super::fingerprint::{KeyId, Scope, Tagger};
use super::job::Endpoint;
use super::manifest::{Manifest, Sealed};
use super::place::SealedPlace;
use super::recipients::{Difference, identified, recipient_key};

/// The flags that name what to take: of HEAD, and of the other side. Everything that there is of
/// both sides is in this order.
pub const FLAGS: [&str; 2] = ["--ours", "--theirs"];

#[derive(Clone, Copy)]
pub struct Version<'m> {
    pub manifest: &'m Manifest,
    pub sealed: &'m Sealed,
}

pub struct Versions<'m> {
    /// `None` if there is none that can be opened.
    pub base: Option<Version<'m>>,
    pub sides: [Version<'m>; 2],
}

/// Something that differs between the versions, and what becomes of it.
pub struct MergeLine {
    /// Its address.
    pub label: String,
    pub what: String,
    pub verdict: Verdict,
    /// The tags of values that are not HEAD's, under the key of HEAD.
    pub tags: Vec<String>,
    /// The revision in HEAD's history that had one of these values, to be found elsewhere.
    pub back: Option<u64>,
}

/// Sides are numbers.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides made the same change.
    Both,
    Taken {
        from: usize,
        is_named: bool,
        /// What a setting becomes.
        value: Option<String>,
    },
    Conflict {
        /// What each side has.
        sides: [String; 2],
        /// The only side that changed it, if nothing of that is taken unnamed.
        doubted: Option<usize>,
    },
}

pub struct Merged<'m> {
    content: Content<'m>,
    sides: [Content<'m>; 2],
    /// Sealed with the highest revision of all versions, which is to be raised.
    pub sealed: Sealed,
    /// Why nothing of a side is taken unnamed.
    pub doubts: [Option<&'static str>; 2],
    pub has_base: bool,
    pub lines: Vec<MergeLine>,
    /// Addresses that match no difference.
    pub unmatched: Vec<String>,
    /// Whether an address of each flag names the same.
    pub is_contradictory: bool,
}

impl<'m> Versions<'m> {
    /// Merges the two sides. `named` has the addresses of each flag.
    ///
    /// # Errors
    /// The fingerprint keys differ, and `expected` does not settle which side has the right one.
    pub fn merge(&self, expected: &[KeyId], named: [&[String]; 2]) -> Result<Merged<'m>, Failure> {
        let id = |version: Version<'_>| version.sealed.fingerprint_key.id();
        let ids = self.sides.map(id);
        let base_id = self.base.map(id);
        let replaces = |side: usize, other: usize| {
            let former = self.sides[side].sealed.former.as_ref();
            former.is_some_and(|former| former.fingerprint_key.id() == ids[other])
        };
        let right = match ids.each_ref().map(|id| expected.contains(id)) {
            [true, true] if ids[0] == ids[1] || replaces(0, 1) => 0,
            [true, true] if replaces(1, 0) => 1,
            [true, false] => 0,
            [false, true] => 1,
            _ if !expected.is_empty() || ids[0] != ids[1] => {
                return Err(other_keys(&ids, expected));
            }
            _ if base_id.is_some_and(|base| base != ids[0]) => {
                return Err(other_keys(&ids, expected));
            }
            _ => 0,
        };
        // Anyone can make a version with a key of their own.
        let base = self.base.filter(|base| ids.contains(&id(*base)));
        let doubt = |side: usize| match base.map(|base| base.sealed.revision) {
            _ if ids[side] != ids[right] => Some("has a former key"),
            Some(revision) if self.sides[side].sealed.revision <= revision => {
                Some("is not newer than the common version")
            }
            _ => None,
        };
        let sealed = self.sides.map(|side| side.sealed);
        let mut merging = Merging {
            has_base: base.is_some(),
            doubts: [doubt(0), doubt(1)],
            tagger: sealed[0].fingerprint_key.tagger(&sealed[0].scope),
            named,
            used: named.map(|texts| vec![false; texts.len()]),
            is_contradictory: false,
            lines: Vec::new(),
        };
        let mut sealed = merging.settings(base.map(|base| base.sealed), sealed);
        // Under one key, only one of them may have dropped or renewed what it replaced.
        let is_kept = |base: &Version<'_>| base.sealed.former == self.sides[0].sealed.former;
        let is_theirs =
            ids[0] == ids[1] && merging.doubts[1].is_none() && base.is_some_and(|it| is_kept(&it));
        let right = self.sides[if is_theirs { 1 } else { right }].sealed;
        if ids[0] != ids[1] {
            let known = base.map(|base| &base.sealed.recipients);
            let change = Difference::between(&right.recipients, &sealed.recipients);
            let mut back = change.added.iter();
            if let Some(back) = back.find(|key| known.is_none_or(|known| holds(known, key))) {
                return Err(readable_again(back));
            }
        }
        sealed.fingerprint_key = right.fingerprint_key.clone();
        sealed.former = right.former.clone();
        let sides = self.sides.map(|side| Content::of(side.manifest));
        let base = base.map(|base| Content::of(base.manifest));
        let content = merging.content([&base.unwrap_or_default(), &sides[0], &sides[1]]);
        Ok(Merged {
            content,
            sides,
            sealed,
            unmatched: merging.unmatched(),
            doubts: merging.doubts,
            has_base: merging.has_base,
            lines: merging.lines,
            is_contradictory: merging.is_contradictory,
        })
    }
}

fn other_keys(ids: &[KeyId; 2], expected: &[KeyId]) -> Failure {
    let [ours, theirs] = ids;
    let what = match expected {
        [] if ours == theirs => {
            format!("both sides have the key {ours}, but the common version has another one")
        }
        [one] if ours == theirs => format!("both sides have the key {ours}, but {one} is expected"),
        _ => format!("HEAD has the key {ours}, but the other side {theirs}"),
    };
    let help = "Nothing was written. Someone without the key may have made the other manifest; check who replaced it. If it was replaced on purpose, as by 'drspass rekey', pass the id of the new one with --expect-key-id.";
    Failure::new("drspass::merge::keys", what, help).class(ErrorClass::Sealed)
}

fn holds(recipients: &[String], key: &str) -> bool {
    let key = recipient_key(key);
    recipients.iter().any(|known| recipient_key(known) == key)
}

fn readable_again(recipient: &str) -> Failure {
    let what = format!(
        "{} could read the manifest again, whom the side with the newer key may have removed",
        identified(recipient).0
    );
    let help = "Nothing was written. Take recipients from the side with the newer key, and add others with 'drspass rekey' after the merge.";
    Failure::new("drspass::merge::readers", what, help).class(ErrorClass::Sealed)
}

/// Something that is decided as one.
#[derive(Clone, Copy)]
enum Unit<'a> {
    Setting(&'static str),
    Credential(&'a str),
    /// A job or one of its endpoints. The name that is shown comes first.
    Job(&'a [&'a str], Option<Endpoint>),
}

impl Unit<'_> {
    fn label(self) -> String {
        match self {
            Self::Setting(name) => name.to_owned(),
            Self::Credential(name) => format!("@{name}"),
            Self::Job(names, None) => names[0].to_owned(),
            Self::Job(names, Some(endpoint)) => format!("{}/{endpoint}", names[0]),
        }
    }

    fn is_named_by(self, text: &str) -> bool {
        match self {
            // No wildcard decides who can read the passwords, and where they go.
            Self::Setting(name) => text == name,
            Self::Credential(name) => Address::parse(text).is_of_credential(name),
            Self::Job(names, endpoint) => Address::parse(text).is_of_job(names, endpoint),
        }
    }
}

/// How the addresses of a flag name a difference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    No,
    /// That settles conflicts alone.
    ByPattern,
    Exactly,
}

/// The digits of a tag that people compare.
const TAG_DIGITS: usize = 8;

/// Returns a value as people see it.
fn shown(tagger: &Tagger, part: &[Leaf<'_>]) -> Option<String> {
    let leaves = part
        .iter()
        .map(|leaf| match (leaf.tag(tagger), &leaf.keys[..]) {
            (Some(tag), [.., "password"]) => format!("{}…", &tag[..TAG_DIGITS]),
            (Some(tag), keys) => format!("{} {}…", keys[keys.len() - 1], &tag[..TAG_DIGITS]),
            (None, [.., "credential"]) => format!("@{}", leaf.value),
            (None, _) => leaf.value.to_owned(),
        });
    Some(leaves.collect::<Vec<_>>().join(" "))
}

/// What has too many parts to be shown.
const fn unseen(_: &Tagger, _: &[Leaf<'_>]) -> Option<String> {
    None
}

struct Merging<'a> {
    has_base: bool,
    doubts: [Option<&'static str>; 2],
    /// That of HEAD.
    tagger: Tagger,
    named: [&'a [String]; 2],
    /// Which addresses name a difference.
    used: [Vec<bool>; 2],
    is_contradictory: bool,
    lines: Vec<MergeLine>,
}

/// Three versions of something. One that does not have it is empty.
type Parts<'p, 'm> = [&'p [Leaf<'m>]; 3];

impl Merging<'_> {
    /// Returns what the result has. In a conflict it is what HEAD has.
    fn decide<'m>(
        &mut self,
        unit: Unit<'_>,
        what: &str,
        [base, ours, theirs]: Parts<'_, 'm>,
        show: impl Fn(&Tagger, &[Leaf<'_>]) -> Option<String>,
    ) -> Vec<Leaf<'m>> {
        let is_changed = [ours, theirs].map(|side| !self.has_base || side != base);
        if ours == theirs && (!self.has_base || ours == base) {
            return ours.to_vec();
        }
        let text = |side: &[Leaf<'_>]| match show(&self.tagger, side) {
            _ if side.is_empty() => ["absent", "removed"][usize::from(!base.is_empty())].to_owned(),
            Some(text) => text,
            None if !self.has_base => "present".to_owned(),
            None => ["added", "changed"][usize::from(!base.is_empty())].to_owned(),
        };
        let texts = [text(ours), text(theirs)];
        // Where HEAD is doubted, the other side's may be the ones to keep.
        let theirs_new = if self.doubts[0].is_some() {
            &[]
        } else {
            theirs
        };
        let tags = theirs_new
            .iter()
            .filter(|leaf| !ours.contains(leaf))
            .filter_map(|leaf| leaf.tag(&self.tagger))
            .collect();
        let is_certain = self.doubts.map(|doubt| doubt.is_none());
        let taken = match (self.named(unit), is_changed) {
            _ if ours == theirs => Some((0, false)),
            ([Named::Exactly, _], _) => Some((0, true)),
            ([_, Named::Exactly], _) => Some((1, true)),
            (_, [true, false]) if is_certain[0] => Some((0, false)),
            (_, [false, true]) if is_certain[1] => Some((1, false)),
            ([Named::ByPattern, _], _) => Some((0, true)),
            ([_, Named::ByPattern], _) => Some((1, true)),
            _ => None,
        };
        let (from, is_named) = taken.unwrap_or_default();
        let result = [ours, theirs][from];
        let change = match taken {
            Some(_) if result.is_empty() => " removed",
            Some(_) if base.is_empty() && self.has_base => " added",
            _ => "",
        };
        let value = matches!(unit, Unit::Setting(_)).then(|| texts[from].clone());
        self.lines.push(MergeLine {
            label: unit.label(),
            what: format!("{what}{change}"),
            verdict: match taken {
                _ if ours == theirs => Verdict::Both,
                Some(_) => Verdict::Taken {
                    from,
                    is_named,
                    value,
                },
                None => Verdict::Conflict {
                    sides: texts,
                    doubted: (is_changed != [true; 2]).then(|| usize::from(is_changed[1])),
                },
            },
            tags: if taken.is_none() || from == 1 {
                tags
            } else {
                Vec::new()
            },
            back: None,
        });
        result.to_vec()
    }

    /// Returns how the flags name a difference.
    fn named(&mut self, unit: Unit<'_>) -> [Named; 2] {
        let mut found = [Named::No; 2];
        for (side, texts) in self.named.iter().enumerate() {
            for (number, text) in texts.iter().enumerate() {
                if unit.is_named_by(text) {
                    self.used[side][number] = true;
                    found[side] = found[side].max(match text.contains(['*', '?']) {
                        true => Named::ByPattern,
                        false => Named::Exactly,
                    });
                }
            }
        }
        self.is_contradictory |= found[0] == found[1] && found[0] != Named::No;
        found
    }

    fn unmatched(&self) -> Vec<String> {
        let flags = FLAGS.iter().zip(self.named).zip(&self.used);
        let all = flags.flat_map(|((flag, texts), used)| {
            let numbered = texts.iter().zip(1..).zip(used);
            numbered.map(move |((text, number), used)| (flag, number, text, used))
        });
        all.filter(|(.., is_used)| !**is_used)
            .map(|(flag, number, text, _)| unmatched(flag, number, text, [].iter()))
            .collect()
    }

    fn settings(&mut self, base: Option<&Sealed>, [ours, theirs]: [&Sealed; 2]) -> Sealed {
        let versions = [base, Some(ours), Some(theirs)];
        let mut taken = |name, get: fn(&Sealed) -> Vec<String>| {
            let texts = versions.map(|sealed| sealed.map(get).unwrap_or_default());
            let parts = texts.each_ref().map(|texts| {
                let leaves = texts.iter().map(|text| Leaf::plain(&[name], text));
                leaves.collect::<Vec<_>>()
            });
            let show = |tagger: &Tagger, part: &[Leaf<'_>]| {
                let list: Vec<String> = part.iter().map(|leaf| leaf.value.to_owned()).collect();
                match name {
                    "recipients" => Some(readers(&Difference::between(&texts[0], &list))),
                    _ => shown(tagger, part),
                }
            };
            let [base, one, other] = parts.each_ref().map(Vec::as_slice);
            let result = self.decide(Unit::Setting(name), "", [base, one, other], show);
            if result == one { ours } else { theirs }
        };
        let endpoint = taken("target.endpoint", |it| vec![it.scope.endpoint.clone()]);
        let project = taken("target.project_id", |it| vec![it.scope.project_id.clone()]);
        let placed = taken("state", |it| {
            let from = it.moved_from.as_ref().map(|from| &from.place);
            let places = [Some(&it.state), from].into_iter();
            places.flatten().map(SealedPlace::name).collect()
        });
        Sealed {
            scope: Scope {
                endpoint: endpoint.scope.endpoint.clone(),
                project_id: project.scope.project_id.clone(),
            },
            auth_url: taken("target.auth_url", |it| vec![it.auth_url.clone()])
                .auth_url
                .clone(),
            state: placed.state.raised(&ours.state).raised(&theirs.state),
            moved_from: placed.moved_from.clone(),
            index: taken("index", |it| vec![it.index.to_string()]).index,
            recipients: taken("recipients", |it| set(&it.recipients))
                .recipients
                .clone(),
            revision: versions
                .iter()
                .flatten()
                .map(|it| it.revision)
                .max()
                .unwrap_or_default(),
            ..ours.clone()
        }
    }

    fn content<'m>(&mut self, versions: [&Content<'m>; 3]) -> Content<'m> {
        let mut content = Content::default();
        let mut seen = HashSet::new();
        let [base, ours, theirs] = versions;
        let names = [ours, theirs, base]
            .into_iter()
            .flat_map(|version| &version.names);
        for entry in names.copied().filter(|entry| seen.insert(*entry)) {
            let parts = versions.map(|version| version.get(entry));
            let leaves = match entry {
                (0, name) => self.decide(Unit::Credential(name), "password", parts, shown),
                (_, id) => self.job(id, parts),
            };
            content.extend(entry, leaves);
        }
        content
    }

    /// Returns whether the parts of something are decided, each on its own.
    const fn has_parts(&self, [base, ours, theirs]: Parts<'_, '_>) -> bool {
        !ours.is_empty() && !theirs.is_empty() && (!base.is_empty() || !self.has_base)
    }

    fn job<'m>(&mut self, id: &'m str, versions: Parts<'_, 'm>) -> Vec<Leaf<'m>> {
        let is_name = |leaf: &&Leaf<'_>| leaf.keys[2..] == ["name"];
        let given = versions[1..].iter().copied().flatten().filter(is_name);
        // A side that is not trusted cannot lend its name to what another flag names.
        let names: Vec<&str> = given.map(|leaf| leaf.value).take(1).chain([id]).collect();
        let unit = Unit::Job(&names, None);
        if !self.has_parts(versions) {
            return self.decide(unit, "job", versions, unseen);
        }
        let mut leaves = self.decide(unit, "name", under(versions, 2, &["name"]), shown);
        for endpoint in Endpoint::ALL {
            let unit = Unit::Job(&names, Some(endpoint));
            let versions = under(versions, 2, &[endpoint.as_str()]);
            if !self.has_parts(versions) {
                leaves.extend(self.decide(unit, "endpoint", versions, unseen));
                continue;
            }
            for (what, keys) in [
                ("password", &["password", "credential"][..]),
                ("kerberos", &["kerberos"]),
            ] {
                leaves.extend(self.decide(unit, what, under(versions, 3, keys), shown));
            }
        }
        if leaves.is_empty() {
            leaves.push(Leaf::plain(&[SECTIONS[1], id], ""));
        }
        leaves
    }
}

/// Returns of each version what is below one of these keys, which is all in one place.
fn under<'p, 'm>(versions: Parts<'p, 'm>, depth: usize, keys: &[&str]) -> Parts<'p, 'm> {
    versions.map(|version| {
        let is_below = |leaf: &Leaf<'_>| leaf.keys.get(depth).is_some_and(|key| keys.contains(key));
        let start = version.iter().position(is_below).unwrap_or(version.len());
        let below = version[start..].iter().take_while(|leaf| is_below(leaf));
        &version[start..start + below.count()]
    })
}

/// Returns recipients as a set, without the comments of keys.
fn set(recipients: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = recipients.iter().map(|it| recipient_key(it)).collect();
    keys.sort_unstable();
    keys
}

/// Returns who is added and removed, in full, since a person decides about them.
fn readers(change: &Difference) -> String {
    let added = change.added.iter().map(|recipient| ('+', recipient));
    let removed = change.removed.iter().map(|recipient| ('-', recipient));
    let all = added.chain(removed);
    let all = all.map(|(sign, recipient)| format!("{sign} {}", identified(recipient).0));
    all.collect::<Vec<_>>().join(" ")
}

/// What the text of a manifest lacks, or has too much, by the keys that lead there. Without a text
/// it is removed.
pub type Fix<'a> = (Vec<&'a str>, Option<&'a str>);

impl Merged<'_> {
    /// Returns whether a manifest has a value that neither side has, so that it would be lost.
    pub fn lacks_values_of(&self, manifest: &Manifest) -> bool {
        let there = Content::of(manifest);
        let is_known = |leaf: &Leaf<'_>| {
            let mut sides = self.sides.iter();
            sides.any(|side| side.get((leaf.section(), leaf.keys[1])).contains(leaf))
        };
        there.leaves().any(|leaf| !is_known(leaf))
    }

    /// Returns which sides have an entry of a section as the result has it, `None` if that lacks
    /// it.
    pub fn sides_like(&self, entry: (usize, &str)) -> Option<[bool; 2]> {
        let wanted = self.content.get(entry);
        let is_like = |side: &Content<'_>| side.get(entry) == wanted;
        (!wanted.is_empty()).then(|| self.sides.each_ref().map(is_like))
    }

    /// Returns what must change in a manifest, so that it has the values of the result and no
    /// others: all that is new or different, then all that goes.
    pub fn fixes<'a>(&'a self, manifest: &'a Manifest) -> Vec<Fix<'a>> {
        let found = Content::of(manifest);
        let values: HashMap<&[&str], &str> = found
            .leaves()
            .map(|leaf| (&leaf.keys[..], leaf.value))
            .collect();
        let mut kept = HashSet::new();
        let mut fixes = Vec::new();
        for leaf in self.content.leaves() {
            kept.extend((2..=leaf.keys.len()).map(|end| &leaf.keys[..end]));
            // A job that has nothing is there already if it has something.
            let is_there = leaf.keys.len() == 2 && !found.get((1, leaf.keys[1])).is_empty();
            if !is_there && values.get(&leaf.keys[..]) != Some(&leaf.value) {
                fixes.push((leaf.keys.clone(), Some(leaf.value)));
            }
        }
        let mut gone = HashSet::new();
        for leaf in found.leaves() {
            let mut above = (2..=leaf.keys.len()).map(|end| &leaf.keys[..end]);
            if let Some(keys) = above.find(|keys| !kept.contains(keys))
                && gone.insert(keys)
            {
                fixes.push((keys.to_vec(), None));
            }
        }
        fixes
    }
}

#[cfg(test)]
mod tests;
