//! The one way in which text gets into Markdown that is no literal of this module.
//!
//! Somebody else may have written it, and it will be read by a renderer that makes
//! tables, links and mentions, and that obeys lines which start with a slash. So it
//! stands on one line, behind a tag of ours, in a `<code>` element, where renderers
//! look neither for mentions nor for references; and every character that could mean
//! something is a numeric reference, which a renderer shows and never obeys.

use crate::core::redact::is_unfit;

/// Characters that are kept of one text.
const MAX_CHARS: usize = 400;

/// A text as one harmless piece of a line or of a cell.
pub(super) fn code(text: &str) -> String {
    let mut piece = "<code>".to_owned();
    let mut last = ' ';
    for (count, c) in text.chars().enumerate() {
        if count == MAX_CHARS {
            piece.push('…');
            break;
        }
        if is_unfit(c) {
            let name = c.escape_default();
            name.for_each(|c| push(&mut piece, c, ' '));
        } else {
            push(&mut piece, c, last);
        }
        last = c;
    }
    piece.push_str("</code>");
    piece
}

/// Several lines as one piece.
pub(super) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    let pieces: Vec<String> = lines
        .into_iter()
        .flat_map(|text| {
            let lines = text.as_ref().lines();
            lines.map(|line| code(line.trim())).collect::<Vec<_>>()
        })
        .collect();
    pieces.join("<br>")
}

fn push(piece: &mut String, c: char, last: char) {
    match c {
        // Some renderers look for addresses of mail once references are resolved, but
        // not across an element.
        '@' => piece.push_str("<span>&#64;</span>"),
        // `www.` begins a link.
        '.' if last.eq_ignore_ascii_case(&'w') => piece.push_str("&#46;"),
        ' ' | '-' | '/' | ',' | '.' | '(' | ')' | ';' | '\'' => piece.push(c),
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => piece.push(c),
        c => piece.push_str(&format!("&#{};", u32::from(c))),
    }
}
