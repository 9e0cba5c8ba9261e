//! How single secrets are taken, doubted or refused.

use super::{parse, problems, read, source};
use crate::core::manifest::{MAX_VALUE_BYTES, Sealing};

/// What is found at the password when it is written as `written`.
fn at_password(written: &str) -> Vec<String> {
    let found = problems(&source(&format!("password: {written}")));
    let path = "jobs.25df459d-a37c-41b9-bc2b-8c00ba32jb52.source.password: ";
    found
        .iter()
        .map(|line| {
            let (place, what) = line.split_once(path).unwrap_or(("", line));
            let kind = place.split(' ').next().unwrap_or_default();
            format!("{kind}: {what}")
        })
        .collect()
}

#[test]
fn plain_passwords_are_refused_whatever_they_look_like() {
    let plain = "error: is unquoted";
    let typed = "error: is unquoted and can be read as a number, a date or a boolean";
    let comment = "error: is unquoted and followed by a comment";
    for (written, expected) in [
        ("canary-hunter2", plain),
        ("canary-blue#42", plain),
        ("$HOME", plain),
        ("-canary-tr0ub4-x", plain),
        (
            "0417523",
            "error: is an unquoted number, which loses its leading zero",
        ),
        ("no", typed),
        ("On", typed),
        ("y", typed),
        ("True", typed),
        ("1e5", typed),
        ("2024-01-01", typed),
        ("~", "error: has no value"),
        ("null", "error: has no value"),
        ("", "error: has no value"),
        ("canary-blue #42 door", comment),
        ("#42", comment),
        ("[a]", "error: is not a string"),
        ("{a: b}", "error: is not a string"),
        ("*a", "error: is an alias, which is not supported"),
        ("&a \"b\"", "error: has an anchor, which is not supported"),
        ("!!str b", "error: has a tag, which is not supported"),
    ] {
        assert_eq!(at_password(written), [expected], "{written:?}");
    }
}

#[test]
fn quoted_passwords_are_taken_letter_for_letter() {
    for (written, expected) in [
        ("\"0417523\"", "0417523"),
        ("'no'", "no"),
        ("\"~\"", "~"),
        ("'null'", "null"),
        ("\"canary-blue #42 door\" # comment", "canary-blue #42 door"),
        ("\"-canary-tr0ub4-x\"", "-canary-tr0ub4-x"),
        ("\"$HOME\"", "$HOME"),
        ("'${X:-y}'", "${X:-y}"),
        ("\"%41%25\"", "%41%25"),
        ("'{{ a }}'", "{{ a }}"),
        ("'back\\slash'", "back\\slash"),
        ("\"back\\\\slash\"", "back\\slash"),
        ("'both''\"quotes'", "both'\"quotes"),
        ("</script>'", ""),
        ("\"</script>\"", "</script>"),
        ("|-\n  block: #text", "block: #text"),
        (">-\n  folded\n  text", "folded text"),
        ("*", ""),
    ] {
        if expected.is_empty() {
            assert!(
                parse(&source(&format!("password: {written}")), Sealing::Optional)
                    .value
                    .is_none()
            );
            continue;
        }
        assert_eq!(at_password(written), [""; 0], "{written:?}");
        let manifest = read(&source(&format!("password: {written}")));
        assert_eq!(manifest.assignments()[0].password.expose(), expected);
    }
}

#[test]
fn quoted_passwords_that_cannot_be_meant_are_refused() {
    let placeholder = "error: is a placeholder";
    for (written, expected) in [
        ("\"\"", "error: is empty"),
        ("|\n  text", "error: ends with a line break"),
        (">\n  text", "error: ends with a line break"),
        ("\"text\\n\"", "error: ends with a line break"),
        (
            "\"ab\\0cd\"",
            "error: contains a NUL character at character 3",
        ),
        ("\"********\"", placeholder),
        ("'*'", placeholder),
        (
            "CHANGEME # quote",
            "error: is unquoted and followed by a comment",
        ),
        ("\"ChangeMe\"", placeholder),
        ("\"REDACTED\"", placeholder),
        ("\"<password>\"", placeholder),
    ] {
        assert_eq!(at_password(written), [expected], "{written:?}");
    }
}

#[test]
fn doubtful_passwords_are_taken_unchanged_with_a_warning_that_tells_no_length() {
    let ascii = "warning: contains characters outside ASCII";
    for (written, value, expected) in [
        (
            "\" pine tree  \"",
            " pine tree  ",
            &["warning: starts with a space and ends with a space, which is sent as part of it"][..],
        ),
        (
            "\" pine\"",
            " pine",
            &["warning: starts with a space, which is sent as part of it"],
        ),
        (
            "'pine '",
            "pine ",
            &["warning: ends with a space, which is sent as part of it"],
        ),
        ("\"caf\u{e9}\"", "caf\u{e9}", &[ascii]),
        ("\"cafe\u{301}\"", "cafe\u{301}", &[ascii]),
        (
            "\"zero\u{200b}width\u{a0}\"",
            "zero\u{200b}width\u{a0}",
            &["warning: contains invisible characters: U+200B at character 5, U+00A0 at the end"],
        ),
        (
            "\"be\\u0007ll\"",
            "be\u{7}ll",
            &["warning: contains invisible characters: U+0007 at character 3"],
        ),
        (
            "\"a\\nb\"",
            "a\nb",
            &["warning: contains invisible characters: U+000A at character 2"],
        ),
        (
            "\"\\uFEFFa\u{202e}b\u{fe0f}c\"",
            "\u{feff}a\u{202e}b\u{fe0f}c",
            &[
                "warning: contains invisible characters: U+FEFF at character 1, \
               U+202E at character 3, U+FE0F at character 5",
            ],
        ),
    ] {
        assert_eq!(at_password(written), expected, "{written:?}");
        let manifest = read(&source(&format!("password: {written}")));
        assert_eq!(manifest.assignments()[0].password.expose(), value);
    }
}

#[test]
fn long_passwords_are_taken_whole_up_to_a_stated_limit() {
    let longest = "x".repeat(MAX_VALUE_BYTES);
    let text = source(&format!("password: \"{longest}\""));
    assert_eq!(read(&text).assignments()[0].password.expose(), longest);
    assert_eq!(
        at_password(&format!("\"{longest}x\"")),
        ["error: is longer than 128 KiB"]
    );
}

#[test]
fn kerberos_values_follow_their_own_rules() {
    for (lines, expected) in [
        ("domain_name: REALM", Some("domain_name: is unquoted")),
        ("domain_name: \"REALM\"", None),
        (
            "domain_name: |\n    REALM",
            Some("domain_name: ends with a line break"),
        ),
        ("user_principal: \"\"", Some("user_principal: is empty")),
        ("krb5_conf_file: |\n    [libdefaults]\n    \ta = b", None),
        (
            "krb5_conf_file: \"a\\0\"",
            Some("krb5_conf_file: contains a NUL character at character 2"),
        ),
        ("key_tab_file: \"BQIAAP8=\"", None),
        (
            "key_tab_file: \"BQIAAP8\"",
            Some("key_tab_file: is not valid base64"),
        ),
        (
            "key_tab_file: \"BQIA_-8=\"",
            Some("key_tab_file: is not valid base64"),
        ),
        ("key_tab_file: \"BQIA AP8=\"", None),
        ("key_tab_file: |\n    BQIAAP8=", None),
        ("key_tab_file: |-\n    BQIA\n    AP8=", None),
        ("key_tab_file: \" \\n\"", Some("key_tab_file: is empty")),
    ] {
        let found = problems(&source(&format!("password: \"a\"\nkerberos:\n  {lines}")));
        match expected {
            None => assert_eq!(found, [""; 0], "{lines}"),
            Some(expected) => {
                assert_eq!(found.len(), 1, "{lines}: {found:?}");
                assert!(found[0].ends_with(expected), "{lines}: {found:?}");
            }
        }
    }
}

#[test]
fn what_holds_the_place_of_a_secret_is_refused_and_what_only_looks_like_it_is_not() {
    for text in [
        "...",
        "....",
        ". . .",
        "…",
        "********",
        "••••",
        "xxx",
        "XXXXXXXX",
        "____",
        "--",
        "???",
        "CHANGEME",
        "change me",
        "Change_Me",
        "TODO",
        "todo ",
        "FIXME",
        "tbd",
        "REPLACE_ME",
        "replace me",
        "replace-me",
        "<password>",
        "<your new password>",
        "<DB_PASSWORD>",
        "<Paßwort>",
        "[redacted]",
        "(sensitive value)",
        "{{ changeme }}",
    ] {
        let found = at_password(&format!("\"{text}\""));
        assert_eq!(found, ["error: is a placeholder"], "{text:?}");
    }
    for text in [
        "x",
        "xx",
        "xyz",
        "x.x",
        "...a",
        "todo1",
        "Changeme!",
        "{{ a }}",
        "<a1>",
        "<>",
        "<canary",
        "$HOME",
        "*a*",
        "password",
    ] {
        let found = at_password(&format!("\"{text}\""));
        assert_eq!(found, [""; 0], "{text:?}");
    }
}
