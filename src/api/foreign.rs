//! What one answer means, without a connection: for tests that make answers up.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::http::{Body, Headers, Received};
use super::judge::{BatchStep, Judge};
use super::secrets::LoginSecrets;
use super::{auth, job_wire};
use crate::core::manifest::Assignment;
use crate::core::outcome::BatchReply;
use crate::core::secret::Secret;

/// What an answer to a change of passwords means; nothing where it is sent again.
pub fn reply(
    entries: &[&Assignment],
    status: u16,
    body: Vec<u8>,
) -> (Option<BatchReply>, Vec<String>) {
    let mut notes = Vec::new();
    let step = judged(entries, &LoginSecrets::default(), |judge| {
        judge.judge(&received(status, body), &mut notes)
    });
    let reply = match step {
        BatchStep::Done(reply) => Some(reply),
        BatchStep::LoginRefused(refusal) | BatchStep::Again(refusal) => {
            Some(BatchReply::TurnedAway(refusal))
        }
        BatchStep::Lost(_) => None,
    };
    (reply, notes)
}

/// What is said of the answer to a question that was asked with this login.
pub fn answer(login: Secret, status: u16, body: Vec<u8>) -> Vec<String> {
    let login = LoginSecrets {
        generation: 0,
        secrets: vec![Arc::new(login)],
    };
    let mut notes = Vec::new();
    let step = judged(&[], &login, |judge| {
        judge.judge_query(&received(status, body), &mut notes)
    });
    notes.push(format!("{step:?}"));
    notes
}

/// Reads a body as each kind of answer that is not judged entry by entry.
pub fn read_all(body: &[u8]) {
    auth::facts(body);
    auth::projects(body);
    auth::endpoints(body, "p1");
    job_wire::read_list(body);
    job_wire::read_details(body);
}

fn received(status: u16, body: Vec<u8>) -> Received {
    Received {
        status,
        headers: Headers::default(),
        body: Body::Read(body),
    }
}

fn judged<T>(
    entries: &[&Assignment],
    login: &LoginSecrets,
    judge: impl FnOnce(&Judge<'_>) -> T,
) -> T {
    let url = Url::parse("https://drs.example.test/v3/p/jobs").expect("an address");
    judge(&Judge::new(
        entries,
        login,
        &url,
        Timestamp::UNIX_EPOCH,
        None,
    ))
}
