use std::collections::BTreeSet;

use super::*;

#[test]
fn codes_are_found_however_they_are_spelt() {
    let class = |code: &str| look_up(&normalize(code)).map(|(class, _)| class);
    assert_eq!(class("DRS.M00304"), Some(Class::JobState));
    assert_eq!(class("DRS-M00304"), Some(Class::JobState));
    assert_eq!(class("APIG.0308"), Some(Class::Throttled));
    assert_eq!(class("APIGW.0308"), Some(Class::Throttled));
    assert_eq!(class("IAM.0012"), Some(Class::Throttled));
    assert_eq!(class("APIG.0201"), None);
    assert_eq!(class("0308"), None);
    assert_eq!(class("DRS.M99999"), None);
}

#[test]
fn a_missing_right_is_no_expired_login_whatever_the_status() {
    let class = |code: &str| look_up(code).map(|(class, _)| class);
    assert_eq!(class("DRS.M00100"), Some(Class::Login));
    assert_eq!(class("DRS.M00103"), Some(Class::Permission));
}

#[test]
fn no_code_stands_twice_and_all_advice_is_a_sentence() {
    let mut seen = BTreeSet::new();
    for (codes, _, advice) in NAMED {
        assert!(codes.split(' ').all(|code| seen.insert(code)), "{codes:?}");
        assert!(advice.ends_with('.'), "{advice}");
        assert!(advice.starts_with(char::is_uppercase), "{advice}");
    }
}

/// The rows of the table that was typed from the pages: status, code, class letter
/// and advice.
fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    let table = include_str!("../../../tests/data/error-codes.tsv");
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            [cells[0], cells[1], cells[2], cells[6]]
        })
}

#[test]
fn the_classes_are_those_of_the_pages() {
    let mut codes = 0;
    for [status, code, letter, advice] in rows() {
        let known = look_up(&normalize(code));
        let status: u16 = status.parse().unwrap();
        let class = match known {
            // The service or its gateway failed, whatever it says.
            _ if status >= 500 => Class::Internal,
            _ if status == 429 => Class::Throttled,
            Some((class, _)) => class,
            None if status == 200 => continue,
            None => by_status(status),
        };
        let fits = match letter {
            "R" if status < 500 => matches!(class, Class::Throttled | Class::Busy),
            "E" | "Q" => matches!(class, Class::Entry | Class::WrongPassword | Class::Request),
            "S" => class == Class::JobState,
            // See the table of codes for why.
            "A" if code == "DRS.M00261" => class == Class::Permission,
            "A" => class == Class::Login,
            "P" => class == Class::Permission,
            "I" | "R" => class == Class::Internal,
            "C" => class == Class::Route,
            _ => false,
        };
        assert!(fits, "{status} {code}: {class:?} is not {letter}");
        let shown = known.and_then(|(_, advice)| advice).unwrap_or_default();
        match advice {
            "-" => assert_eq!(shown, "", "{code}"),
            words => assert!(shown.contains(words), "{code}: {shown}"),
        }
        codes += 1;
    }
    assert!(codes > 100);
}

#[test]
fn every_listed_code_stands_on_the_pages() {
    let on_pages: BTreeSet<String> = rows().map(|[_, code, ..]| normalize(code)).collect();
    let listed = NAMED.iter().flat_map(|(codes, ..)| codes.split(' '));
    let listed = listed.filter(|code| !code.starts_with("APIG."));
    let shown = SHOWN_AS_IS.iter().map(|number| format!("DRS.M{number}"));
    for code in listed.map(str::to_owned).chain(shown) {
        assert!(on_pages.contains(&code), "{code}");
        let older = code.replacen("DRS.", "DRS-", 1);
        assert_eq!(look_up(&normalize(&older)), look_up(&code), "{older}");
    }
    let listed = NAMED.iter().flat_map(|(codes, ..)| codes.split(' '));
    for number in listed.filter_map(|code| code.strip_prefix("APIG.")) {
        let [one, other] = ["APIG", "APIGW"].map(|gateway| format!("{gateway}.{number}"));
        assert!(look_up(&one).is_some());
        assert_eq!(look_up(&one), look_up(&other));
    }
}

#[test]
fn the_status_decides_where_the_code_is_unknown() {
    for (status, class) in [
        (400, Class::Request),
        (401, Class::Login),
        (403, Class::Permission),
        (404, Class::Route),
        (408, Class::Internal),
        (413, Class::Request),
        (429, Class::Throttled),
        (502, Class::Internal),
    ] {
        assert_eq!(by_status(status), class, "{status}");
    }
}
