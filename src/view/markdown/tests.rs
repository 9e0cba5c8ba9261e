use jiff::Timestamp;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::*;
use crate::core::fingerprint::ChangeId;
use crate::core::fingerprint::{Field, Scope};
use crate::core::job::{Endpoint, EntryKey, JobId};
use crate::core::outcome::{BlockReason, NotSent, Outcome, Refusal, RefusalKind};
use crate::core::plan::{Action, Counts, Plan, PlanEntry, Reason};
use crate::core::redact::{ForeignText, ReportedName, Token};
use crate::core::report::{PlanNote, RecoveryUse, SavedFacts, StateSaved};
use crate::core::state::ValueOrigin;
use crate::core::status::{Blocked, JobStatus};

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
        behind: None,
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

fn no_plan() -> PlanReport {
    plan_of(Vec::new(), Vec::new())
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
        assert_eq!(rows.remove(0), ["job", "source", "destination"]);
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
            (format!("{text}/source"), refused(text)),
            (format!("{text}/destination"), refused(text)),
            ((*text).to_owned(), Outcome::Applied),
            ("b/source".to_owned(), Outcome::Applied),
        ];
        let findings = vec![(*text).to_owned()];
        let page = apply(PLACE, &no_plan(), &apply_of(outcomes, findings));
        assert_harmless(&page);
        let rows = cells(&page);
        assert_eq!(rows.len(), 3, "{page}");
        let clean = ForeignText::clean(text).unwrap();
        let says = format!("the service says: {}", clean.as_str());
        assert!(rows[0][1].contains(&says), "{says}\n{rows:?}");
        assert!(rows[0][2].contains(&says), "{says}\n{rows:?}");

        let entries = vec![(format!("{text}/source"), entry(1, Reason::NeverSet))];
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
            .map(|(label, words)| (format!("{label}/source"), refused(words)))
            .collect();
        let findings = texts.iter().map(|(label, _)| label.clone()).collect();
        let page = apply(PLACE, &no_plan(), &apply_of(entries, findings));
        assert_harmless(&page);
        let rows = cells(&page);
        prop_assert_eq!(rows.len(), texts.len());
        for (row, (label, _)) in rows.iter().zip(&texts) {
            prop_assert!(!row[0].contains('\n'));
            let letters = |text: &str| -> String {
                text.chars().filter(char::is_ascii_alphanumeric).collect()
            };
            if label.len() < 100 && label.is_ascii() && !label.chars().any(char::is_control) {
                prop_assert_eq!(letters(&row[0]), letters(label));
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
    let said = format!("**Showing {} of 5000 jobs", rows.len());
    assert!(page.lines().nth(3).unwrap().starts_with(&said), "{page}");
    assert_eq!(rows[0][0], "job-4990");
    assert_eq!(rows[1][0], "job-4995");
    assert_eq!(rows[2][0], "job-0");

    let mut outcomes: Vec<_> = (0..5000)
        .map(|n| (format!("job-{n}/source"), Outcome::Applied))
        .collect();
    outcomes[4000].1 = Outcome::NotSent(NotSent::Busy);
    outcomes[4999].1 = refused(&"@".repeat(10_000));
    let report = apply_of(outcomes, vec!["|".repeat(10_000); 900]);
    let page = apply(PLACE, &no_plan(), &report);
    assert_harmless(&page);
    let rows = cells(&page);
    assert_eq!(rows[0][0], "job-4999");
    assert_eq!(rows[1][0], "job-4000");
    assert!(page.contains("more notes not shown"));
}

#[test]
fn what_fits_keeps_its_order_and_nothing_is_said_of_a_cut() {
    let outcomes = vec![
        ("a/source".to_owned(), Outcome::Applied),
        ("b/source".to_owned(), refused("not now")),
    ];
    let page = apply(PLACE, &no_plan(), &apply_of(outcomes, Vec::new()));
    assert!(!page.contains("Showing"));
    let rows = cells(&page);
    assert_eq!(rows[0][0], "a");
    assert_eq!(rows[1][1].lines().count(), 3);
    assert!(
        page.contains("\n- <code>b/source</code>: Try again.\n"),
        "{page}"
    );
}

#[test]
fn a_state_that_was_not_saved_is_said() {
    let mut report = apply_of(Vec::new(), Vec::new());
    report.saved = StateSaved::Recovery {
        path: "/tmp/a|b".to_owned(),
        why: "no space".to_owned(),
        use_it: RecoveryUse::WithoutJournal,
    };
    let entries = vec![("a/source".to_owned(), entry(1, Reason::NeverSet))];
    let page = apply(PLACE, &plan_of(entries, Vec::new()), &report);
    assert_harmless(&page);
    assert!(page.contains("state recover"), "{page}");
    assert!(page.lines().nth(1).unwrap().ends_with("; state not saved"));
    assert!(page.contains(&format!("plan id <code>{}", "cd".repeat(32))));
}

/// A page without the elements of code, as it is written.
fn without_code(page: &str) -> String {
    let mut pieces = page.split("<code>");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| {
        text + "…" + piece.split_once("</code>").unwrap().1
    })
}

#[test]
fn a_job_is_one_row_and_only_what_others_wrote_is_code() {
    let at = Some((Timestamp::UNIX_EPOCH, ValueOrigin::Sent));
    let fields = vec![Field::Password, Field::KeyTabFile];
    let orders_db = |reason| PlanEntry {
        credential: Some("orders-db".into()),
        last_set: at,
        ..entry(1, reason)
    };
    let code = || Token::from_static("DRS.KE0002");
    let named = |label: &str, entry| (label.to_owned(), entry);
    let mut report = plan_of(
        vec![
            named("orders/source", entry(1, Reason::NeverSet)),
            named("orders/destination", orders_db(Reason::Changed { fields })),
            named("billing/destination", entry(2, Reason::InDoubt)),
            named(
                "shop/source",
                entry(
                    3,
                    Reason::WrongPassword {
                        code: code(),
                        credential: None,
                    },
                ),
            ),
            named(
                "shop/destination",
                orders_db(Reason::WrongPassword {
                    code: code(),
                    credential: Some("orders-db".to_owned()),
                }),
            ),
        ],
        Vec::new(),
    );
    report.counts = report.plan.counts();
    let page = plan(PLACE, &report);
    assert_harmless(&page);
    assert_eq!(
        cells(&page),
        [
            [
                "orders",
                "never set",
                "password, kerberos.key_tab_file changed via @orders-db (last set 1970-01-01)"
            ],
            ["billing", "", "outcome of the last attempt unknown"],
            [
                "shop",
                "skipped: DRS.KE0002 (wrong password), password unchanged",
                "skipped: DRS.KE0002 (wrong password) for another entry of @orders-db"
            ],
        ]
    );
    assert_eq!(
        without_code(&page),
        "<!-- drspass:plan:envs/production -->\n\
         ## …: 1 to set, 1 to change, 1 to send again; 2 skipped\n\n\
         Project … at …: apply needs 1 request, 2 in sync, 1 no longer listed.\n\n\
         | job | source | destination |\n\
         |---|---|---|\n\
         | … | never set | password, … changed via … (last set 1970-01-01) |\n\
         | … |  | **outcome of the last attempt unknown** |\n\
         | … | **skipped: … (wrong password), password unchanged** | \
         **skipped: … (wrong password) for another entry of …** |\n\n\
         - …, …: Correct the password, or name the entry with ….\n\
         - … is no longer listed; the state keeps it\n\n\
         <details><summary>Details</summary>\n\n\
         - made 1970-01-01 00:00 UTC, expires 1970-01-01 00:00 UTC\n\
         - plan id …\n\
         - change id …\n\n\
         </details>\n"
    );
}

#[test]
fn advice_is_said_once_and_names_a_few_entries() {
    let outcomes = (0..30).map(|n| (format!("job-{n}/source"), refused("not now")));
    let page = apply(PLACE, &no_plan(), &apply_of(outcomes.collect(), Vec::new()));
    assert_eq!(cells(&page).len(), 30);
    assert_eq!(page.matches("Try again.").count(), 1);
    let names = "<code>job-0/source</code>, <code>job-1/source</code>, <code>job-2/source</code>";
    assert!(
        page.contains(&format!("\n- {names} and 27 more: Try again.\n")),
        "{page}"
    );
    // So many jobs are folded.
    assert!(
        page.contains("\n<details><summary>30 jobs</summary>\n\n| job "),
        "{page}"
    );
}

#[test]
fn what_an_apply_skips_is_counted_apart_and_never_called_blocked() {
    let code = || Token::from_static("DRS.KE0002");
    let skipped = |why| Outcome::Blocked(why);
    let wrong = BlockReason::WrongPassword {
        code: code(),
        credential: None,
    };
    let report = apply_of(
        vec![
            (
                "a/source".to_owned(),
                skipped(BlockReason::AfterWrongPassword(code())),
            ),
            ("a/destination".to_owned(), skipped(wrong)),
            (
                "b/source".to_owned(),
                skipped(BlockReason::Job(Blocked::State(JobStatus::Deleted))),
            ),
            ("b/destination".to_owned(), Outcome::Applied),
        ],
        Vec::new(),
    );
    let page = apply(PLACE, &no_plan(), &report);
    let heading = "## <code>production</code>: 1 applied; 3 skipped";
    assert_eq!(page.lines().nth(1), Some(heading));
    assert_eq!(
        cells(&page),
        [
            [
                "a",
                "skipped: DRS.KE0002 (wrong password) for another entry in this run",
                "skipped: DRS.KE0002 (wrong password), password unchanged"
            ],
            [
                "b",
                "skipped: the job is DELETED and does not accept a password",
                "applied"
            ],
        ]
    );
    assert!(!page.contains("blocked"), "{page}");
}

#[test]
fn nothing_to_do_is_one_short_line() {
    let mut report = no_plan();
    report.plan.unlisted.clear();
    report.plan.requests = 0;
    let expected = |command: &str| {
        format!(
            "<!-- drspass:{command}:envs/production -->\n\
             ## <code>production</code>: nothing to do\n\n\
             Project <code>p1</code> at <code>drs.example.com</code>: 2 in sync.\n"
        )
    };
    assert_eq!(plan(PLACE, &report), expected("plan"));
    let page = apply(PLACE, &report, &ApplyReport::default());
    assert_eq!(page, expected("apply"));
}

#[test]
fn what_the_service_says_and_commands_are_code_without_their_marks() {
    for (text, expected) in [
        (
            "the service says: \"wait for 'it' now\".",
            "the service says: <code>wait for 'it' now</code>.",
        ),
        (
            "run 'drspass state recover', then plan (again).",
            "run <code>drspass state recover</code>, then plan (again).",
        ),
        ("the job's state", "the job's state"),
        ("2 entries", "2 entries"),
        ("1. one", "<code>1</code>. one"),
        ("DRS is CREATING", "DRS is <code>CREATING</code>"),
        (
            "GH-123 5f defaced",
            "<code>GH-123</code> <code>5f</code> <code>defaced</code>",
        ),
    ] {
        assert_eq!(words(text), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// So it is neither a mention, a reference, the id of a commit nor an address.
    #[test]
    fn what_is_not_code_is_plain_words(text in any_text()) {
        for word in without_code(&words(&text.replace('\n', " "))).split([' ', '…', '(']) {
            let core = word.trim_end_matches([')', ',', '.', ';', ':', '?']);
            let is_letters = core.bytes().all(|b| b.is_ascii_alphabetic() || b"-'".contains(&b));
            let is_date = core.bytes().all(|b| b.is_ascii_digit() || b"-'".contains(&b));
            prop_assert!(is_letters || is_date, "{word}");
            let mut parts = core.split(['-', '\'']);
            prop_assert!(parts.all(|part| part.len() < 7 || part.contains(|c: char| !c.is_ascii_hexdigit())));
        }
    }
}
