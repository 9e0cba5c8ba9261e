//! The text of a merge. A block, an entry with the comments before it, is taken byte for byte from
//! the other side if that alone touched it; every other one keeps the text of HEAD, with the values
//! of the result written into it.

use std::collections::{HashMap, HashSet};

use zeroize::Zeroizing;

use super::layout::{after, entry_start, line_end_of, starts_line};
use super::{ManifestText, NewContent, NotRewritten, clean_root, tree};
use crate::core::manifest::{self, Sealing};
use crate::core::merge::{Fix, Merged, SECTIONS};
use crate::core::problem::Problem;
use crate::core::yaml::{Node, Tree, line_start, next_line, split_mark};

/// Returns the text of a merge, which has the values of the result and no others. `base` is `None`
/// if there is none that can be read.
///
/// # Errors
/// The problems of the result; none if no text has its values.
pub fn merged(
    base: Option<&str>,
    [ours, theirs]: [&str; 2],
    result: &Merged<'_>,
) -> Result<Zeroizing<String>, Vec<Problem>> {
    let joined = joined(base, [ours, theirs], result);
    if let Some(Ok(text)) = joined.map(|text| with_values(&text, result)) {
        return Ok(text);
    }
    // Blocks of different layouts do not fit together.
    with_values(ours, result).or_else(|problems| with_values(theirs, result).map_err(|_| problems))
}

/// Writes the values of the result into a text.
fn with_values(text: &str, result: &Merged<'_>) -> Result<Zeroizing<String>, Vec<Problem>> {
    let parsed = |text: &str| {
        let checked = manifest::parse(split_mark(text).1, Sealing::Optional);
        checked.value.ok_or(checked.problems)
    };
    let found = parsed(text)?;
    let text = fixed(text, result.fixes(&found)).map_err(|NotRewritten| Vec::new())?;
    let made = parsed(&text)?;
    if result.fixes(&made).is_empty() {
        Ok(text)
    } else {
        Err(Vec::new())
    }
}

fn fixed(text: &str, fixes: Vec<Fix<'_>>) -> Result<Zeroizing<String>, NotRewritten> {
    let mut text = Zeroizing::new(text.to_owned());
    let (mut now, mut later): (Vec<_>, Vec<_>) =
        fixes.into_iter().partition(|(_, text)| text.is_some());
    loop {
        let changes = now.into_iter().map(|(keys, text)| {
            let content = text.map_or(NewContent::Gone, NewContent::Text);
            (keys.into_iter(), content)
        });
        text = ManifestText::new(&text)?.made_so(&tree(changes.collect()))?;
        if later.is_empty() {
            return Ok(text);
        }
        // Of each map, one entry goes at a time.
        let mut maps = HashSet::new();
        (now, later) = later
            .into_iter()
            .partition(|(keys, _)| maps.insert(keys[..keys.len() - 1].to_vec()));
    }
}

/// A part of a document, in order.
enum Part<'t> {
    Text(&'t str),
    /// What drspass writes itself.
    Sealed(&'t str),
    /// By its number.
    Section(usize, Vec<(&'t str, &'t str)>),
}

impl Part<'_> {
    /// Returns whether both are the same, entries and what drspass writes aside.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Section(one, _), Self::Section(other, _)) => one == other,
            (Self::Sealed(_), Self::Sealed(_)) => true,
            _ => false,
        }
    }
}

/// Returns the entries of a section.
fn section<'p, 't>(parts: &'p [Part<'t>], number: usize) -> &'p [(&'t str, &'t str)] {
    let mut sections = parts.iter().filter_map(|part| match part {
        Part::Section(section, entries) if *section == number => Some(&entries[..]),
        _ => None,
    });
    sections.next().unwrap_or_default()
}

fn parts<'a>(tree: &'a Tree<'a>) -> Option<Vec<Part<'a>>> {
    let text = tree.text();
    let mut parts = Vec::new();
    let mut at = 0;
    for pair in clean_root(tree).ok()?.pairs() {
        let name = pair.key.scalar()?;
        let end = after(text, pair.value);
        let section = SECTIONS.iter().position(|section| *section == name);
        if name == "sealed" {
            let start = line_start(text, pair.key.start());
            parts.push(Part::Text(text.get(at..start)?));
            parts.push(Part::Sealed(text.get(start..end)?));
            at = end;
        } else if let Some(section) = section {
            let start = next_line(text, pair.key.end());
            if let Some(entries) = entries(text, start, pair.value) {
                parts.push(Part::Text(text.get(at..start)?));
                parts.push(Part::Section(section, entries));
                at = end;
            }
        }
    }
    parts.push(Part::Text(text.get(at..)?));
    Some(parts)
}

/// Returns the blocks of a section, `None` unless each has lines of its own.
fn entries<'a>(text: &'a str, start: usize, map: Node<'a>) -> Option<Vec<(&'a str, &'a str)>> {
    if !map.is_map() || map.is_flow() {
        return None;
    }
    let mut at = start;
    let mut entries = Vec::new();
    for pair in map.pairs() {
        let key = entry_start(text, pair.key.start());
        if !starts_line(text, key) {
            return None;
        }
        let end = after(text, pair.value);
        entries.push((pair.key.scalar()?, text.get(at..end)?));
        at = end;
    }
    Some(entries)
}

fn joined(
    base: Option<&str>,
    [ours, theirs]: [&str; 2],
    result: &Merged<'_>,
) -> Option<Zeroizing<String>> {
    let (mark, ours) = split_mark(ours);
    let trees = [base.unwrap_or_default(), ours, theirs].map(|text| Tree::new(split_mark(text).1));
    let [base, mine, other] = trees.each_ref().map(parts);
    let (base, mine, other) = (base.unwrap_or_default(), mine?, other?);
    let mut pairs = base.iter().zip(&mine);
    let is_untouched = base.len() == mine.len() && pairs.all(|(one, other)| one.is_same(other));
    let has_room = |part: &Part<'_>| match part {
        Part::Section(..) => other.iter().any(|other| other.is_same(part)),
        _ => true,
    };
    let is_fresh = result.doubts[1].is_none();
    let frame = match is_untouched && is_fresh && mine.iter().all(has_room) {
        true => &other,
        false => &mine,
    };
    // Enough room: a growing buffer would leave copies behind.
    let room = mark.len() + ours.len() + theirs.len() + MORE_LINE_ENDS;
    let mut out = Joined {
        text: Zeroizing::new(String::with_capacity(room)),
        line_end: line_end_of(ours),
    };
    out.text.push_str(mark);
    for part in frame {
        match part {
            Part::Text(text) | Part::Sealed(text) => out.push(text),
            Part::Section(number, _) => {
                let entries = [&base, &mine, &other].map(|parts| section(parts, *number));
                out.section(*number, entries, result);
            }
        }
    }
    Some(out.text)
}

/// The last lines of two documents may lack theirs.
const MORE_LINE_ENDS: usize = 8;

struct Joined {
    text: Zeroizing<String>,
    line_end: &'static str,
}

impl Joined {
    fn push(&mut self, part: &str) {
        let is_within = !self.text.is_empty() && !self.text.ends_with(['\n', '\r', '\u{feff}']);
        if is_within && !part.is_empty() {
            self.text.push_str(self.line_end);
        }
        self.text.push_str(part);
    }

    fn section(&mut self, number: usize, entries: [&[(&str, &str)]; 3], result: &Merged<'_>) {
        let [_, mine, other] = entries;
        let [before, here, there] =
            entries.map(|list| list.iter().copied().collect::<HashMap<_, _>>());
        let mut behind = HashMap::<Option<&str>, Vec<&str>>::new();
        let mut neighbour = None;
        for (key, text) in other {
            if result.sides_like((number, key)).is_none() {
                continue;
            }
            if here.contains_key(key) {
                neighbour = Some(*key);
            } else {
                behind.entry(neighbour).or_default().push(text);
            }
        }
        let is_fresh = result.doubts[1].is_none();
        behind
            .remove(&None)
            .into_iter()
            .flatten()
            .for_each(|text| self.push(text));
        for (key, text) in mine {
            if let Some([is_mine, is_theirs]) = result.sides_like((number, key)) {
                let is_untouched = before.get(key) == Some(text);
                let is_taken = is_untouched && is_theirs && (is_fresh || !is_mine);
                let other = there.get(key).filter(|_| is_taken);
                self.push(other.unwrap_or(text));
            }
            let new = behind.remove(&Some(*key)).into_iter().flatten();
            new.for_each(|text| self.push(text));
        }
    }
}

#[cfg(test)]
mod tests;
