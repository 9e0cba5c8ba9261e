use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::needles::MAX_SEARCHED_BYTES;
use super::*;
use crate::core::secret::Secret;

const SECRET: &str = "Zx\"9\\q!fern/ü 日😀+";

fn needles(secret: &str) -> Needles {
    Needles::new([&Secret::new(secret.to_owned())])
}

fn percent(text: &str, keep: &str, upper: bool) -> String {
    text.bytes()
        .map(|b| match char::from(b) {
            c if keep.contains(c) => c.to_string(),
            _ if upper => format!("%{b:02X}"),
            _ => format!("%{b:02x}"),
        })
        .collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let minimal = serde_json::to_string(SECRET).unwrap();
    let minimal = minimal.trim_matches('"').to_owned();
    let ascii = |upper: bool| -> String {
        let unit = |u: &u16| match upper {
            true => format!("\\u{u:04X}"),
            false => format!("\\u{u:04x}"),
        };
        minimal
            .chars()
            .map(|c| match c {
                c if c.is_ascii() => c.to_string(),
                c => c.encode_utf16(&mut [0; 2]).iter().map(unit).collect(),
            })
            .collect()
    };
    let mut forms = vec![
        SECRET.to_owned(),
        SECRET.to_ascii_uppercase(),
        minimal.clone(),
        minimal.replace('/', "\\/"),
        ascii(true),
        ascii(false),
        percent(SECRET, "Zx9qfern!", true),
        percent(SECRET, "", false),
        percent(SECRET, "Zx9qfern!/", true).replace("%20", "+"),
        SECRET.bytes().map(|b| format!("{b:02x}")).collect(),
        SECRET.bytes().map(|b| format!("{b:02X}")).collect(),
    ];
    for form in [
        SECRET.to_owned(),
        minimal.clone(),
        ascii(false),
        ascii(true),
    ] {
        for before in ["", "a", "ab", "{\"db_password\":\""] {
            for after in ["", "z", "zz"] {
                forms.push(STANDARD.encode(format!("{before}{form}{after}")));
                forms.push(URL_SAFE.encode(format!("{before}{form}{after}")));
            }
        }
    }
    let needles = needles(SECRET);
    for form in forms {
        for text in [form.clone(), format!("value {form} was wrong")] {
            assert!(needles.occur_in(&text), "missed {text}");
            assert_eq!(needles.text(&text), Some(ForeignText::withheld()));
        }
    }
}

#[test]
fn wrapped_base64_is_found() {
    let text = STANDARD.encode(format!("body {SECRET}"));
    let (a, b) = text.split_at(14);
    assert!(needles(SECRET).occur_in(&format!("{a}\n  {b}")));
}

#[test]
fn other_text_is_not_withheld() {
    let text = needles(SECRET).text("wrong task state of job 25df459d, see %41 and \\u0041");
    assert_eq!(
        text.unwrap().to_string(),
        "\"wrong task state of job 25df459d, see %41 and \\u0041\""
    );
}

#[test]
fn one_line_of_a_long_secret_is_enough() {
    let conf = "[libdefaults]\n  default_realm = EXAMPLE.ORG\n";
    let needles = needles(conf);
    assert!(needles.occur_in("cannot parse 'default_realm = EXAMPLE.ORG'"));
    assert!(!needles.occur_in("cannot parse the file"));
}

#[test]
fn secrets_of_under_four_characters_are_not_looked_for() {
    for secret in ["", "7", "abc", "日本é"] {
        assert!(!needles(secret).occur_in(&format!("anything 7 {secret}")));
    }
    for secret in ["abcd", "日本語é"] {
        assert!(needles(secret).occur_in(&format!("anything {secret}")));
        assert!(needles(secret).occur_in(&STANDARD.encode(format!("x{secret}"))));
    }
}

#[test]
fn each_of_many_secrets_is_found() {
    let secrets: Vec<Secret> = (0..2000)
        .map(|n| Secret::new(format!("canary-{n}")))
        .collect();
    let needles = Needles::new(&secrets);
    for n in [0, 1, 10, 999, 1000, 1999] {
        assert!(needles.occur_in(&format!("for canary-{n}.")));
        assert!(needles.occur_in(&STANDARD.encode(format!("for canary-{n}."))));
    }
    assert!(!needles.occur_in("for canary-x or canary-"));
}

#[test]
fn a_text_too_long_to_search_is_withheld() {
    let text = "x".repeat(MAX_SEARCHED_BYTES + 1);
    assert_eq!(needles(SECRET).text(&text), Some(ForeignText::withheld()));
}

#[test]
fn a_secret_past_the_cut_still_withholds_the_text() {
    let text = format!("{} {SECRET}", "x".repeat(ForeignText::MAX_CHARS + 50));
    assert_eq!(needles(SECRET).text(&text), Some(ForeignText::withheld()));
}

#[test]
fn names_are_kept_where_they_have_the_usual_shape_and_else_only_shown() {
    let needles = needles("hunter2");
    let withheld = Some(ReportedName::Shown(ForeignText::withheld()));
    let shown = |raw: &str| ForeignText::clean(raw).map(ReportedName::Shown);
    let kept = |raw: &str| Token::parse(raw).map(ReportedName::Kept);
    let id = "0123456789abcdef0123456789abcdef";
    for secret in ["req-HUNTER2-1", "68756e74657232", "DRS.hunter2\u{1b}"] {
        assert_eq!(needles.code(secret), withheld);
        assert_eq!(needles.request_id(secret), withheld);
        assert_eq!(needles.name(secret), withheld);
    }
    assert_eq!(needles.code("DRS.M00304"), kept("DRS.M00304"));
    assert_eq!(needles.code(id), shown(id));
    assert_eq!(needles.code("Quota exceeded"), shown("Quota exceeded"));
    assert_eq!(needles.code(" "), None);
    assert_eq!(needles.request_id(id), kept(id));
    assert_eq!(needles.request_id("req-7/a"), shown("req-7/a"));
    assert_eq!(needles.name("job-1"), kept("job-1"));
}

#[test]
fn foreign_text_cannot_steer_a_terminal_or_begin_a_line() {
    let shown = |raw: &str| ForeignText::clean(raw).unwrap().to_string();
    assert_eq!(shown("a\nb\r\u{1b}[31mc"), r#""a\nb\r\u{1b}[31mc""#);
    assert_eq!(
        shown("a\u{202e}b\u{2028}c\u{200b}d\u{85}"),
        r#""a\u{202e}b\u{2028}c\u{200b}d""#
    );
    assert_eq!(shown("ends \"here\" not"), "\"ends 'here' not\"");
    assert_eq!(shown("::set-output x"), r#"":\u{3a}set-output x""#);
    assert_eq!(shown("größe ok"), "\"größe ok\"");
    assert_eq!(ForeignText::clean(" \n\t"), None);
}

#[test]
fn foreign_text_is_cut_between_characters() {
    let text = ForeignText::clean(&"ü".repeat(300)).unwrap();
    assert_eq!(text.as_str().chars().count(), ForeignText::MAX_CHARS + 1);
    assert!(text.as_str().ends_with("ü…"));
    let exact = "y".repeat(ForeignText::MAX_CHARS);
    assert_eq!(ForeignText::clean(&exact).unwrap().as_str(), exact);
    // An escape is kept whole or left out whole.
    let text = ForeignText::clean(&format!("{}\u{7}z", "y".repeat(198))).unwrap();
    assert_eq!(text.as_str(), format!("{}…", "y".repeat(198)));
}

#[test]
fn tokens_hold_only_harmless_characters() {
    for good in ["DRS.M00304", "HTTP-307", "a", "A_b-c.9", &"x".repeat(64)] {
        assert_eq!(Token::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", " ", "a b", "a\n", "ü", "<b>", &"x".repeat(65)] {
        assert_eq!(Token::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn a_token_is_checked_when_it_is_read_back() {
    let token = Token::from_static("DRS.KE0002");
    let text = serde_json::to_string(&token).unwrap();
    assert_eq!(text, "\"DRS.KE0002\"");
    assert_eq!(serde_json::from_str::<Token>(&text).unwrap(), token);
    assert!(serde_json::from_str::<Token>("\"a b\"").is_err());
    assert!(serde_json::from_str::<Token>("7").is_err());
}

#[test]
fn decoders_survive_broken_input() {
    for text in [
        "\\",
        "\\u",
        "\\u12",
        "\\ud83d",
        "%",
        "%4",
        "%zz",
        "&",
        "&#",
        "&#xffffffff;",
        "é%é\\é&é",
    ] {
        assert!(!needles("absent-secret").occur_in(text));
    }
}

#[test]
fn no_text_is_an_order_to_a_runner_wherever_in_a_line_it_stands() {
    for (raw, shown) in [
        ("##[add-mask]x", "#\\u{23}[add-mask]x"),
        ("a ###vso[x]", "a #\\u{23}\\u{23}vso[x]"),
        ("#\u{200b}#[x]", "#\\u{200b}#[x]"),
        ("# #[x] #1", "# #[x] #1"),
    ] {
        let text = ForeignText::clean(raw).unwrap();
        assert_eq!(text.as_str(), shown);
    }
}

#[test]
fn keys_and_long_random_texts_are_told_from_paths() {
    for key in [
        "AGE-SECRET-KEY-1CANARY",
        "  'age-secret-key-1canary'",
        "AGE-PLUGIN-YUBIKEY-1CANARY",
        "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary",
    ] {
        assert!(is_key_like(key), "{key}");
    }
    for path in [
        "keys/id.txt",
        "/home/user/.config/age-plugin-yubikey/identity.txt",
        "",
    ] {
        assert!(
            !is_key_like(path) && !is_too_long_for_a_path(path),
            "{path}"
        );
    }
    assert!(is_too_long_for_a_path(&"x".repeat(41)));
    assert!(!is_too_long_for_a_path(&"x".repeat(40)));
    assert!(!is_too_long_for_a_path(&format!(
        "{}/{}",
        "x".repeat(49),
        "x".repeat(50)
    )));
    assert!(is_too_long_for_a_path(&format!(
        "{}/{}",
        "x".repeat(50),
        "x".repeat(50)
    )));
}

#[test]
fn what_a_runner_obeys_is_written_so_that_it_does_not() {
    for (text, expected) in [
        ("::error title=x::by", r":\u{3a}error title=x:\u{3a}by"),
        ("a ##[group]b ###", r"a #\u{23}[group]b #\u{23}\u{23}"),
        ("##vso[task.complete]", r"#\u{23}vso[task.complete]"),
        (
            "section_start:0:x\r\u{1b}[0K",
            r"section\u{5f}start:0:x\r\u{1b}[0K",
        ),
        ("x section_end:1:x", r"x section\u{5f}end:1:x"),
        ("  \u{1b}[31m!\u{1b}[0m a", r"  \u{1b}[31m!\u{1b}[0m a"),
        ("a\u{202e}b\u{200b}", r"a\u{202e}b\u{200b}"),
        (
            "code: drspass::state::locked\nat http://[::1]:80 or fe80::1%eth0",
            "code: drspass::state::locked\nat http://[::1]:80 or fe80::1%eth0",
        ),
        ("a: b # c\té …", "a: b # c\té …"),
        ("drspass::Error::x", r"drspass:\u{3a}Error:\u{3a}x"),
    ] {
        assert_eq!(for_log(text, false), expected);
    }
    let coloured = "  \u{1b}[31m!\u{1b}[0m a";
    assert_eq!(for_log(coloured, true), coloured);
    assert_eq!(for_log("\u{1b}[2J\u{1b}[31", true), r"\u{1b}[2J\u{1b}[31");
}

#[test]
fn a_document_means_the_same_afterwards() {
    let value = serde_json::json!({ "x::y": ["##[x]", "section_start", "\r::", "[::1]"] });
    let text = in_json(&value.to_string()).into_owned();
    for sign in ["##", "\"::", "r::", "x::", "section_start"] {
        assert!(!text.contains(sign), "{text}");
    }
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read, value);
}
