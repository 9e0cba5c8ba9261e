//! From what is wanted to the smallest replacements of text that make it so.

use std::collections::HashMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::NewContent;
use super::outline::{
    Map, MapEntry, Spot, after, after_colon, ends_line, entry_start, indent, is_blank, line_end_of,
    line_start, next_line, next_sign, starts_line, without_line_end,
};
use super::write::{self, Layout};

/// A step of indentation where the document shows none.
const USUAL_STEP: usize = 2;

pub struct Merge<'t> {
    text: &'t str,
    line_end: &'static str,
    step: usize,
    /// Whether endpoints and credentials stand on lines of their own.
    spreads: bool,
    pub splices: Splices<'t>,
}

impl<'t> Merge<'t> {
    pub fn new(text: &'t str, root: &Map<'_>) -> Self {
        let line_end = line_end_of(text);
        let inner = ["jobs", "credentials"].iter().find_map(|name| {
            let map = root.map(name).filter(|map| !map.is_flow)?;
            let entry = root.get(name)?;
            step_between(text, entry, map)
        });
        Self {
            text,
            line_end,
            step: inner.unwrap_or(USUAL_STEP),
            spreads: write::spreads(root).unwrap_or(false),
            splices: Splices::new(text, line_end),
        }
    }

    /// Makes `map`, the value of `holder`, say what is wanted of its keys.
    pub fn map(
        &mut self,
        holder: Option<&MapEntry<'_>>,
        map: &Map<'_>,
        wanted: &[(&str, NewContent<'_>)],
    ) -> Option<()> {
        let index = Index::of(map, wanted.len());
        let mut added = Vec::new();
        let mut gone = Vec::new();
        for (key, wanted) in wanted {
            let place = index.find(map, key);
            let entry = place.and_then(|place| map.entries.get(place));
            match (entry, wanted) {
                (None, NewContent::Gone) => {}
                (None, wanted) => added.push((*key, wanted)),
                (Some(_), NewContent::Gone) => gone.extend(place),
                (Some(entry), NewContent::Text(text)) => self.scalar(entry, text)?,
                (Some(entry), NewContent::Map(wanted)) => match &entry.value {
                    Spot::Map(below) => self.map(Some(entry), below, wanted)?,
                    // An empty list is taken for an empty map.
                    Spot::List(bytes) => {
                        let empty = Map {
                            is_flow: true,
                            bytes: bytes.clone(),
                            entries: Vec::new(),
                        };
                        self.map(Some(entry), &empty, wanted)?;
                    }
                    Spot::Scalar(_) => return None,
                },
            }
        }
        self.remove(holder, map, &gone)?;
        self.add(holder, map, &added)
    }

    fn scalar(&mut self, entry: &MapEntry<'_>, text: &str) -> Option<()> {
        let Spot::Scalar(scalar) = &entry.value else {
            return None;
        };
        if scalar.text.as_str() == text {
            return Some(());
        }
        let (bytes, by) =
            write::in_place_of(self.text, entry.key_bytes.end, scalar, text, self.line_end)?;
        self.splices.replace(bytes, by);
        Some(())
    }

    fn add(
        &mut self,
        holder: Option<&MapEntry<'_>>,
        map: &Map<'_>,
        added: &[(&str, &NewContent<'_>)],
    ) -> Option<()> {
        if added.is_empty() {
            return Some(());
        }
        let last = map.entries.last();
        if map.is_flow {
            return match last {
                Some(last) => {
                    let text = write::in_braces(added, self.layout(holder, map));
                    let end = last.value.bytes().end;
                    self.splices.insert(end, ", ");
                    self.splices.replace(end..end, text);
                    Some(())
                }
                None => self.fill(holder?, map, added),
            };
        }
        let last = last?;
        let at = match holder {
            Some(_) => after(self.text, &last.value),
            // New parts of the document stand before the jobs.
            None => {
                let jobs = map
                    .entries
                    .iter()
                    .position(|entry| entry.key.as_str() == "jobs");
                let before = jobs.and_then(|jobs| map.entries.get(jobs.checked_sub(1)?));
                let at = after(self.text, &before.unwrap_or(last).value);
                self.splices
                    .insert_lines(at, Zeroizing::new(self.line_end.to_owned()));
                at
            }
        };
        let lines = write::as_lines(added, self.layout(holder, map));
        self.splices.insert_lines(at, lines);
        Some(())
    }

    /// Puts entries into a map that is `{}`, on lines below its key where it is not
    /// inside other braces.
    fn fill(
        &mut self,
        holder: &MapEntry<'_>,
        map: &Map<'_>,
        added: &[(&str, &NewContent<'_>)],
    ) -> Option<()> {
        let bytes = map.bytes.clone();
        let inside = self.text.get(bytes.start + 1..bytes.end - 1)?;
        let colon = after_colon(self.text, holder.key_bytes.end)?;
        let gap = self.text.get(colon..bytes.start)?;
        let has_line =
            starts_line(self.text, holder.key_bytes.start) && ends_line(self.text, bytes.end);
        if is_blank(inside) && is_blank(gap) && has_line {
            self.splices.remove(colon..bytes.end);
            let at = next_line(self.text, bytes.end);
            let layout = self.layout(Some(holder), map);
            self.splices
                .insert_lines(at, write::as_lines(added, layout));
            return Some(());
        }
        let layout = self.layout(None, map);
        self.splices.replace(
            bytes.start..bytes.start + 1,
            Zeroizing::new("{ ".to_owned()),
        );
        let at = bytes.start + 1;
        self.splices
            .replace(at..at, write::in_braces(added, layout));
        if inside.is_empty() {
            self.splices.insert(at, " ");
        }
        if self.text.get(bytes.start..)?.starts_with('[') {
            let end = bytes.end - 1..bytes.end;
            self.splices.replace(end, Zeroizing::new("}".to_owned()));
        }
        Some(())
    }

    fn remove(
        &mut self,
        holder: Option<&MapEntry<'_>>,
        map: &Map<'_>,
        gone: &[usize],
    ) -> Option<()> {
        if gone.is_empty() {
            return Some(());
        }
        let start_of = |entry: &MapEntry<'_>| entry_start(self.text, entry.key_bytes.start);
        if gone.len() == map.entries.len() {
            let (first, last) = (start_of(map.entries.first()?), map.entries.last()?);
            let end = without_line_end(self.text, after(self.text, &last.value));
            let bytes = match map.is_flow {
                true => Some(map.bytes.clone()),
                // It begins behind the colon of a key with a `?`.
                false => (!starts_line(self.text, first)).then_some(first..end),
            };
            if let Some(bytes) = bytes {
                let by = Zeroizing::new("{}".to_owned());
                self.splices.replace(bytes, by);
                return Some(());
            }
            let colon = after_colon(self.text, holder?.key_bytes.end)?;
            self.splices.insert(colon, " {}");
        }
        for &place in gone {
            let entry = map.entries.get(place)?;
            let start = start_of(entry);
            if map.is_flow {
                self.remove_in_braces(map, place)?;
            } else if starts_line(self.text, start) {
                let line = line_start(self.text, start);
                self.splices.remove(line..after(self.text, &entry.value));
            } else {
                let next = map.entries.get(place + 1)?;
                self.splices.remove(start..start_of(next));
            }
        }
        Some(())
    }

    /// Takes one of several entries out of braces, with one comma. A comment between
    /// entries stays.
    fn remove_in_braces(&mut self, map: &Map<'_>, place: usize) -> Option<()> {
        let entry = map.entries.get(place)?;
        let (start, end) = (entry.key_bytes.start, entry.value.bytes().end);
        if let Some(next) = map.entries.get(place + 1) {
            let gap = self.text.get(end..next.key_bytes.start)?;
            let comma = next_sign(self.text, end, ' ')?;
            let end = if gap.contains(['\n', '\r']) {
                comma + 1
            } else {
                next.key_bytes.start
            };
            self.splices.remove(start..end);
            return Some(());
        }
        let before = map.entries.get(place.checked_sub(1)?)?.value.bytes().end;
        let gap = self.text.get(before..start)?;
        if !gap.contains('#') {
            self.splices.remove(before..end);
            return Some(());
        }
        // The comment between stays, the commas around it go.
        let comma = next_sign(self.text, before, ' ')?;
        self.splices.remove(comma..comma + 1);
        let sign = next_sign(self.text, end, ' ')?;
        let is_comma = self.text.get(sign..)?.starts_with(',');
        let end = if is_comma { sign + 1 } else { end };
        self.splices.remove(start..end);
        Some(())
    }

    fn layout(&self, holder: Option<&MapEntry<'_>>, map: &Map<'_>) -> Layout {
        let last = map.entries.last();
        let own = match (last, holder) {
            (Some(_), _) if map.is_flow => 0,
            (Some(last), _) => indent(self.text, last.key_bytes.start),
            (None, Some(holder)) => indent(self.text, holder.key_bytes.start) + self.step,
            (None, None) => 0,
        };
        let below = map
            .entries
            .iter()
            .rev()
            .find_map(|entry| match &entry.value {
                Spot::Map(below) if !below.is_flow => step_between(self.text, entry, below),
                _ => None,
            });
        let quotes_keys = last.is_some_and(|last| {
            let key = self.text.get(last.key_bytes.clone()).unwrap_or_default();
            key.starts_with(['"', '\''])
        });
        Layout {
            indent: own,
            step: below.unwrap_or(self.step),
            spreads: write::spreads(map).unwrap_or(self.spreads),
            quotes_keys,
            line_end: self.line_end,
        }
    }
}

/// How much further the keys of a map are indented than the key that it belongs to.
fn step_between(text: &str, holder: &MapEntry<'_>, map: &Map<'_>) -> Option<usize> {
    let inner = indent(text, map.entries.first()?.key_bytes.start);
    inner
        .checked_sub(indent(text, holder.key_bytes.start))
        .filter(|step| *step > 0)
}

/// Where each key stands, for maps of which many keys are asked.
struct Index<'a>(Option<HashMap<&'a str, usize>>);

impl<'a> Index<'a> {
    fn of(map: &'a Map<'_>, asked: usize) -> Self {
        let is_worth_it = asked > 4 && map.entries.len() > 4;
        Self(is_worth_it.then(|| {
            let keys = map.entries.iter().enumerate();
            keys.map(|(place, entry)| (entry.key.as_str(), place))
                .collect()
        }))
    }

    fn find(&self, map: &Map<'_>, key: &str) -> Option<usize> {
        match &self.0 {
            Some(index) => index.get(key).copied(),
            None => map
                .entries
                .iter()
                .position(|entry| entry.key.as_str() == key),
        }
    }
}

/// The replacements. Those at one place keep the order in which they came.
pub struct Splices<'t> {
    text: &'t str,
    line_end: &'static str,
    list: Vec<(Range<usize>, Zeroizing<String>)>,
    /// Whether the last line, which had no line end, was given one.
    ended: bool,
}

impl<'t> Splices<'t> {
    pub fn new(text: &'t str, line_end: &'static str) -> Self {
        Self {
            text,
            line_end,
            list: Vec::new(),
            ended: text.is_empty() || text.ends_with(['\n', '\r']),
        }
    }

    pub fn replace(&mut self, bytes: Range<usize>, by: Zeroizing<String>) {
        self.list.push((bytes, by));
    }

    pub fn remove(&mut self, bytes: Range<usize>) {
        self.replace(bytes, Zeroizing::default());
    }

    pub fn insert(&mut self, at: usize, text: &str) {
        self.replace(at..at, Zeroizing::new(text.to_owned()));
    }

    /// Inserts whole lines before the line that starts here, or at the end.
    pub fn insert_lines(&mut self, at: usize, lines: Zeroizing<String>) {
        if at == self.text.len() && !self.ended {
            self.insert(at, self.line_end);
            self.ended = true;
        }
        self.replace(at..at, lines);
    }

    /// The text after all replacements, or nothing if two of them overlap.
    pub fn apply(mut self) -> Option<Zeroizing<String>> {
        self.list.sort_by_key(|(bytes, _)| bytes.start);
        let more: usize = self.list.iter().map(|(_, by)| by.len()).sum();
        // Enough room, so that no copy is left where a growing buffer was.
        let mut out = Zeroizing::new(String::with_capacity(self.text.len() + more));
        let mut at = 0;
        for (bytes, by) in &self.list {
            out.push_str(self.text.get(at..bytes.start)?);
            out.push_str(by);
            at = bytes.end;
        }
        out.push_str(self.text.get(at..)?);
        Some(out)
    }
}

pub fn is_made_so(
    (old_text, old): (&str, &Map<'_>),
    (new_text, new): (&str, &Map<'_>),
    wanted: &[(&str, NewContent<'_>)],
) -> bool {
    let texts = Texts {
        old: old_text,
        new: new_text,
    };
    texts.map(Some(old), new, wanted)
}

struct Texts<'a> {
    old: &'a str,
    new: &'a str,
}

impl Texts<'_> {
    fn map(&self, old: Option<&Map<'_>>, new: &Map<'_>, wanted: &[(&str, NewContent<'_>)]) -> bool {
        let wanted: HashMap<&str, &NewContent<'_>> =
            wanted.iter().map(|(key, wanted)| (*key, wanted)).collect();
        let mut kept = old.map_or(&[][..], |old| &old.entries).iter().peekable();
        let mut made = 0;
        for entry in &new.entries {
            let key = entry.key.as_str();
            // What is gone may stand before the next one that is not.
            while kept
                .next_if(|old| matches!(wanted.get(old.key.as_str()), Some(NewContent::Gone)))
                .is_some()
            {}
            let before = kept.next_if(|old| old.key.as_str() == key);
            let is_right = match (wanted.get(key), before) {
                (None, Some(before)) => self.is_same(&before.value, &entry.value),
                (None, None) | (Some(NewContent::Gone), _) => false,
                (Some(wanted), before) => {
                    made += 1;
                    self.value(before.map(|before| &before.value), &entry.value, wanted)
                }
            };
            if !is_right {
                return false;
            }
        }
        let rest = kept.all(|old| matches!(wanted.get(old.key.as_str()), Some(NewContent::Gone)));
        let to_make = wanted
            .values()
            .filter(|wanted| !matches!(wanted, NewContent::Gone));
        rest && made == to_make.count()
    }

    fn value(&self, old: Option<&Spot<'_>>, new: &Spot<'_>, wanted: &NewContent<'_>) -> bool {
        match (wanted, old, new) {
            (NewContent::Text(text), None | Some(Spot::Scalar(_)), Spot::Scalar(new)) => {
                new.text.as_str() == *text
            }
            (NewContent::Map(wanted), None | Some(Spot::List(_)), Spot::Map(new)) => {
                self.map(None, new, wanted)
            }
            (NewContent::Map(wanted), Some(Spot::Map(old)), Spot::Map(new)) => {
                self.map(Some(old), new, wanted)
            }
            _ => false,
        }
    }

    fn is_same(&self, old: &Spot<'_>, new: &Spot<'_>) -> bool {
        match (old, new) {
            (Spot::Scalar(old), Spot::Scalar(new)) => old.text.as_str() == new.text.as_str(),
            (Spot::List(old), Spot::List(new)) => {
                self.old.get(old.clone()) == self.new.get(new.clone())
            }
            (Spot::Map(old), Spot::Map(new)) => {
                old.entries.len() == new.entries.len()
                    && old.entries.iter().zip(&new.entries).all(|(old, new)| {
                        old.key.as_str() == new.key.as_str() && self.is_same(&old.value, &new.value)
                    })
            }
            _ => false,
        }
    }
}
