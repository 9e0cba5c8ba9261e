//! What one answer means: a pure step from status, headers and body to a reply,
//! or to the advice to send again.
//!
//! It owns the rules of design section 7 that tell a refusal from a doubt: the
//! code decides before the status, a 2xx with an error code is no success, and
//! only an answer that says so proves that nothing was changed.

mod page;
mod query;
mod refusal;

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use crate::core::job::EntryKey;
use crate::core::manifest::Assignment;
use crate::core::outcome::{Doubt, EntryResult, Refusal, RefusalKind, Reply, Verdict};
use crate::core::redact::{ForeignText, Needles, Token, ToldName};

use super::codes::{self, Class};
use super::note::{LossCause, Note};
use super::received::{Body, Received};
use super::secrets::{self, LoginSecrets, RunSecrets};
use super::transport::answer_lost;
use super::wire::{self, Answer, Decoded, Row};

pub(super) use query::QueryStep;
pub(super) use refusal::refused;

/// What is to be done about an answer.
#[derive(Debug)]
pub(super) enum Step {
    /// It settles the request.
    Done(Reply),
    /// It does not say what became of the request, which may be sent once more.
    Lost(Doubt),
    /// The caller is not known (any longer): nothing was changed. Another token may
    /// help, where one can be had.
    LoginRefused(Refusal),
    /// The same request may be sent again after a while; the refusal stands if
    /// there is no time for it.
    Again(Refusal),
}

/// What an answer is judged by.
pub(super) struct Judge<'a> {
    /// What was sent.
    pub(super) entries: &'a [&'a Assignment],
    /// Secrets of the login.
    pub(super) login: &'a LoginSecrets,
    /// Address of the request.
    pub(super) url: &'a Url,
    /// The clock here.
    pub(super) now: Timestamp,
    /// The secrets of the whole run, where they are known.
    run: Option<&'a RunSecrets>,
    needles: OnceCell<Arc<Needles>>,
    /// The places of the entries that the answer calls wrong, each with the code, whether
    /// or not the answer can be relied on.
    pub(super) wrong: Cell<Vec<(usize, Token)>>,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(
        entries: &'a [&'a Assignment],
        login: &'a LoginSecrets,
        url: &'a Url,
        now: Timestamp,
        run: Option<&'a RunSecrets>,
    ) -> Self {
        Self {
            entries,
            login,
            url,
            now,
            run,
            needles: OnceCell::new(),
            wrong: Cell::new(Vec::new()),
        }
    }

    /// The search for secrets, prepared when the first foreign text turns up.
    fn needles(&self) -> &Needles {
        self.needles
            .get_or_init(|| secrets::needles(self.login, self.run, self.entries))
    }

    /// Judges one answer; what a person should know goes to `notes`.
    pub(super) fn judge(&self, received: &Received, notes: &mut Vec<Note>) -> Step {
        let status = received.status;
        if (300..400).contains(&status) {
            notes.push(self.redirected(received));
            return Step::Done(Reply::TurnedAway(self.refusal_by_status(received)));
        }
        let (answer, strange) = match self.answer_in(received) {
            Ok(answer) => (Some(answer), None),
            Err(strange) => (None, strange.map(|note| *note)),
        };
        let code = answer.as_ref().and_then(|answer| answer.code.as_deref());
        let code = code.map(codes::normalize);
        let known = code.as_deref().and_then(codes::look_up);
        let listed = answer.as_ref().and_then(|answer| answer.results.as_ref());
        // Only these statuses answer entry by entry; a refused caller or a wrong
        // address applied nothing, whatever its body lists.
        let may_list = matches!(status, 200..=202 | 400 | 422);
        let has_results = may_list && listed.is_some_and(|rows| !rows.is_empty());
        let class = known.map_or_else(|| codes::by_status(status), |known| known.class);
        let class = codes::beside(class, status);
        let wrong = answer.as_ref().map(|answer| self.wrong_in(answer, class));
        self.wrong.set(wrong.unwrap_or_default());

        if status == 429 && listed.is_some_and(|rows| !rows.is_empty()) {
            notes.push(self.unexpected(received, answer.as_ref()));
            return Step::Done(Reply::Lost(Doubt::Unreadable));
        }
        let is_refused = matches!(class, Class::Login | Class::Permission);
        let later = status == 429 || matches!(class, Class::Throttled | Class::Busy);
        if later && !is_refused && (!has_results || status == 429) {
            let refusal = self.refusal(received, answer.as_ref());
            return Step::Again(Refusal {
                kind: RefusalKind::Busy,
                ..refusal
            });
        }
        if status >= 500 || status == 408 {
            notes.push(strange.unwrap_or_else(|| self.unexpected(received, answer.as_ref())));
            let doubt = match status {
                408 => Doubt::AnswerLost,
                _ => Doubt::ServerError,
            };
            // From something that stands before the service, or a service that was
            // on its way down. A wrong password would be tried a second time.
            let is_lost = matches!(status, 408 | 502..=504)
                && class == Class::Internal
                && !listed.is_some_and(|rows| rows.iter().any(says_wrong_password));
            return match is_lost {
                true => Step::Lost(doubt),
                false => Step::Done(Reply::Lost(doubt)),
            };
        }
        let Some(answer) = &answer else {
            return self.without_answer(received, class, strange, notes);
        };
        let is_empty_list = status < 300 && may_list && listed.is_some() && code.is_none();
        if has_results || is_empty_list {
            return Step::Done(self.per_entry(received, answer));
        }
        if status < 300 && known.is_none() {
            notes.push(self.unexpected(received, Some(answer)));
            return Step::Done(Reply::Lost(Doubt::Unreadable));
        }
        let refusal = self.refusal(received, Some(answer));
        Step::Done(match class {
            Class::Login | Class::Permission => return refused_caller(class, refusal),
            Class::WrongPassword | Class::Route | Class::Throttled | Class::Busy => {
                Reply::TurnedAway(refusal)
            }
            Class::Entry | Class::JobState | Class::Request => Reply::Refused(refusal),
            Class::Internal => {
                notes.push(self.unexpected(received, Some(answer)));
                Reply::Lost(Doubt::ServerError)
            }
        })
    }

    fn wrong_in(&self, answer: &Answer, class: Class) -> Vec<(usize, Token)> {
        let rows = answer.results.iter().flatten();
        let rows: Vec<&Row> = rows.filter(|row| says_wrong_password(row)).collect();
        let code_of = |key: &EntryKey| {
            if rows.is_empty() {
                let code = answer.code.as_deref();
                return code.filter(|_| class == Class::WrongPassword);
            }
            let row = rows.iter().find(|row| {
                row.job.as_deref() == Some(key.job.as_str())
                    && row.endpoint.is_none_or(|endpoint| endpoint == key.endpoint)
            });
            row?.code.as_deref()
        };
        let entries = self.entries.iter().enumerate();
        let wrong = entries.filter_map(|(at, entry)| {
            let code = codes::normalize(code_of(&entry.key)?);
            Some((at, Token::parse(&code)?))
        });
        wrong.collect()
    }

    /// An answer below 500 whose body says nothing that can be read. A refusal
    /// needs no more than its status; what may be a success, or a list of
    /// results, does.
    fn without_answer(
        &self,
        received: &Received,
        class: Class,
        strange: Option<Note>,
        notes: &mut Vec<Note>,
    ) -> Step {
        // A page, not an answer of the service that was damaged: only the latter
        // could have listed results where results are listed.
        let is_page = |body: &[u8]| !matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        let readable = match &received.body {
            Body::Read(body) => is_page(body) || !matches!(received.status, 400 | 422),
            _ => false,
        };
        let cut = matches!(received.body, Body::Cut);
        notes.extend(strange);
        let refusal = self.refusal_by_status(received);
        match class {
            Class::Login | Class::Permission => refused_caller(class, refusal),
            _ if cut => {
                notes.push(answer_lost(self.url, LossCause::Cut));
                Step::Lost(Doubt::AnswerLost)
            }
            Class::Route => Step::Done(Reply::TurnedAway(refusal)),
            // A page of something that stands before the service.
            _ if received.status >= 400 && readable => Step::Done(Reply::Refused(refusal)),
            _ => Step::Done(Reply::Lost(Doubt::Unreadable)),
        }
    }

    fn per_entry(&self, received: &Received, answer: &Answer) -> Reply {
        let rows = answer.results.as_deref().unwrap_or_default();
        // A success inside a failure is neither.
        let contradicted = answer.code.is_some();
        let clean = !contradicted && rows.iter().all(|row| self.is_plain_success(row));
        let request_id = if clean {
            None
        } else {
            self.request_id(received, Some(answer))
        };
        // Far more rows than entries are noise; their texts are not worth a search.
        let worth_reading = 4 * self.entries.len();
        let results = rows
            .iter()
            .enumerate()
            .map(|(place, row)| {
                let has_text = place < worth_reading;
                self.entry_result(row, has_text, contradicted, request_id.as_ref())
            })
            .collect();
        Reply::PerEntry {
            results,
            // A number can be a password, too; the right one tells nothing.
            announced: answer.count.filter(|count| {
                usize::try_from(*count) == Ok(rows.len())
                    || !self.needles().occur_in(&count.to_string())
            }),
            request_id,
        }
    }

    fn is_plain_success(&self, row: &Row) -> bool {
        is_clean_success(row) && self.was_sent(row)
    }

    fn was_sent(&self, row: &Row) -> bool {
        let job = row.job.as_deref();
        let mut sent = self.entries.iter();
        sent.any(|entry| job == Some(entry.key.job.as_str()))
    }

    fn entry_result(
        &self,
        row: &Row,
        has_text: bool,
        contradicted: bool,
        request_id: Option<&ToldName>,
    ) -> EntryResult {
        let sent = self.was_sent(row);
        let job = row.job.as_deref();
        let verdict = if says(row, "failed") {
            // Text about an entry that was not sent is of no use to anybody.
            let text = row.text.as_deref().filter(|_| sent && has_text);
            Verdict::Failed(self.refusal_of(
                row.code.as_deref(),
                text,
                request_id.cloned(),
                ToldName::from_static("NO-CODE"),
            ))
        } else if is_clean_success(row) && !contradicted {
            Verdict::Success
        } else {
            let said = [&row.status, &row.code, &row.text].into_iter().flatten();
            let said: Vec<&str> = said.map(String::as_str).collect();
            Verdict::Odd(
                self.needles()
                    .text(&said.join(" "))
                    .filter(|_| sent && has_text),
            )
        };
        EntryResult {
            // The name of a job that was sent is no secret.
            job: if sent {
                job.and_then(Token::parse).map(ToldName::Kept)
            } else {
                job.and_then(|job| self.needles().name(job))
            },
            endpoint: row.endpoint,
            verdict,
        }
    }

    /// The body as an answer, or what there is to say about one that is none; nothing
    /// about one that was cut off.
    fn answer_in(&self, received: &Received) -> Result<Answer, Option<Box<Note>>> {
        let status = received.status;
        match &received.body {
            Body::Read(body) => match wire::decode(body) {
                Decoded::Answer(answer) => Ok(answer),
                Decoded::Strange => Err(Some(Box::new(self.unexpected(received, None)))),
                Decoded::NotJson => Err(Some(Box::new(self.not_json(received, body)))),
            },
            Body::Coded(coding) => Err(Some(Box::new(self.coded(status, coding)))),
            Body::TooLong => Err(Some(Box::new(Note::TooLong { status }))),
            Body::Cut => Err(None),
        }
    }

    fn redirected(&self, received: &Received) -> Note {
        let target = received.headers.location.as_deref();
        let target = target.and_then(|location| self.url.join(location).ok());
        let host = target.as_ref().and_then(Url::host_str);
        Note::Redirected {
            status: received.status,
            host: host.and_then(|host| self.needles().text(host)),
        }
    }

    fn coded(&self, status: u16, coding: &str) -> Note {
        let coding = self.needles().text(coding);
        Note::CodedBody {
            status,
            coding: coding.unwrap_or_else(ForeignText::withheld),
        }
    }

    fn unexpected(&self, received: &Received, answer: Option<&Answer>) -> Note {
        let refusal = self.refusal(received, answer);
        let has_code = answer.is_some_and(|answer| answer.code.is_some());
        Note::Unexpected {
            status: received.status,
            host: authority(self.url),
            // Without a code in the answer there is only the status, said already.
            code: has_code.then_some(refusal.code),
            text: refusal.text,
            request_id: refusal.request_id,
            advice: refusal.advice,
        }
    }

    fn not_json(&self, received: &Received, body: &[u8]) -> Note {
        let page = String::from_utf8_lossy(body);
        // The whole page is searched before a line of it is cut out.
        let line = if page.trim().is_empty() {
            None
        } else if self.needles().occur_in(&page) {
            Some(ForeignText::withheld())
        } else {
            // The line is searched once more: taking tags out can put together
            // what stood apart.
            self.needles().text(&page::first_line(&page))
        };
        let content_type = received.headers.content_type.as_deref();
        Note::NotJson {
            status: received.status,
            host: authority(self.url),
            content_type: content_type.and_then(|text| self.needles().text(text)),
            line,
            request_id: self.request_id(received, None),
        }
    }
}

/// A caller who is not known may become so with another token; one who lacks a
/// right does not (OTC api-ref, Error Code: DRS.M00103 comes with 401).
fn refused_caller(class: Class, refusal: Refusal) -> Step {
    match class {
        Class::Login => Step::LoginRefused(refusal),
        _ => Step::Done(Reply::LoginRefused(refusal)),
    }
}

/// Host and port of an address, without user, path and query.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A success that carries no word of an error.
fn is_clean_success(row: &Row) -> bool {
    says(row, "success") && row.code.is_none() && row.text.is_none()
}

fn says_wrong_password(row: &Row) -> bool {
    let code = row.code.as_deref().map(codes::normalize);
    let known = code.as_deref().and_then(codes::look_up);
    known.is_some_and(|known| known.class == Class::WrongPassword)
}

fn says(row: &Row, status: &str) -> bool {
    let said = row.status.as_deref();
    said.is_some_and(|said| said.eq_ignore_ascii_case(status))
}

#[cfg(test)]
mod tests;
