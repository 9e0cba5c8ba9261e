//! Messages in lines that a terminal shows whole, so that its own breaks do not part
//! words. Nothing but blanks is changed.

/// A terminal that is narrower shows lines as they are.
const MIN_COLUMNS: usize = 30;

/// So many blanks stand before what follows in the next line, at least. So nothing that
/// others wrote comes to stand at the start of a line.
const HANG: usize = 2;

/// A column of words that would be narrower goes below what is before it.
const MIN_WORDS: usize = 24;

/// Blanks that part the columns of a list, at least.
const GAP: &str = "   ";

/// Breaks the lines of `text` that are longer than `columns` at blanks. What follows is
/// below the last column of a list, or below the words after a first one such as `help:`.
/// A word that is too long, such as a path or a key, stays whole.
pub fn wrapped(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive('\n') {
        if columns < MIN_COLUMNS || width(line.trim_end()) <= columns {
            out.push_str(line);
        } else {
            push_line(&mut out, line, columns);
        }
    }
    out
}

fn push_line(out: &mut String, line: &str, columns: usize) {
    let words = line.trim_start_matches(' ');
    let indent = line.len() - words.len();
    if let Some((head, rest)) = words.split_once(GAP) {
        let rest = rest.trim_start_matches(' ');
        let start = &line[..line.len() - rest.len()];
        let column = width(start);
        if column + MIN_WORDS <= columns {
            out.push_str(start);
            return push_words(out, rest, column, column, columns);
        }
        let below = indent + 2 * HANG;
        out.push_str(&line[..indent]);
        out.push_str(head);
        out.push('\n');
        out.push_str(&" ".repeat(below));
        return push_words(out, rest, below, below, columns);
    }
    let first = words.split(' ').next().unwrap_or_default();
    let hang = match width(first) {
        label if first.ends_with(':') && indent + label < columns / 3 => indent + label + 1,
        _ => indent + HANG,
    };
    out.push_str(&line[..indent]);
    push_words(out, words, indent, hang, columns);
}

/// Adds `words` behind `start` in lines of 80 columns; further ones begin below the words.
pub fn push_wrapped(out: &mut String, start: &str, words: &str) {
    let column = width(start);
    out.push_str(start);
    push_words(out, words, column, column, 80);
    out.push('\n');
}

/// Adds words from `column` on; further lines begin at `hang`.
fn push_words(out: &mut String, words: &str, mut column: usize, hang: usize, columns: usize) {
    for (place, word) in words.split(' ').enumerate() {
        let needed = width(word.trim_end());
        if place > 0 && needed > 0 && column + 1 + needed > columns && column > hang {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            column = hang + needed;
        } else {
            let blank = usize::from(place > 0);
            out.push_str(&" "[..blank]);
            column += blank + needed;
        }
        out.push_str(word);
    }
}

/// The columns of a text; what switches colours takes none.
fn width(text: &str) -> usize {
    let mut is_escape = false;
    let seen = text.chars().filter(|c| {
        let was_escape = is_escape;
        is_escape = *c == '\u{1b}' || (is_escape && *c != 'm');
        !is_escape && !was_escape
    });
    seen.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_blanks_and_hang_below_their_words() {
        for (text, expected) in [
            ("short\n", "short\n"),
            (
                "error: one two three four five six seven\n  help: one two three four five six\n",
                "error: one two three four five\n       six seven\n  help: one two three four\n        five six\n",
            ),
            (
                "\u{1b}[31merror\u{1b}[0m: one two three four five\nnext\n",
                "\u{1b}[31merror\u{1b}[0m: one two three four five\nnext\n",
            ),
            (
                "    one two three four five six seven",
                "    one two three four five\n      six seven",
            ),
            (
                "Send it to?  Type 'yes' in full to continue: ",
                "Send it to?  Type 'yes' in\n  full to continue: ",
            ),
            (
                "wrote /a/path/that/is/longer/than/all/of/it now",
                "wrote\n  /a/path/that/is/longer/than/all/of/it\n  now",
            ),
            (
                "  \u{1b}[32m+\u{1b}[0m a   one two three four five six\n",
                "  \u{1b}[32m+\u{1b}[0m a\n      one two three four five\n      six\n",
            ),
        ] {
            assert_eq!(wrapped(text, 30), expected);
            let line = text.replace('\n', " ");
            assert_eq!(wrapped(&line, 500), line);
        }
        let text = "error: one two three four five six seven";
        assert_eq!(wrapped(text, 10), text);
        let text =
            "  + a-long-label   one two three four five six seven   x\n  + a              ok\n";
        let aligned = "  + a-long-label   one two three four five\n                   six seven   x\n  + a              ok\n";
        assert_eq!(wrapped(text, 43), aligned);
    }
}
