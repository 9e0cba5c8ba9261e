use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::*;
use crate::core::fingerprint::ChangeId;
use crate::core::fingerprint::{Field, Scope};
use crate::core::job::{Endpoint, EntryKey, JobId};
use crate::core::outcome::{NotSent, Outcome, Refusal, RefusalKind};
use crate::core::plan::{Action, Counts, Plan, PlanEntry, Reason};
use crate::core::redact::{ForeignText, ReportedName, Token};
use crate::core::report::{PlanNote, SavedFacts, StateSaved};

const PLACE: &str = "envs/production";

const HOSTILE: &[&str] = &[
    "a|b|c",
    "`code` ``x`` ```",
    "@octocat and user@example.com",
    "#123 GH-123 org/repo#1 !7 ~label %1 $2 &3",
    "<script>alert(1)</script><!-- drspass:apply -->",
    "</code></details>",
    "line\nbreak\r\n\n## heading\n| a | b |",
    "\u{1b}[31mred\u{1b}[0m\u{202e}evil\u{200b}",
    "[x](https://example.com) ![y](z) https://example.com www.example.com",
    "::set-output name=a::b",
    "##[add-mask]x ##vso[task.setvariable variable=a]b",
    "section_start:0:x[collapsed=true]\r\u{1b}[0K",
    "/close",
    "*a* _b_ **c** ~~d~~ \\| &lt; &#124; $x$",
];

fn key(number: usize) -> EntryKey {
    EntryKey {
        job: JobId::parse(&format!("job-{number}")).unwrap(),
        endpoint: Endpoint::Source,
    }
}

fn entry(number: usize, reason: Reason) -> PlanEntry {
    let action = match reason {
        Reason::WrongPassword { .. } => Action::Hold,
        Reason::NeverSet => Action::Create,
        _ => Action::Update,
    };
    PlanEntry {
        label: String::new(),
        key: key(number),
        index: number,
        action,
        reason,
        fields: vec![(Field::Password, true)],
        last_set: None,
        kerberos_left: false,
        credential: None,
    }
}

fn plan_of(entries: Vec<(String, PlanEntry)>, notes: Vec<PlanNote>) -> PlanReport {
    PlanReport {
        rollback: None,
        counts: Counts {
            to_set: entries.len(),
            ..Counts::default()
        },
        plan: Plan {
            entries: entries
                .into_iter()
                .map(|(label, entry)| PlanEntry { label, ..entry })
                .collect(),
            in_sync: 2,
            not_selected: 0,
            unlisted: vec![key(77)],
            requests: 1,
        },
        blocked: std::collections::BTreeMap::new(),
        scope: Scope {
            endpoint: "https://drs.example.com".to_owned(),
            project_id: "p1".to_owned(),
        },
        environment: ForeignText::clean("production"),
        change_id: ChangeId::parse(&"ab".repeat(32)).unwrap(),
        saved: Some(SavedFacts {
            id: "cd".repeat(32),
            created: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
        }),
        notes,
    }
}

fn refused(text: &str) -> Outcome {
    Outcome::Refused(Refusal {
        is_one_job_only: false,
        kind: RefusalKind::Rejected,
        code: ReportedName::from_static("DRS.M00304"),
        request_id: Token::parse("0123456789abcdef").map(ReportedName::Kept),
        text: ForeignText::clean(text),
        advice: Some("Try again."),
        entries: 1,
    })
}

fn apply_of(entries: Vec<(String, Outcome)>, findings: Vec<String>) -> ApplyReport {
    ApplyReport {
        entries,
        requests: 3,
        findings,
        ..ApplyReport::default()
    }
}

/// The text of each cell of each row, as a renderer shows it. Fails if the document
/// holds anything that this module does not write.
fn cells(page: &str) -> Vec<Vec<String>> {
    // Everything that a renderer may know, but for another look of dashes.
    let options = Options::all() - Options::ENABLE_SMART_PUNCTUATION;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut in_cell = false;
    let (mut tables, mut headings) = (0, 0);
    for event in Parser::new_ext(page, options) {
        match event {
            Event::Start(Tag::Table(columns)) => {
                assert_eq!(columns.len(), 3);
                tables += 1;
            }
            Event::Start(Tag::Heading { .. }) => headings += 1,
            Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
            Event::Start(Tag::TableCell) => {
                rows.last_mut().unwrap().push(String::new());
                in_cell = true;
            }
            Event::End(TagEnd::TableCell) => in_cell = false,
            Event::Start(
                Tag::Paragraph | Tag::List(None) | Tag::Item | Tag::HtmlBlock | Tag::Strong,
            )
            | Event::End(_)
            | Event::SoftBreak => {}
            Event::InlineHtml(tag) => {
                assert!(
                    ["<code>", "</code>", "<br>", "<span>", "</span>"].contains(&&*tag),
                    "{tag}"
                );
                if in_cell && &*tag == "<br>" {
                    rows.last_mut().unwrap().last_mut().unwrap().push('\n');
                }
            }
            Event::Html(html) => {
                let html = html.trim();
                assert!(
                    html.starts_with(MARKER) && html.ends_with(":envs/production -->")
                        || html.starts_with("<details><summary>") && !html.contains('&')
                        || html == "</details>",
                    "{html}"
                );
            }
            Event::Text(text) if in_cell => {
                rows.last_mut().unwrap().last_mut().unwrap().push_str(&text)
            }
            Event::Text(_) => {}
            other => panic!("{other:?} in\n{page}"),
        }
    }
    assert!(tables <= 1);
    assert_eq!(headings, 1);
    if tables == 1 {
        assert_eq!(rows.remove(0), ["", "entry", "what"]);
    }
    for row in &rows {
        assert_eq!(row.len(), 3, "{row:?}");
    }
    rows
}

/// No line can be an order to whoever stores or shows the document.
fn assert_harmless(page: &str) {
    assert!(page.starts_with(MARKER));
    assert_eq!(page.matches("<!--").count(), 1, "{page}");
    assert!(page.len() <= MAX_BYTES);
    assert!(page.ends_with('\n'));
    for bad in ['@', '`', '\r', '\u{1b}', '\u{202e}', '\u{200b}', '['] {
        assert!(!page.contains(bad), "{bad:?} in\n{page}");
    }
    for line in page.lines() {
        assert!(!line.starts_with(['/', ':', ' ', '\t', '=', '>']), "{line}");
        assert!(!line.contains("##[") && !line.contains("]("), "{line}");
    }
}

#[test]
fn hostile_texts_stand_in_their_cells_and_mean_nothing() {
    for text in HOSTILE {
        let outcomes = vec![
            ((*text).to_owned(), refused(text)),
            ("b/source".to_owned(), Outcome::Applied),
        ];
        let page = apply(PLACE, None, &apply_of(outcomes, vec![(*text).to_owned()]));
        assert_harmless(&page);
        let rows = cells(&page);
        assert_eq!(rows.len(), 2, "{page}");
        let says = format!("the service says: {}", ForeignText::clean(text).unwrap());
        assert!(rows[0][2].contains(&says), "{says}\n{rows:?}");

        let entries = vec![((*text).to_owned(), entry(1, Reason::NeverSet))];
        let notes = vec![PlanNote::new(*text)];
        let page = plan(PLACE, &plan_of(entries, notes));
        assert_harmless(&page);
        assert_eq!(cells(&page).len(), 1);
        let error = ErrorOut {
            code: "drspass::x".to_owned(),
            message: (*text).to_owned(),
            help: Some((*text).to_owned()),
        };
        let page = failed("apply", PLACE, &error, &[(*text).to_owned()]);
        assert_harmless(&page);
        assert!(cells(&page).is_empty());
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(HOSTILE).prop_map(str::to_owned);
    let signs = "[-@#|`<>\\[\\]()!*_~&:/%.=+w \\n\\r\\t\\\\'\"$^{}0-9a-c]{0,40}";
    let piece = prop_oneof![odd, signs.prop_map(|text| text), any::<String>()];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_one_cell(texts in prop::collection::vec((any_text(), any_text()), 1..5)) {
        let entries: Vec<_> = texts
            .iter()
            .map(|(label, words)| (label.clone(), refused(words)))
            .collect();
        let findings = texts.iter().map(|(label, _)| label.clone()).collect();
        let page = apply(PLACE, None, &apply_of(entries, findings));
        assert_harmless(&page);
        let rows = cells(&page);
        prop_assert_eq!(rows.len(), texts.len());
        for (row, (label, _)) in rows.iter().zip(&texts) {
            prop_assert!(!row[1].contains('\n'));
            let letters = |text: &str| -> String {
                text.chars().filter(char::is_ascii_alphanumeric).collect()
            };
            if label.len() < 100 && label.is_ascii() && !label.chars().any(char::is_control) {
                prop_assert_eq!(letters(&row[1]), letters(label));
            }
        }
    }

    #[test]
    fn the_escaping_leaves_letters_and_references_alone(text in any_text()) {
        let piece = code(&text);
        let inner = piece.strip_prefix("<code>").and_then(|p| p.strip_suffix("</code>"));
        let inner = inner.unwrap().replace("<span>&#64;</span>", "&#64;");
        let mut rest = inner.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some(reference) = rest.strip_prefix("&#") {
                let (number, after) = reference.split_once(';').unwrap();
                prop_assert!(number.parse::<u8>().unwrap().is_ascii_graphic());
                rest = after;
                continue;
            }
            prop_assert!(c.is_ascii_alphanumeric() || " -/,.();'".contains(c) || !c.is_ascii());
            prop_assert!(!crate::core::redact::is_unfit(c));
            rest = &rest[c.len_utf8()..];
        }
        prop_assert!(!inner.to_ascii_lowercase().contains("www."));
    }
}

#[test]
fn five_thousand_entries_fit_and_the_cut_is_said_first() {
    let mut entries: Vec<_> = (0..5000)
        .map(|n| (format!("job-{n}/source"), entry(n, Reason::NeverSet)))
        .collect();
    entries[4990].1.reason = Reason::InDoubt;
    let code = Token::from_static("DRS.KE0002");
    entries[4995].1 = entry(
        4995,
        Reason::WrongPassword {
            code,
            credential: None,
        },
    );
    let page = plan(PLACE, &plan_of(entries, Vec::new()));
    assert_harmless(&page);
    let rows = cells(&page);
    assert!(rows.len() > 300, "{}", rows.len());
    let said = format!("**Showing {} of 5000 entries", rows.len());
    assert!(page.lines().nth(3).unwrap().starts_with(&said), "{page}");
    assert_eq!(rows[0][1], "job-4990/source");
    assert_eq!(rows[1][1], "job-4995/source");
    assert_eq!(rows[2][1], "job-0/source");

    let mut outcomes: Vec<_> = (0..5000)
        .map(|n| (format!("job-{n}/source"), Outcome::Applied))
        .collect();
    outcomes[4000].1 = Outcome::NotSent(NotSent::Busy);
    outcomes[4999].1 = refused(&"@".repeat(10_000));
    let page = apply(
        PLACE,
        None,
        &apply_of(outcomes, vec!["|".repeat(10_000); 900]),
    );
    assert_harmless(&page);
    let rows = cells(&page);
    assert_eq!(rows[0][1], "job-4999/source");
    assert_eq!(rows[1][1], "job-4000/source");
    assert!(page.contains("more notes not shown"));
}

#[test]
fn what_fits_keeps_its_order_and_nothing_is_said_of_a_cut() {
    let outcomes = vec![
        ("a/source".to_owned(), Outcome::Applied),
        ("b/source".to_owned(), refused("not now")),
    ];
    let page = apply(PLACE, None, &apply_of(outcomes, Vec::new()));
    assert!(!page.contains("Showing"));
    let rows = cells(&page);
    assert_eq!(rows[0][1], "a/source");
    assert_eq!(rows[1][2].lines().count(), 4);
}

#[test]
fn a_state_that_was_not_saved_is_said() {
    let mut report = apply_of(Vec::new(), Vec::new());
    report.saved = StateSaved::Recovery {
        path: "/tmp/a|b".to_owned(),
        why: "no space".to_owned(),
    };
    let page = apply(PLACE, Some(&plan_of(Vec::new(), Vec::new())), &report);
    assert_harmless(&page);
    assert!(page.contains("state recover"), "{page}");
    assert!(page.contains(&format!("plan id <code>{}", "cd".repeat(32))));
}
