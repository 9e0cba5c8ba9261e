//! Whether a changed text says what was wanted, and all else as before. It reads the
//! new text afresh, so no fault in making it can pass.

use std::collections::HashMap;

use super::Wanted;
use super::outline::{Map, Spot};

/// Whether `new` is `old` but for what is wanted.
pub(super) fn is_made_so(
    (old_text, old): (&str, &Map<'_>),
    (new_text, new): (&str, &Map<'_>),
    wanted: &[(&str, Wanted<'_>)],
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
    fn map(&self, old: Option<&Map<'_>>, new: &Map<'_>, wanted: &[(&str, Wanted<'_>)]) -> bool {
        let wanted: HashMap<&str, &Wanted<'_>> =
            wanted.iter().map(|(key, wanted)| (*key, wanted)).collect();
        let mut kept = old.map_or(&[][..], |old| &old.entries).iter().peekable();
        let mut made = 0;
        for entry in &new.entries {
            let key = entry.key.as_str();
            // What is gone may stand before the next one that is not.
            while kept
                .next_if(|old| matches!(wanted.get(old.key.as_str()), Some(Wanted::Gone)))
                .is_some()
            {}
            let before = kept.next_if(|old| old.key.as_str() == key);
            let is_right = match (wanted.get(key), before) {
                (None, Some(before)) => self.is_same(&before.value, &entry.value),
                (None, None) | (Some(Wanted::Gone), _) => false,
                (Some(wanted), before) => {
                    made += 1;
                    self.value(before.map(|before| &before.value), &entry.value, wanted)
                }
            };
            if !is_right {
                return false;
            }
        }
        let rest = kept.all(|old| matches!(wanted.get(old.key.as_str()), Some(Wanted::Gone)));
        let to_make = wanted
            .values()
            .filter(|wanted| !matches!(wanted, Wanted::Gone));
        rest && made == to_make.count()
    }

    fn value(&self, old: Option<&Spot<'_>>, new: &Spot<'_>, wanted: &Wanted<'_>) -> bool {
        match (wanted, old, new) {
            (Wanted::Text(text), None | Some(Spot::Scalar(_)), Spot::Scalar(new)) => {
                new.text.as_str() == *text
            }
            (Wanted::Map(wanted), None | Some(Spot::List(_)), Spot::Map(new)) => {
                self.map(None, new, wanted)
            }
            (Wanted::Map(wanted), Some(Spot::Map(old)), Spot::Map(new)) => {
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
