use proptest::prelude::*;

use super::*;
use crate::core::outcome::{Doubt, NotSent, Outcome, Refusal, RefusalKind};
use crate::core::redact::{ForeignText, ReportedName, Token};

const TOKEN: &str = "drspass_0123456789abcdef";

fn refused(code: &str, text: &str) -> Outcome {
    Outcome::Refused(Refusal {
        is_one_job_only: false,
        kind: RefusalKind::Rejected,
        code: Token::parse(code).map(ReportedName::Kept).unwrap(),
        request_id: None,
        text: ForeignText::clean(text),
        advice: None,
        entries: 1,
    })
}

fn report(entries: Vec<(&str, Outcome)>) -> ApplyReport {
    ApplyReport {
        entries: entries
            .into_iter()
            .map(|(label, outcome)| (label.to_owned(), outcome))
            .collect(),
        ..ApplyReport::default()
    }
}

/// The commands that a runner obeys, each with its properties and its message, as the
/// runner reads them: lines that begin with two colons, but none where commands are
/// switched off.
fn commands(stdout: &str) -> Vec<(String, String)> {
    let mut off = None;
    let mut found = Vec::new();
    for line in stdout.lines() {
        let Some(rest) = line.trim_start().strip_prefix("::") else {
            assert!(off.is_some() || !line.contains("##["), "{line}");
            continue;
        };
        let Some((head, message)) = rest.split_once("::") else {
            continue;
        };
        match &off {
            Some(token) if head != *token => continue,
            Some(_) => off = None,
            None if head == "stop-commands" => off = Some(message.to_owned()),
            None => found.push((head.to_owned(), message.to_owned())),
        }
    }
    assert!(off.is_none(), "commands are on again in the end");
    found
}

#[test]
fn the_same_trouble_of_many_entries_is_one_annotation() {
    let labels: Vec<String> = (0..15).map(|n| format!("job-{n}/source")).collect();
    let mut entries: Vec<_> = labels
        .iter()
        .map(|label| (label.as_str(), refused("DRS.M00304", "not now")))
        .collect();
    entries.push(("ok/source", Outcome::Applied));
    entries.insert(0, ("late/source", Outcome::NotSent(NotSent::Busy)));
    entries.push(("lost/source", Outcome::InDoubt(Doubt::AnswerLost)));
    let stdout = github_apply(&report(entries), "the text\n", TOKEN);
    insta::assert_snapshot!(stdout, @r#"
    ::group::Apply: 1 applied, 15 refused, 0 skipped, 1 not sent, 1 unknown; 18 in all
    ::stop-commands::drspass_0123456789abcdef
    the text
    ::drspass_0123456789abcdef::
    ::endgroup::
    ::error title=refused%3A DRS.M00304::job-0/source, job-1/source, job-2/source, job-3/source, job-4/source, job-5/source, job-6/source, job-7/source, job-8/source, job-9/source and 5 more%0Athe service says: "not now"
    ::error title=outcome unknown%3A no answer was received::lost/source
    ::warning title=not sent%3A the service remained busy::late/source
    Result: 1 applied, 15 refused, 0 skipped, 1 not sent, 1 unknown; 18 in all.
    "#);
}

#[test]
fn what_is_said_of_one_entry_is_told_of_no_other() {
    let entries = vec![
        ("a/source", refused("DRS.M00304", "of the first")),
        ("b/source", refused("DRS.M00304", "of the others")),
        ("c/source", refused("DRS.M00304", "of the others")),
    ];
    let stdout = github_apply(&report(entries), "", TOKEN);
    let errors: Vec<String> = commands(&stdout)
        .into_iter()
        .filter(|(head, _)| head.starts_with("error"))
        .map(|(_, message)| message)
        .collect();
    assert_eq!(
        errors,
        [
            r#"a/source%0Athe service says: "of the first""#,
            r#"b/source, c/source%0Athe service says: "of the others""#,
        ]
    );
}

#[test]
fn there_are_never_more_than_ten() {
    let codes: Vec<String> = (0..40).map(|n| format!("DRS.M{n}")).collect();
    let entries = codes.iter().map(|code| ("a/source", refused(code, "x")));
    let stdout = github_apply(&report(entries.collect()), "", TOKEN);
    let annotations = stdout.matches("::error ").count() + stdout.matches("::warning ").count();
    assert_eq!(annotations, MAX_ANNOTATIONS);
    assert!(stdout.contains("31 more annotations"), "{stdout}");
}

proptest! {
    #[test]
    fn no_text_becomes_a_command(
        label in any::<String>(),
        words in "(::|##\\[|%|\\n|\\r|,|:|a| |error|\\]|\u{1b}|\u{202e}){0,30}",
    ) {
        let hostile = format!("{words}\n::error title=x::y\n::stop-commands::z\n::z::");
        let mut report = report(vec![(&label, refused("DRS.M1", &words))]);
        report.findings = vec![hostile.clone()];
        let stdout = github_apply(&report, &hostile, TOKEN);
        let names: Vec<String> = commands(&stdout)
            .into_iter()
            .map(|(head, _)| head.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        prop_assert_eq!(names, ["group", "endgroup", "error", "warning"]);
        let failed = ErrorOut { code: String::new(), message: hostile.clone(), help: Some(hostile.clone()) };
        prop_assert_eq!(github_error("apply", &failed, &[hostile]).lines().count(), 1);
    }

    #[test]
    fn a_message_is_read_back_as_it_is_in_a_log(text in "[ -~\\n\\r]{0,60}") {
        let read = data(&text).replace("%0A", "\n").replace("%25", "%");
        prop_assert_eq!(read, for_log(&text, false));
        prop_assert!(!property(&text).contains([':', ',', '\n', '\r']));
    }
}

#[test]
fn outputs_have_a_delimiter_of_their_own() {
    let outputs = [
        ("has_changes", "true".to_owned()),
        ("plan_id", String::new()),
    ];
    insta::assert_snapshot!(github_outputs(&outputs, TOKEN), @r"
    has_changes<<drspass_0123456789abcdef
    true
    drspass_0123456789abcdef
    plan_id<<drspass_0123456789abcdef

    drspass_0123456789abcdef
    ");
}
