//! What one answer means, without a connection.

use std::sync::Arc;

use drspass::api::http::{Body, Received};
use drspass::api::judge::{Judge, Judgement};
use drspass::api::secrets::LoginSecrets;
use drspass::api::auth;
use drspass::api::job_wire::{self, DetailPage, ListPage};
use drspass::core::manifest::Assignment;
use drspass::core::outcome::BatchReply;
use drspass::core::secret::Secret;
use jiff::Timestamp;
use url::Url;

/// What an answer to a change of passwords means; nothing where it is sent again.
pub fn reply(
    entries: &[&Assignment],
    status: u16,
    body: Vec<u8>,
) -> (Option<BatchReply>, Vec<String>) {
    let (judgement, notes) = judged(Some(entries), &LoginSecrets::default(), status, body);
    let reply = match judgement {
        Judgement::Settled(reply) | Judgement::GivenUp(reply) => Some(reply),
        Judgement::Again(refusal) => Some(BatchReply::TurnedAway(refusal)),
        _ => None,
    };
    (reply, notes)
}

/// What is said of the answer to a question that was asked with this login.
pub fn question(login: Secret, status: u16, body: Vec<u8>) -> Vec<String> {
    let login = LoginSecrets {
        generation: 0,
        secrets: vec![Arc::new(login)],
    };
    let (judgement, mut notes) = judged(None, &login, status, body);
    notes.push(format!("{judgement:?}"));
    notes
}

/// Reads a body as each kind of answer that is not judged entry by entry.
pub fn read_all(body: &[u8]) {
    auth::facts(body);
    auth::projects(body);
    auth::endpoints(body, "p1");
    let _ = job_wire::object::<ListPage>(body);
    let _ = job_wire::object::<DetailPage>(body);
}

fn judged(
    entries: Option<&[&Assignment]>,
    login: &LoginSecrets,
    status: u16,
    body: Vec<u8>,
) -> (Judgement, Vec<String>) {
    let received = Received {
        status,
        headers: Default::default(),
        body: Body::Read(body),
    };
    let url = Url::parse("https://drs.example.test/v3/p/jobs").expect("an address");
    let mut notes = Vec::new();
    let judge = Judge::new(entries, login, &url, Timestamp::UNIX_EPOCH, None);
    (judge.judge(received, &mut notes), notes)
}
