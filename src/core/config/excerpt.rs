//! The part of a line of drspass.yaml that may be shown with a problem.
//!
//! A secret may have been put into any field, key or comment, so no word is shown for its place:
//! each must be one that the format defines, or look as no secret does.

use crate::core::problem::{Excerpt, Problem};
use crate::core::redact::is_key_like;
use crate::core::target::addresses;
use crate::core::yaml::{line_end, nearest, next_line};

const FIELDS: &str = "\
    version manifest state recipients target region project_id endpoint auth_url \
    credentials_from apply batch_size parallelism request_timeout retry max_elapsed limits \
    max_changes max_changed_share";

/// More than a terminal shows.
const MAX_SHOWN: usize = 200;
const MAX_SEARCHED: usize = 8192;

/// Gives `problems`, which are in the order of the text, their lines.
pub fn attach(text: &str, problems: &mut [Problem]) {
    let (mut start, mut line) = (0, 1);
    for problem in problems {
        let Some(at) = problem.at else { return };
        while line < at.line {
            start = next_line(text, start);
            line += 1;
        }
        let whole = &text[start..line_end(text, start)];
        problem.excerpt = excerpt(whole, at.column - 1).map(Box::new);
    }
}

/// Returns the line up to its first word that could be a secret; `None` if the value or key at
/// `column` (from 0) is not before it, or the line has a private key or groups of digits.
fn excerpt(line: &str, column: usize) -> Option<Excerpt> {
    let searched = &line[..line.floor_char_boundary(MAX_SEARCHED)];
    let is_between = |c: char| " {}[],\"'".contains(c);
    let words: Vec<&str> = searched
        .split(is_between)
        .filter(|it| !it.is_empty())
        .collect();
    let is_digits = |word: &&str| word.bytes().all(|b| b.is_ascii_digit() || b == b':');
    if is_key_like(searched) || words.windows(2).any(|pair| pair.iter().all(is_digits)) {
        return None;
    }
    let (mut shown, mut marked, mut before) = (0, None, "");
    for word in line.split_inclusive(is_between) {
        let bare = word.trim_end_matches(is_between);
        let end = shown + bare.len();
        if !bare.is_empty() {
            if end > MAX_SHOWN || !is_harmless(bare, before) {
                break;
            }
            if end > column {
                let end = end - usize::from(bare.ends_with(':'));
                marked.get_or_insert(column..end.max(column + 1));
            }
            before = bare;
        }
        shown += word.len();
    }
    if shown == line.len() && column < shown {
        // A bracket with nothing in it.
        marked.get_or_insert(column..column + 1);
    }
    let text = match &line[..shown] {
        whole if shown == line.len() => whole.to_owned(),
        start => format!("{}…", start.trim_end_matches([' ', '"', '\''])),
    };
    marked.map(|marked| Excerpt { text, marked })
}

fn is_harmless(word: &str, before: &str) -> bool {
    let is_low = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if let Some(key) = word.strip_suffix(':') {
        let is_plain = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        return is_plain && nearest(FIELDS.split(' '), key).is_some();
    }
    let is_base64 = || {
        word.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    };
    match before {
        "project_id:" if word.len() == 32 => return word.bytes().all(|b| b.is_ascii_hexdigit()),
        "ssh-ed25519" => return word.starts_with("AAAAC3NzaC1lZDI1NTE5") && is_base64(),
        "ssh-rsa" => return word.starts_with("AAAAB3NzaC1yc2E") && is_base64(),
        _ => {}
    }
    let mut units = ["ms", "s", "m", "h", "%", ""].into_iter();
    let number = units
        .find_map(|unit| word.strip_suffix(unit))
        .unwrap_or(word);
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let is_age_key = word.len() == 62 && word.starts_with("age1") && word.bytes().all(is_low);
    let is_path = word.len() <= 64
        && (word.ends_with(".age") || word.ends_with(".json"))
        && word.bytes().all(|b| is_low(b) || b"._-/~".contains(&b));
    let is_address = word
        .split('.')
        .nth(1)
        .and_then(addresses)
        .is_some_and(|known| {
            let host = |text: &str| text.trim_end_matches("/v3").to_owned();
            known.iter().any(|known| host(known) == host(word))
        });
    let is_word = "- ~ null true false yes no ssh-ed25519 ssh-rsa"
        .split(' ')
        .any(|w| w == word);
    is_number || is_age_key || is_path || is_address || is_word || addresses(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::parse;

    const SECRETS: [&str; 21] = [
        "123 456",
        "12,34,56",
        "hunter2",
        "Tr0ub4dor&3",
        "correct",
        "12345678",
        "20241130",
        "0123456789abcdef0123456789abcdef",
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0",
        "ghp_0123456789abcdefghij",
        "-----BEGIN",
        "AGE-SECRET-KEY-1CANARYQX7",
        "age-secret-key-1canaryqx7",
        "https://user:hunter2@drs.eu-de.otc.t-systems.com",
        "https://drs.hunter2.otc.t-systems.com",
        "https://drs.eu-de.otc.t-systems.com/hunter2",
        "https://iam.eu-de.otc.t-systems.com/v3?token=hunter2",
        "\u{202e}hunter2\u{1b}[31m",
        "secret.com",
        "${hunter2}",
    ];

    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn a_secret_is_in_no_excerpt_wherever_it_was_put() {
        let lines = FIELDS.split(' ').flat_map(|field| {
            [
                "{F}: {S}",
                "{F}: \"{S}\"",
                "  - {F}: {{S}}",
                "{F}: 1 # {S}",
                "{F}: 1 {S}",
                "{F} {S}: 1",
            ]
            .map(|form| form.replace("{F}", field))
        });
        let others = [
            "{S}",
            "{S}:",
            "{S}: 1",
            "- {S}",
            "'{S}'",
            "{ {S}: {} }",
            "\t{S}",
            "[{S}, 1]",
        ];
        let others = others.map(str::to_owned).into_iter().chain([
            format!("  - {KEY} {{S}}"),
            "- ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA {S}".to_owned(),
            "- ssh-ed25519 {S}".to_owned(),
        ]);
        for form in lines.chain(others) {
            for secret in SECRETS {
                // There, such a text is a project's id.
                let places = ["project_id: {S", "project_id: \"{S", "project_id: {{S"];
                if secret.len() == 32 && places.iter().any(|place| form.contains(place)) {
                    continue;
                }
                let line = form.replace("{S}", secret);
                let place = line.find(secret).unwrap();
                for column in 0..=line.chars().count() + 1 {
                    let Some(found) = excerpt(&line, column) else {
                        continue;
                    };
                    assert!(!found.text.contains(secret), "{line}: {found:?}");
                    assert!(column < place && !is_key_like(&line), "{line}: {found:?}");
                    let shown = found.text.strip_suffix('…').unwrap();
                    assert!(line.starts_with(shown) && found.marked.end <= place);
                    assert!(shown.bytes().all(|b| matches!(b, b' '..=b'~')), "{shown:?}");
                }
            }
        }
    }

    #[test]
    fn every_field_of_the_format_is_known_here() {
        let unknown = "no_such_field_at_all: 1";
        let text = format!(
            "{unknown}\ntarget: {{ {unknown} }}\nlimits: {{ {unknown} }}\n\
             apply: {{ {unknown}, retry: {{ {unknown} }} }}\n"
        );
        let mut fields = 0;
        for problem in parse(&text).problems {
            let known = problem.help.strip_prefix("Known keys are: ");
            let known = known
                .and_then(|known| known.split_once(". "))
                .unwrap_or_default()
                .0;
            for field in known.split(", ").filter(|field| !field.is_empty()) {
                assert!(FIELDS.split(' ').any(|known| known == field), "{field}");
                fields += 1;
            }
        }
        assert_eq!(fields, FIELDS.split(' ').count());
    }

    #[test]
    fn what_belongs_there_is_shown_and_the_rest_cut_off() {
        for (line, column, text, marked) in [
            ("manifst: x", 0, "manifst:…", "manifst"),
            ("  batch_size: 101 # all", 14, "  batch_size: 101…", "101"),
            (
                "state: \"a/b.json\"",
                7,
                "state: \"a/b.json\"",
                "\"a/b.json",
            ),
            ("apply: { retry: 5m }", 16, "apply: { retry: 5m }", "5m"),
            ("limits: []", 8, "limits: []", "["),
            (
                "- ssh-rsa AAAAB3NzaC1yc2E\u{1b}[31m",
                2,
                "- ssh-rsa…",
                "ssh-rsa",
            ),
            ("manifest:", 8, "manifest:", ":"),
            (
                "  endpoint: https://drs.eu-de.otc.t-systems.com/v3",
                12,
                "  endpoint: https://drs.eu-de.otc.t-systems.com/v3",
                "https://drs.eu-de.otc.t-systems.com/v3",
            ),
            (
                "  project_id: 0123456789abcdef0123456789abcdef",
                2,
                "  project_id: 0123456789abcdef0123456789abcdef",
                "project_id",
            ),
        ] {
            let found = excerpt(line, column).expect(line);
            assert_eq!((&*found.text, &found.text[found.marked]), (text, marked));
        }
        let long = format!("recipients: [{}]", format!("{KEY}, ").repeat(9));
        let found = excerpt(&long, 0).unwrap();
        assert!(found.text.len() <= MAX_SHOWN + "…".len() && found.text.ends_with('…'));
    }
}
