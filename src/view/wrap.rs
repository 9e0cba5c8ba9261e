//! Messages in lines that a terminal shows whole, so that its own breaks do not part
//! words. Nothing but blanks is changed.

/// A terminal that is narrower shows lines as they are.
const MIN_COLUMNS: usize = 30;

/// So many blanks stand before what follows in the next line, at least. So nothing that
/// others wrote comes to stand at the start of a line.
const HANG: usize = 2;

/// Breaks the lines of `text` that are longer than `columns` at blanks. What follows
/// stands below the words after a first one such as `help:`. A word that is too long,
/// such as a path or a key, stays whole.
pub fn wrapped(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive('\n') {
        // What goes back in its line is no text that runs on.
        if columns < MIN_COLUMNS || width(line.trim_end()) <= columns || line.contains('\r') {
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
    let first = words.split(' ').next().unwrap_or_default();
    let hang = match width(first) {
        label if first.ends_with(':') && indent + label < columns / 3 => indent + label + 1,
        _ => indent + HANG,
    };
    out.push_str(&line[..indent]);
    out.push_str(first);
    let mut column = indent + width(first);
    for word in words[first.len()..].split(' ').skip(1) {
        let needed = width(word.trim_end());
        if needed > 0 && column + 1 + needed > columns && column > hang {
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            column = hang + needed;
        } else {
            out.push(' ');
            column += 1 + needed;
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
                "Send this?  Only 'yes' in full is taken: ",
                "Send this?  Only 'yes' in full\n  is taken: ",
            ),
            (
                "wrote /a/path/that/is/longer/than/all/of/it now",
                "wrote\n  /a/path/that/is/longer/than/all/of/it\n  now",
            ),
            (
                "\r1 of 2 entries answered, and so on",
                "\r1 of 2 entries answered, and so on",
            ),
        ] {
            assert_eq!(wrapped(text, 30), expected);
            let line = text.replace('\n', " ");
            assert_eq!(wrapped(&line, 500), line);
        }
        let text = "error: one two three four five six seven";
        assert_eq!(wrapped(text, 10), text);
    }
}
