//! From what is wanted to the smallest replacements of text that make it so.

use super::Wanted;
use super::lines::{
    after, after_colon, ends_line, entry_start, indent, is_blank, line_end_of, line_start,
    next_line, next_sign, starts_line, without_line_end,
};
use super::outline::{Entry, Map, Spot};
use super::splice::Splices;
use super::write::{self, Layout};

/// A step of indentation where the document shows none.
const USUAL_STEP: usize = 2;

/// Collects the replacements of one document.
pub(super) struct Merge<'t> {
    text: &'t str,
    line_end: &'static str,
    step: usize,
    /// Whether endpoints and credentials stand on lines of their own.
    spreads: bool,
    pub(super) splices: Splices<'t>,
}

impl<'t> Merge<'t> {
    pub(super) fn new(text: &'t str, root: &Map<'_>) -> Self {
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
    /// Nothing comes of a layout that is not understood.
    pub(super) fn map(
        &mut self,
        holder: Option<&Entry<'_>>,
        map: &Map<'_>,
        wanted: &[(&str, Wanted<'_>)],
    ) -> Option<()> {
        let index = Index::of(map, wanted.len());
        let mut added = Vec::new();
        let mut gone = Vec::new();
        for (key, wanted) in wanted {
            let place = index.find(map, key);
            let entry = place.and_then(|place| map.entries.get(place));
            match (entry, wanted) {
                (None, Wanted::Gone) => {}
                (None, wanted) => added.push((*key, wanted)),
                (Some(_), Wanted::Gone) => gone.extend(place),
                (Some(entry), Wanted::Text(text)) => self.scalar(entry, text)?,
                (Some(entry), Wanted::Map(wanted)) => match &entry.value {
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

    fn scalar(&mut self, entry: &Entry<'_>, text: &str) -> Option<()> {
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
        holder: Option<&Entry<'_>>,
        map: &Map<'_>,
        added: &[(&str, &Wanted<'_>)],
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
                    .insert_lines(at, zeroize::Zeroizing::new(self.line_end.to_owned()));
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
        holder: &Entry<'_>,
        map: &Map<'_>,
        added: &[(&str, &Wanted<'_>)],
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
            zeroize::Zeroizing::new("{ ".to_owned()),
        );
        let at = bytes.start + 1;
        self.splices
            .replace(at..at, write::in_braces(added, layout));
        if inside.is_empty() {
            self.splices.insert(at, " ");
        }
        if self.text.get(bytes.start..)?.starts_with('[') {
            let end = bytes.end - 1..bytes.end;
            self.splices
                .replace(end, zeroize::Zeroizing::new("}".to_owned()));
        }
        Some(())
    }

    fn remove(&mut self, holder: Option<&Entry<'_>>, map: &Map<'_>, gone: &[usize]) -> Option<()> {
        if gone.is_empty() {
            return Some(());
        }
        let start_of = |entry: &Entry<'_>| entry_start(self.text, entry.key_bytes.start);
        if gone.len() == map.entries.len() {
            let (first, last) = (start_of(map.entries.first()?), map.entries.last()?);
            let end = without_line_end(self.text, after(self.text, &last.value));
            let bytes = match map.is_flow {
                true => Some(map.bytes.clone()),
                // It begins behind the colon of a key with a `?`.
                false => (!starts_line(self.text, first)).then_some(first..end),
            };
            if let Some(bytes) = bytes {
                let by = zeroize::Zeroizing::new("{}".to_owned());
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

    fn layout(&self, holder: Option<&Entry<'_>>, map: &Map<'_>) -> Layout {
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
fn step_between(text: &str, holder: &Entry<'_>, map: &Map<'_>) -> Option<usize> {
    let inner = indent(text, map.entries.first()?.key_bytes.start);
    inner
        .checked_sub(indent(text, holder.key_bytes.start))
        .filter(|step| *step > 0)
}

/// Where each key stands, for maps of which many keys are asked.
struct Index<'a>(Option<std::collections::HashMap<&'a str, usize>>);

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
