//! What one answer means, without a connection: for tests that make answers up.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::judge::{Judge, Step};
use super::note::Note;
use super::received::{Body, Headers, Received};
use super::secrets::LoginSecrets;
use super::wire::{identity, jobs};
use crate::core::manifest::Assignment;
use crate::core::outcome::Reply;
use crate::core::secret::Secret;

/// What an answer to a change of passwords means; nothing where it is sent again.
pub fn reply(entries: &[&Assignment], status: u16, body: Vec<u8>) -> (Option<Reply>, Vec<Note>) {
    let mut notes = Vec::new();
    let step = judged(entries, &LoginSecrets::default(), |judge| {
        judge.judge(&received(status, body), &mut notes)
    });
    let reply = match step {
        Step::Done(reply) => Some(reply),
        Step::LoginRefused(refusal) | Step::Again(refusal) => Some(Reply::TurnedAway(refusal)),
        Step::Lost(_) => None,
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
    let notes = notes.iter().map(ToString::to_string);
    notes.chain([format!("{step:?}")]).collect()
}

/// Reads a body as each kind of answer that is not judged entry by entry.
pub fn read_all(body: &[u8]) {
    identity::facts(body);
    identity::projects(body);
    identity::endpoints(body, "p1");
    jobs::read_list(body);
    jobs::read_details(body);
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
