//! From the wanted content to the smallest replacements of text that produce it, and the proof that
//! the new text says that and nothing else.

use std::collections::HashMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::NewContent;
use super::layout::{
    self, Layout, after, after_colon, ends_line, entry_start, indent, is_blank, line_end_of,
    next_sign, starts_line, without_line_end,
};
use crate::core::yaml::{Node, Pair, line_start, next_line};

/// The step of indentation if the document shows none.
const USUAL_STEP: usize = 2;

pub struct Merge<'t> {
    text: &'t str,
    line_end: &'static str,
    step: usize,
    /// Whether endpoints and credentials are on lines of their own.
    spreads: bool,
    /// The replacements. Those at one place keep their order.
    splices: Vec<(Range<usize>, Zeroizing<String>)>,
    /// Whether the last line was given its missing line end.
    ended: bool,
}

/// A list counts as a map in braces: only an empty one is changed.
fn is_flow(map: Node<'_>) -> bool {
    map.is_flow() || map.is_list()
}

impl<'t> Merge<'t> {
    pub fn new(text: &'t str, root: Node<'_>) -> Self {
        let line_end = line_end_of(text);
        let step = ["jobs", "credentials"].iter().find_map(|name| {
            let pair = root.get(name)?;
            step_below(text, pair)
        });
        Self {
            text,
            line_end,
            step: step.unwrap_or(USUAL_STEP),
            spreads: layout::spreads(root).unwrap_or(false),
            splices: Vec::new(),
            ended: text.is_empty() || text.ends_with(['\n', '\r']),
        }
    }

    /// Makes `map`, the value of `holder`, have the wanted keys.
    pub fn map(
        &mut self,
        holder: Option<Pair<'_>>,
        map: Node<'_>,
        wanted: &[(&str, NewContent<'_>)],
    ) -> Option<()> {
        let is_empty_list = map.is_list() && map.children().next().is_none();
        if !map.is_map() && !is_empty_list {
            return None;
        }
        let entries: Vec<Pair<'_>> = map.pairs().collect();
        let keys = entries.iter().map(|entry| entry.key.scalar());
        let places: HashMap<_, usize> = keys.zip(0..).collect();
        let mut added = Vec::new();
        for (key, wanted) in wanted {
            match (places.get(&Some(*key)), wanted) {
                (None, NewContent::Gone) => {}
                (None, wanted) => added.push((*key, wanted.clone())),
                (Some(place), NewContent::Gone) => self.remove(holder, map, &entries, *place)?,
                (Some(place), NewContent::Text(text)) => {
                    self.scalar(*entries.get(*place)?, text)?
                }
                (Some(place), NewContent::Map(wanted)) => {
                    let entry = *entries.get(*place)?;
                    self.map(Some(entry), entry.value, wanted)?;
                }
            }
        }
        self.add(holder, map, &entries, &added)
    }

    fn scalar(&mut self, entry: Pair<'_>, text: &str) -> Option<()> {
        if entry.value.scalar()? != text {
            let (key_end, line_end) = (entry.key.end(), self.line_end);
            let (bytes, by) = layout::in_place_of(self.text, key_end, entry.value, text, line_end)?;
            self.replace(bytes, by);
        }
        Some(())
    }

    fn add(
        &mut self,
        holder: Option<Pair<'_>>,
        map: Node<'_>,
        entries: &[Pair<'_>],
        added: &[(&str, NewContent<'_>)],
    ) -> Option<()> {
        if added.is_empty() {
            return Some(());
        }
        let Some(last) = entries.last() else {
            return self.fill(holder?, map, added);
        };
        let layout = self.layout(holder, map, entries);
        if is_flow(map) {
            let end = last.value.end();
            self.insert(end, ", ");
            self.replace(end..end, layout::in_braces(added, layout));
            return Some(());
        }
        let at = match holder {
            Some(_) => after(self.text, last.value),
            // New parts of the document go before the jobs.
            None => {
                let is_jobs = |entry: &Pair<'_>| entry.key.scalar() == Some("jobs");
                let jobs = entries.iter().position(is_jobs);
                let before = jobs.and_then(|jobs| entries.get(jobs.checked_sub(1)?));
                let at = after(self.text, before.unwrap_or(last).value);
                self.insert_lines(at, Zeroizing::new(self.line_end.to_owned()));
                at
            }
        };
        self.insert_lines(at, layout::as_lines(added, layout));
        Some(())
    }

    /// Puts entries into an empty map `{}`, on lines below its key unless it is inside other
    /// braces.
    fn fill(
        &mut self,
        holder: Pair<'_>,
        map: Node<'_>,
        added: &[(&str, NewContent<'_>)],
    ) -> Option<()> {
        let (start, end) = (map.start(), map.end());
        let inside = self.text.get(start + 1..end - 1)?;
        let colon = after_colon(self.text, holder.key.end())?;
        let gap = self.text.get(colon..start)?;
        let has_line = starts_line(self.text, holder.key.start()) && ends_line(self.text, end);
        if is_blank(inside) && is_blank(gap) && has_line {
            self.cut(colon..end);
            let at = next_line(self.text, end);
            let layout = self.layout(Some(holder), map, &[]);
            self.insert_lines(at, layout::as_lines(added, layout));
            return Some(());
        }
        let layout = self.layout(None, map, &[]);
        self.replace(start..start + 1, Zeroizing::new("{ ".to_owned()));
        let at = start + 1;
        self.replace(at..at, layout::in_braces(added, layout));
        if inside.is_empty() {
            self.insert(at, " ");
        }
        if map.is_list() {
            self.replace(end - 1..end, Zeroizing::new("}".to_owned()));
        }
        Some(())
    }

    /// Removes one entry, the only change of a map.
    fn remove(
        &mut self,
        holder: Option<Pair<'_>>,
        map: Node<'_>,
        entries: &[Pair<'_>],
        place: usize,
    ) -> Option<()> {
        let start_of = |entry: &Pair<'_>| entry_start(self.text, entry.key.start());
        let entry = entries.get(place)?;
        let (start, end) = (start_of(entry), after(self.text, entry.value));
        if entries.len() == 1 {
            let bytes = match is_flow(map) {
                true => Some(map.start()..map.end()),
                // It begins after the colon of a key with a `?`.
                false => (!starts_line(self.text, start))
                    .then(|| start..without_line_end(self.text, end)),
            };
            if let Some(bytes) = bytes {
                self.replace(bytes, Zeroizing::new("{}".to_owned()));
                return Some(());
            }
            let colon = after_colon(self.text, holder?.key.end())?;
            self.insert(colon, " {}");
        }
        if is_flow(map) {
            return self.remove_in_braces(entries, place);
        }
        if starts_line(self.text, start) {
            self.cut(line_start(self.text, start)..end);
        } else {
            self.cut(start..start_of(entries.get(place + 1)?));
        }
        Some(())
    }

    /// Removes one of several entries from braces, with one comma. A comment between entries stays.
    fn remove_in_braces(&mut self, entries: &[Pair<'_>], place: usize) -> Option<()> {
        let entry = entries.get(place)?;
        let (start, end) = (entry.key.start(), entry.value.end());
        if let Some(next) = entries.get(place + 1) {
            let next = next.key.start();
            let comma = next_sign(self.text, end, ' ')?;
            let has_line_end = self.text.get(end..next)?.contains(['\n', '\r']);
            let end = if has_line_end { comma + 1 } else { next };
            self.cut(start..end);
            return Some(());
        }
        let before = entries.get(place.checked_sub(1)?)?.value.end();
        let gap = self.text.get(before..start)?;
        if !gap.contains('#') {
            self.cut(before..end);
            return Some(());
        }
        // The comment between stays, the commas around it go.
        let comma = next_sign(self.text, before, ' ')?;
        self.cut(comma..comma + 1);
        let sign = next_sign(self.text, end, ' ')?;
        let is_comma = self.text.get(sign..)?.starts_with(',');
        self.cut(start..if is_comma { sign + 1 } else { end });
        Some(())
    }

    fn layout(&self, holder: Option<Pair<'_>>, map: Node<'_>, entries: &[Pair<'_>]) -> Layout {
        let last = entries.last();
        let own = match (last, holder) {
            (Some(_), _) if is_flow(map) => 0,
            (Some(last), _) => indent(self.text, last.key.start()),
            (None, Some(holder)) => indent(self.text, holder.key.start()) + self.step,
            (None, None) => 0,
        };
        let mut below = entries.iter().rev();
        let below = below.find_map(|entry| step_below(self.text, *entry));
        Layout {
            indent: own,
            step: below.unwrap_or(self.step),
            spreads: layout::spreads(map).unwrap_or(self.spreads),
            quotes_keys: last.is_some_and(|last| last.key.source().starts_with(['"', '\''])),
            line_end: self.line_end,
        }
    }

    fn replace(&mut self, bytes: Range<usize>, by: Zeroizing<String>) {
        self.splices.push((bytes, by));
    }

    fn cut(&mut self, bytes: Range<usize>) {
        self.replace(bytes, Zeroizing::default());
    }

    fn insert(&mut self, at: usize, text: &str) {
        self.replace(at..at, Zeroizing::new(text.to_owned()));
    }

    /// Inserts whole lines before the line that starts here, or at the end.
    fn insert_lines(&mut self, at: usize, lines: Zeroizing<String>) {
        if at == self.text.len() && !self.ended {
            self.insert(at, self.line_end);
            self.ended = true;
        }
        self.replace(at..at, lines);
    }

    /// Returns `mark` and the text after all replacements; `None` if two of them overlap.
    pub fn apply(mut self, mark: &str) -> Option<Zeroizing<String>> {
        self.splices.sort_by_key(|(bytes, _)| bytes.start);
        let more: usize = self.splices.iter().map(|(_, by)| by.len()).sum();
        // Enough room: a growing buffer would leave copies behind.
        let mut out = Zeroizing::new(String::with_capacity(mark.len() + self.text.len() + more));
        out.push_str(mark);
        let mut at = 0;
        for (bytes, by) in &self.splices {
            out.push_str(self.text.get(at..bytes.start)?);
            out.push_str(by);
            at = bytes.end;
        }
        out.push_str(self.text.get(at..)?);
        Some(out)
    }
}

/// Returns how much further the keys of a map without braces are indented than its own key.
fn step_below(text: &str, pair: Pair<'_>) -> Option<usize> {
    let first = pair.value.pairs().next();
    let first = first.filter(|_| pair.value.is_map() && !pair.value.is_flow())?;
    indent(text, first.key.start())
        .checked_sub(indent(text, pair.key.start()))
        .filter(|step| *step > 0)
}

/// Returns whether `new` is `old` except for the wanted changes. It gets the new text's own tree,
/// so no fault in making it can pass.
pub fn is_made_so(old: Option<Node<'_>>, new: Node<'_>, wanted: &[(&str, NewContent<'_>)]) -> bool {
    let wanted: HashMap<&str, &NewContent<'_>> = wanted
        .iter()
        .map(|(key, content)| (*key, content))
        .collect();
    let content_of = |pair: &Pair<'_>| pair.key.scalar().and_then(|key| wanted.get(key));
    let is_gone = |pair: &Pair<'_>| matches!(content_of(pair), Some(NewContent::Gone));
    let mut kept = old.into_iter().flat_map(Node::pairs).peekable();
    let mut made = 0;
    for entry in new.pairs() {
        // Removed entries may precede the next one that is not.
        while kept.next_if(is_gone).is_some() {}
        let before = kept.next_if(|old| old.key.scalar() == entry.key.scalar());
        let is_right = match (content_of(&entry), before) {
            (None, Some(before)) => is_same(before.value, entry.value),
            (None, None) | (Some(NewContent::Gone), _) => false,
            (Some(content), before) => {
                made += 1;
                is_made(before.map(|before| before.value), entry.value, content)
            }
        };
        if !is_right {
            return false;
        }
    }
    let is_to_make = |content: &&&NewContent<'_>| !matches!(content, NewContent::Gone);
    kept.all(|old| is_gone(&old)) && made == wanted.values().filter(is_to_make).count()
}

fn is_made(old: Option<Node<'_>>, new: Node<'_>, content: &NewContent<'_>) -> bool {
    match content {
        NewContent::Text(text) => {
            old.is_none_or(|old| old.scalar().is_some()) && new.scalar() == Some(*text)
        }
        NewContent::Map(wanted) => {
            old.is_none_or(|old| old.scalar().is_none())
                && new.is_map()
                && is_made_so(old.filter(|old| old.is_map()), new, wanted)
        }
        NewContent::Gone => false,
    }
}

fn is_same(old: Node<'_>, new: Node<'_>) -> bool {
    if old.is_map() && new.is_map() {
        return old.pairs().count() == new.pairs().count()
            && old.pairs().zip(new.pairs()).all(|(old, new)| {
                old.key.scalar() == new.key.scalar() && is_same(old.value, new.value)
            });
    }
    if old.is_list() && new.is_list() {
        return old.source() == new.source();
    }
    old.scalar().is_some() && old.scalar() == new.scalar()
}
