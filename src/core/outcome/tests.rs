use proptest::prelude::*;

use super::*;
use crate::core::job::JobId;
use crate::core::redact::Token;

const CODE: ReportedName = ReportedName::from_static("DRS.M00304");

fn key(job: &str, endpoint: Endpoint) -> EntryKey {
    EntryKey {
        job: JobId::parse(job).unwrap(),
        endpoint,
    }
}

fn so(job: &str) -> EntryKey {
    key(job, Endpoint::Source)
}

fn ta(job: &str) -> EntryKey {
    key(job, Endpoint::Destination)
}

fn refusal(code: ReportedName) -> Refusal {
    Refusal {
        kind: RefusalKind::JobState,
        is_one_job_only: false,
        code,
        request_id: None,
        text: None,
        advice: None,
        entries: 1,
    }
}

fn failed() -> ResultVerdict {
    ResultVerdict::Failed(refusal(CODE))
}

fn result(key: &EntryKey, verdict: ResultVerdict) -> EntryResult {
    EntryResult {
        job: Token::parse(key.job.as_str()).map(ReportedName::Kept),
        endpoint: Some(key.endpoint),
        verdict,
    }
}

fn per_entry(results: Vec<EntryResult>) -> BatchReply {
    BatchReply::PerEntry {
        results,
        announced: None,
    }
}

#[test]
fn results_in_another_order_find_their_entries() {
    let sent = [so("j1"), ta("j1"), so("j2")];
    let reply = per_entry(vec![
        result(&sent[2], ResultVerdict::Success),
        result(&sent[1], failed()),
        result(&sent[0], ResultVerdict::Success),
    ]);
    let matched = match_results(&sent, &reply);
    assert_eq!(
        matched.outcomes,
        [
            Outcome::Applied,
            Outcome::Refused(refusal(CODE)),
            Outcome::Applied
        ]
    );
    assert!(matched.findings.is_empty());
}

#[test]
fn a_missing_result_leaves_its_entry_in_doubt() {
    let sent = [so("j1"), ta("j1"), so("j2")];
    let reply = BatchReply::PerEntry {
        results: vec![
            result(&sent[0], ResultVerdict::Success),
            result(&sent[1], ResultVerdict::Success),
        ],
        announced: Some(3),
    };
    let matched = match_results(&sent, &reply);
    assert_eq!(matched.outcomes[2], Outcome::InDoubt(Doubt::NoResult));
    assert_eq!(
        matched.findings,
        [
            "no result was returned for j2/source",
            "the answer announces 3 results and contains 2",
        ]
    );
}

#[test]
fn foreign_and_unreadable_results_are_never_taken_by_position() {
    let sent = [so("j1"), ta("j1")];
    let mut results = vec![result(&so("j9"), ResultVerdict::Success)];
    results.push(EntryResult {
        job: None,
        endpoint: Some(Endpoint::Source),
        verdict: ResultVerdict::Success,
    });
    results.push(EntryResult {
        endpoint: None,
        ..result(&sent[0], ResultVerdict::Success)
    });
    let matched = match_results(&sent, &per_entry(results));
    assert_eq!(matched.outcomes, vec![Outcome::InDoubt(Doubt::NoResult); 2]);
    let said: Vec<String> = matched.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "no result was returned for j1/source",
            "no result was returned for j1/destination",
            "the answer has a result for an entry that was not sent: j9/source",
            "the answer has a result for an entry that was not sent: no id/source",
            "a result for job j1 has no endpoint",
        ]
    );
}

#[test]
fn doubled_results_settle_nothing_even_if_they_agree() {
    let sent = [so("j1")];
    for (verdicts, said) in [
        (
            [ResultVerdict::Success, ResultVerdict::Success],
            "which agree",
        ),
        ([failed(), failed()], "which agree"),
        ([ResultVerdict::Success, failed()], "which disagree"),
        (
            [ResultVerdict::Odd(None), ResultVerdict::Odd(None)],
            "which disagree",
        ),
    ] {
        let results = verdicts.map(|verdict| result(&sent[0], verdict)).to_vec();
        let matched = match_results(&sent, &per_entry(results));
        assert_eq!(matched.outcomes, [Outcome::InDoubt(Doubt::DoubledResult)]);
        assert!(matched.findings[0].to_string().ends_with(said));
    }
}

#[test]
fn an_odd_result_is_no_success() {
    let sent = [so("j1")];
    let matched = match_results(
        &sent,
        &per_entry(vec![result(&sent[0], ResultVerdict::Odd(None))]),
    );
    assert_eq!(matched.outcomes, [Outcome::InDoubt(Doubt::OddResult)]);
    assert_eq!(
        matched.findings,
        ["the result for j1/source is neither a success nor a failure: no status was read"]
    );
}

#[test]
fn a_reply_to_the_whole_request_is_the_outcome_of_every_entry() {
    let sent = [so("j1"), so("j2")];
    let of_both = Refusal {
        entries: 2,
        ..refusal(CODE)
    };
    for (reply, outcome) in [
        (
            BatchReply::Refused(refusal(CODE)),
            Outcome::Refused(of_both.clone()),
        ),
        (
            BatchReply::TurnedAway(refusal(CODE)),
            Outcome::Refused(of_both.clone()),
        ),
        (
            BatchReply::LoginRefused(refusal(CODE)),
            Outcome::NotSent(NotSent::LoginRefused(CODE)),
        ),
        (
            BatchReply::Lost(Doubt::ServerError),
            Outcome::InDoubt(Doubt::ServerError),
        ),
        (
            BatchReply::NoConnection,
            Outcome::NotSent(NotSent::NoConnection),
        ),
    ] {
        let matched = match_results(&sent, &reply);
        assert_eq!(matched.outcomes, vec![outcome; 2]);
        assert!(matched.findings.is_empty());
    }
}

#[test]
fn after_a_lost_answer_only_a_success_counts() {
    let sent = [so("j1"), ta("j1"), so("j2")];
    let reply = BatchReply::AfterLoss(Box::new(per_entry(vec![
        result(&sent[0], ResultVerdict::Success),
        result(&sent[1], failed()),
    ])));
    let matched = match_results(&sent, &reply);
    assert_eq!(
        matched.outcomes,
        [
            Outcome::Applied,
            Outcome::InDoubt(Doubt::AnswerLost),
            Outcome::InDoubt(Doubt::NoResult)
        ]
    );
    assert_eq!(
        matched.findings[0].to_string(),
        "the answer for j1/destination was lost, and sending it again was refused: DRS.M00304"
    );
    for reply in [
        BatchReply::NoConnection,
        BatchReply::Refused(refusal(CODE)),
        BatchReply::LoginRefused(refusal(CODE)),
    ] {
        let refuses_login = matches!(reply, BatchReply::LoginRefused(_));
        let reply = BatchReply::AfterLoss(Box::new(reply));
        assert_eq!(reply.login_refusal().is_some(), refuses_login);
        assert!(!reply.may_be_split());
        assert_eq!(
            match_results(&sent, &reply).outcomes,
            vec![Outcome::InDoubt(Doubt::AnswerLost); 3]
        );
    }
}

#[test]
fn a_flood_of_foreign_results_is_counted_and_not_listed() {
    let results = vec![result(&so("j9"), ResultVerdict::Success); 50];
    let matched = match_results(&[so("j1")], &per_entry(results));
    assert_eq!(matched.findings.len(), 1 + MAX_FOREIGN + 1);
    assert_eq!(
        matched.findings.last().map(String::as_str),
        Some("the answer has 40 more results for entries that were not sent")
    );
}

fn verdict() -> impl Strategy<Value = ResultVerdict> {
    prop_oneof![
        3 => Just(ResultVerdict::Success),
        1 => Just(failed()),
        1 => Just(ResultVerdict::Odd(None))
    ]
}

fn some_result() -> impl Strategy<Value = EntryResult> {
    let job = proptest::option::weighted(0.9, 0..5_u8);
    let endpoint = proptest::option::weighted(0.9, any::<bool>());
    (job, endpoint, verdict()).prop_map(|(job, endpoint, verdict)| EntryResult {
        job: job.and_then(|job| Token::parse(&format!("j{job}")).map(ReportedName::Kept)),
        endpoint: endpoint.map(|i| Endpoint::ALL[usize::from(i)]),
        verdict,
    })
}

fn reply() -> impl Strategy<Value = BatchReply> {
    let results = proptest::collection::vec(some_result(), 0..12);
    let announced = proptest::option::of(0..12_u64);
    let per_entry = (results, announced)
        .prop_map(|(results, announced)| BatchReply::PerEntry { results, announced });
    let plain = prop_oneof![
        6 => per_entry,
        1 => Just(BatchReply::NoConnection),
        1 => Just(BatchReply::Lost(Doubt::Unreadable)),
        1 => Just(BatchReply::Refused(refusal(CODE))),
        1 => Just(BatchReply::LoginRefused(refusal(CODE))),
    ];
    (plain, any::<bool>()).prop_map(|(reply, lost)| {
        if lost {
            BatchReply::AfterLoss(Box::new(reply))
        } else {
            reply
        }
    })
}

proptest! {
    #[test]
    fn every_entry_gets_one_outcome_and_none_is_applied_without_proof(
        jobs in proptest::collection::vec((0..4_u8, any::<bool>()), 0..8),
        reply in reply(),
    ) {
        let sent: Vec<EntryKey> = jobs
            .into_iter()
            .map(|(job, i)| key(&format!("j{job}"), Endpoint::ALL[usize::from(i)]))
            .collect();
        let matched = match_results(&sent, &reply);
        prop_assert_eq!(matched.outcomes.len(), sent.len());
        let inner = match &reply {
            BatchReply::AfterLoss(inner) => inner,
            other => other,
        };
        for (key, outcome) in sent.iter().zip(&matched.outcomes) {
            if *outcome == Outcome::Applied {
                let BatchReply::PerEntry { results, .. } = inner else {
                    panic!("applied without a result");
                };
                let about: Vec<&EntryResult> = results
                    .iter()
                    .filter(|r| r.endpoint == Some(key.endpoint))
                    .filter(|r| r.job.as_ref().is_some_and(|j| j.as_str() == key.job.as_str()))
                    .collect();
                prop_assert_eq!(about.len(), 1);
                prop_assert_eq!(&about[0].verdict, &ResultVerdict::Success);
            }
        }
    }
}
