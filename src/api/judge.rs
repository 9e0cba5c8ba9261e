//! What one answer means: a pure step from status, headers and body to a reply, a failure, or a
//! retry.
//!
//! By design section 7, the code outranks the status, a 2xx with an error code is not a success,
//! and only an explicit answer proves that nothing was changed.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use url::Url;

use super::codes::{self, Class};
use super::error::{FailureKind, labelled};
use super::http::{Body, OPENSTACK_AUTH_RECEIPT, Received, X_REQUEST_ID, answer_cut, authority};
use super::secrets::{self, LoginSecrets, RunSecrets};
use super::wire::{self, AnswerBody, Decoded, ResultRow};
use crate::core::job::EntryKey;
use crate::core::manifest::Assignment;
use crate::core::outcome::{BatchReply, Doubt, EntryResult, Refusal, RefusalKind, ResultVerdict};
use crate::core::redact::{ForeignText, Needles, ReportedName, Token};

const MAX_PAGE_HEAD: usize = 4096;

/// The code of a failure that has none.
pub const NO_CODE: ReportedName = ReportedName::from_static("NO-CODE");

/// What one sending of a call came to.
#[derive(Debug)]
pub enum Judgement {
    /// An answer settles a change of passwords.
    Settled(BatchReply),
    /// A change of passwords is given up with this reply, which no answer gave.
    GivenUp(BatchReply),
    Answered(Received),
    /// The call failed. If the login was refused, nothing was changed, and a new token may help.
    Failed(FailureKind),
    /// The outcome of the call is unknown; it may be sent once more.
    Lost(Doubt),
    /// The same call may be sent again after a while; without time for that, it is refused.
    Again(Refusal),
    /// The gate called a change back before it changed anything: the rest is sent again.
    CalledBack,
}

pub struct Judge<'a> {
    /// The sent passwords; `None` for a query, a login, or the retry of jobs.
    pub entries: Option<&'a [&'a Assignment]>,
    pub login: &'a LoginSecrets,
    pub url: &'a Url,
    pub now: Timestamp,
    run: Option<&'a RunSecrets>,
    needles: OnceCell<Arc<Needles>>,
    /// The places of the entries that the answer calls wrong, each with the code, even if the
    /// answer is not reliable.
    pub wrong: Cell<Vec<(usize, Token)>>,
}

struct AnswerReading<'r> {
    received: &'r Received,
    answer: Option<AnswerBody>,
    /// What to say about a body that is not an answer.
    strange: Option<String>,
    is_known: bool,
    class: Class,
}

impl<'a> Judge<'a> {
    pub const fn new(
        entries: Option<&'a [&'a Assignment]>,
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

    fn sent(&self) -> &[&Assignment] {
        self.entries.unwrap_or_default()
    }

    /// Returns the search for secrets, prepared on first use.
    fn needles(&self) -> &Needles {
        self.needles
            .get_or_init(|| secrets::needles(self.login, self.run, self.sent()))
    }

    /// Judges one answer; adds what a person should know to `notes`.
    pub fn judge(&self, received: Received, notes: &mut Vec<String>) -> Judgement {
        if (300..400).contains(&received.status) {
            notes.push(self.redirected(&received));
            let refusal = self.refusal(&received, None);
            return match self.entries {
                Some(_) => Judgement::Settled(BatchReply::TurnedAway(refusal)),
                None => Judgement::Failed(FailureKind::Refused(refusal)),
            };
        }
        let (answer, strange) = match self.answer_in(&received) {
            Ok(answer) => (Some(answer), None),
            Err(strange) => (None, strange),
        };
        let code = answer.as_ref().and_then(AnswerBody::code);
        let known = code.and_then(codes::look_up);
        let class = known.map_or_else(|| codes::by_status(received.status), |(class, _)| class);
        let reading = AnswerReading {
            received: &received,
            answer,
            strange,
            is_known: known.is_some(),
            class: codes::with_status(class, received.status),
        };
        match self.entries {
            Some(_) => self.judge_change(reading, notes),
            None => {
                let failed = self.judge_question(reading, notes);
                failed.unwrap_or(Judgement::Answered(received))
            }
        }
    }

    fn judge_change(&self, reading: AnswerReading<'_>, notes: &mut Vec<String>) -> Judgement {
        let (received, class) = (reading.received, reading.class);
        let status = received.status;
        let answer = reading.answer.as_ref();
        let listed = answer.and_then(|answer| answer.results.as_ref());
        // Only these statuses answer entry by entry; a refused caller or a wrong
        // address applied nothing, whatever its body lists.
        let may_list = matches!(status, 200..=202 | 400 | 422);
        let has_results = may_list && listed.is_some_and(|rows| !rows.is_empty());
        let wrong = answer.map(|answer| self.wrong_in(answer, class));
        self.wrong.set(wrong.unwrap_or_default());

        if status == 429 && listed.is_some_and(|rows| !rows.is_empty()) {
            notes.push(self.unexpected(received, answer));
            return Judgement::Settled(BatchReply::Lost(Doubt::Unreadable));
        }
        let is_refused = matches!(class, Class::Login | Class::Permission);
        let later = status == 429 || matches!(class, Class::Throttled | Class::Busy);
        if later && !is_refused && (!has_results || status == 429) {
            return Judgement::Again(busy(self.refusal(received, answer)));
        }
        if status >= 500 || status == 408 {
            let strange = reading.strange;
            notes.push(strange.unwrap_or_else(|| self.unexpected(received, answer)));
            let doubt = match status {
                408 => Doubt::AnswerLost,
                _ => Doubt::ServerError,
            };
            // From a gateway, or a service that was shutting down. A wrong password would be tried a
            // second time.
            let is_lost = matches!(status, 408 | 502..=504)
                && class == Class::Internal
                && !listed.is_some_and(|rows| rows.iter().any(says_wrong_password));
            return match is_lost {
                true => Judgement::Lost(doubt),
                false => Judgement::Settled(BatchReply::Lost(doubt)),
            };
        }
        let Some(answer) = answer else {
            notes.extend(reading.strange);
            return self.without_answer(received, class, notes);
        };
        let is_empty_list = status < 300 && may_list && listed.is_some() && answer.code().is_none();
        if has_results || is_empty_list {
            return Judgement::Settled(self.per_entry(received, answer));
        }
        if status < 300 && !reading.is_known {
            notes.push(self.unexpected(received, Some(answer)));
            return Judgement::Settled(BatchReply::Lost(Doubt::Unreadable));
        }
        let refusal = self.refusal(received, Some(answer));
        Judgement::Settled(match class {
            Class::Login | Class::Permission => return refused_caller(class, refusal),
            Class::WrongPassword | Class::Route | Class::Throttled | Class::Busy => {
                BatchReply::TurnedAway(refusal)
            }
            Class::Entry | Class::JobState | Class::Request => BatchReply::Refused(refusal),
            Class::Internal => {
                notes.push(self.unexpected(received, Some(answer)));
                BatchReply::Lost(Doubt::ServerError)
            }
        })
    }

    /// Returns nothing of a question that was answered. Leaves it to the caller whether a lost or
    /// failed call may have been acted on; of those without a password, all but the retry of jobs
    /// change nothing.
    fn judge_question(
        &self,
        reading: AnswerReading<'_>,
        notes: &mut Vec<String>,
    ) -> Option<Judgement> {
        let received = reading.received;
        let status = received.status;
        let answer = reading.answer.as_ref();
        let has_code = answer.is_some_and(|answer| answer.code().is_some());
        // Missing jobs are listed, with 400 (OTC api-ref).
        let listed = answer.and_then(|answer| answer.results.as_ref());
        let is_list =
            listed.is_some_and(|rows| !rows.is_empty()) && matches!(status, 200..=202 | 400);
        if is_list || (status < 300 && answer.is_some() && !has_code) {
            return None;
        }
        notes.extend(reading.strange);
        if matches!(received.body, Body::Cut) && status < 400 {
            notes.push(answer_cut(self.url));
            return Some(Judgement::Lost(Doubt::AnswerLost));
        }
        let mut refusal = self.refusal(received, answer);
        let is_again = status == 429 || matches!(reading.class, Class::Throttled | Class::Busy);
        Some(Judgement::Failed(match reading.class {
            Class::Login => {
                // The password was right.
                if received.headers.contains_key(OPENSTACK_AUTH_RECEIPT) {
                    refusal.advice = Some(codes::SECOND_FACTOR);
                }
                notes.extend(received.clock_off(self.now));
                FailureKind::Login(refusal)
            }
            Class::Permission => {
                notes.extend(received.clock_off(self.now));
                FailureKind::Refused(refusal)
            }
            _ if is_again => return Some(Judgement::Again(busy(refusal))),
            _ if status < 300 && !has_code => FailureKind::Unanswered,
            Class::Internal => FailureKind::Failed(refusal),
            _ if status >= 500 => FailureKind::Failed(refusal),
            _ => FailureKind::Refused(refusal),
        }))
    }

    fn wrong_in(&self, answer: &AnswerBody, class: Class) -> Vec<(usize, Token)> {
        let rows = answer.results.iter().flatten();
        let rows: Vec<&ResultRow> = rows.filter(|row| says_wrong_password(row)).collect();
        let code_of = |key: &EntryKey| {
            if rows.is_empty() {
                let code = answer.code();
                return code.filter(|_| class == Class::WrongPassword);
            }
            let row = rows.iter().find(|row| {
                row.job() == Some(key.job.as_str())
                    && row
                        .endpoint()
                        .is_none_or(|endpoint| endpoint == key.endpoint)
            });
            row?.code()
        };
        let entries = self.sent().iter().enumerate();
        let wrong = entries.filter_map(|(at, entry)| {
            let code = codes::normalize(code_of(&entry.key)?);
            Some((at, Token::parse(&code)?))
        });
        wrong.collect()
    }

    /// Judges an answer below 500 without a readable body. A refusal needs only its status; a
    /// possible success or list of results needs the body.
    fn without_answer(
        &self,
        received: &Received,
        class: Class,
        notes: &mut Vec<String>,
    ) -> Judgement {
        // A page, not an answer of the service that was damaged: only the latter
        // could have listed results where results are listed.
        let is_page = |body: &[u8]| !matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        let readable = match &received.body {
            Body::Read(body) => is_page(body) || !matches!(received.status, 400 | 422),
            _ => false,
        };
        let cut = matches!(received.body, Body::Cut);
        let refusal = self.refusal(received, None);
        match class {
            Class::Login | Class::Permission => refused_caller(class, refusal),
            _ if cut => {
                notes.push(answer_cut(self.url));
                Judgement::Lost(Doubt::AnswerLost)
            }
            Class::Route => Judgement::Settled(BatchReply::TurnedAway(refusal)),
            // A page of a gateway.
            _ if received.status >= 400 && readable => {
                Judgement::Settled(BatchReply::Refused(refusal))
            }
            _ => Judgement::Settled(BatchReply::Lost(Doubt::Unreadable)),
        }
    }

    fn per_entry(&self, received: &Received, answer: &AnswerBody) -> BatchReply {
        let rows = answer.results.as_deref().unwrap_or_default();
        // A success inside a failure is neither.
        let contradicted = answer.code().is_some();
        let clean = !contradicted
            && rows
                .iter()
                .all(|row| is_clean_success(row) && self.was_sent(row));
        let request_id = if clean {
            None
        } else {
            self.request_id(received, Some(answer))
        };
        // Far more rows than entries are noise; their texts are not worth a search.
        let worth_reading = 4 * self.sent().len();
        let results = rows
            .iter()
            .enumerate()
            .map(|(place, row)| {
                let has_text = place < worth_reading;
                self.entry_result(row, has_text, contradicted, request_id.as_ref())
            })
            .collect();
        BatchReply::PerEntry {
            results,
            // A number can be a password, too; a correct one says nothing new.
            announced: answer.count().filter(|count| {
                usize::try_from(*count) == Ok(rows.len())
                    || !self.needles().occur_in(&count.to_string())
            }),
        }
    }

    fn was_sent(&self, row: &ResultRow) -> bool {
        let job = row.job();
        let mut sent = self.sent().iter();
        sent.any(|entry| job == Some(entry.key.job.as_str()))
    }

    fn entry_result(
        &self,
        row: &ResultRow,
        has_text: bool,
        contradicted: bool,
        request_id: Option<&ReportedName>,
    ) -> EntryResult {
        let sent = self.was_sent(row);
        let job = row.job();
        let verdict = if says(row, "failed") {
            // Text about an entry that was not sent is useless.
            let text = row.text().filter(|_| sent && has_text);
            let said = (row.code(), text);
            ResultVerdict::Failed(refused(said, request_id.cloned(), NO_CODE, || {
                self.needles()
            }))
        } else if is_clean_success(row) && !contradicted {
            ResultVerdict::Success
        } else {
            let said = [row.status(), row.code(), row.text()].into_iter().flatten();
            let said: Vec<&str> = said.collect();
            ResultVerdict::Odd(
                self.needles()
                    .text(&said.join(" "))
                    .filter(|_| sent && has_text),
            )
        };
        EntryResult {
            // The name of a job that was sent is not a secret.
            job: if sent {
                job.and_then(Token::parse).map(ReportedName::Kept)
            } else {
                job.and_then(|job| self.needles().name(job))
            },
            endpoint: row.endpoint(),
            verdict,
        }
    }

    /// Returns the body as an answer, or what to say about one that is not; nothing about one
    /// that was cut off.
    fn answer_in(&self, received: &Received) -> Result<AnswerBody, Option<String>> {
        let status = received.status;
        let strange = match &received.body {
            Body::Read(body) => match wire::decode(body) {
                Decoded::Answer(answer) => return Ok(answer),
                Decoded::Strange => self.unexpected(received, None),
                Decoded::NotJson => self.not_json(received, body),
            },
            Body::Coded(coding) => {
                let coding = self.needles().text(coding);
                let coding = coding.unwrap_or_else(ForeignText::withheld);
                format!(
                    "answer {status} cannot be read: its content coding {coding} is not supported"
                )
            }
            Body::TooLong => format!("answer {status} cannot be read: it is over 8 MiB"),
            Body::Cut => return Err(None),
        };
        Err(Some(strange))
    }

    /// A redirect is never followed: it would carry the passwords elsewhere.
    fn redirected(&self, received: &Received) -> String {
        let target = received.header(&LOCATION);
        let target = target.and_then(|location| self.url.join(&location).ok());
        let host = target.as_ref().and_then(Url::host_str);
        let host = host.and_then(|host| self.needles().text(host));
        let host = host.map_or_else(String::new, |host| format!(" to {host}"));
        let status = received.status;
        format!("answer {status} is a redirect{host} and was not followed")
    }

    fn unexpected(&self, received: &Received, answer: Option<&AnswerBody>) -> String {
        let refusal = self.refusal(received, answer);
        // Without a code in the answer there is only the status, reported already.
        let code = answer.and_then(AnswerBody::code);
        let code = labelled(", code ", code.map(|_| &refusal.code));
        let id = labelled(", request ", refusal.request_id.as_ref());
        let text = labelled(": ", refusal.text.as_ref());
        let advice = labelled(". ", refusal.advice);
        let (status, host) = (received.status, authority(self.url));
        format!("answer {status} from {host} has no usable content{code}{id}{text}{advice}")
    }

    fn not_json(&self, received: &Received, body: &[u8]) -> String {
        let page = String::from_utf8_lossy(body);
        // The whole page is searched before a line of it is cut out.
        let line = if page.trim().is_empty() {
            None
        } else if self.needles().occur_in(&page) {
            Some(ForeignText::withheld())
        } else {
            // The line is searched once more: removing tags can join what was separate.
            self.needles().text(&first_line(&page))
        };
        let line = labelled(": ", line);
        let content_type = received.header(&CONTENT_TYPE);
        let content_type = content_type.and_then(|text| self.needles().text(&text));
        let content_type = labelled(", content type ", content_type);
        let id = labelled(", request ", self.request_id(received, None));
        let (status, host) = (received.status, authority(self.url));
        format!(
            "answer {status} from {host} is not in the service's format{content_type}{id}{line}"
        )
    }

    fn refusal(&self, received: &Received, answer: Option<&AnswerBody>) -> Refusal {
        let said = (
            answer.and_then(AnswerBody::code),
            answer.and_then(AnswerBody::text),
        );
        let name = Token::parse(&format!("HTTP-{}", received.status));
        let name = name.map_or(ReportedName::from_static("HTTP"), ReportedName::Kept);
        refused(said, self.request_id(received, answer), name, || {
            self.needles()
        })
    }

    fn request_id(&self, received: &Received, answer: Option<&AnswerBody>) -> Option<ReportedName> {
        let header = received.header(&X_REQUEST_ID);
        let raw = header.as_deref().or_else(|| answer?.request_id())?;
        self.needles().request_id(raw)
    }
}

/// Returns a refusal with the service's code and text. The search for secrets is only prepared
/// if there is text to search.
pub fn refused<'n>(
    (code, text): (Option<&str>, Option<&str>),
    request_id: Option<ReportedName>,
    without_code: ReportedName,
    needles: impl Fn() -> &'n Needles,
) -> Refusal {
    let code = code.map(codes::normalize);
    let (class, advice) = code.as_deref().and_then(codes::look_up).unzip();
    Refusal {
        kind: class.map_or(RefusalKind::Rejected, Class::kind),
        is_one_job_only: code.as_deref() == Some(codes::ONE_JOB_ONLY),
        // A code of the table is shown and kept whatever the passwords are.
        code: code
            .and_then(|code| match (class, Token::parse(&code)) {
                (Some(_), Some(token)) => Some(ReportedName::Kept(token)),
                _ => needles().code(&code),
            })
            .unwrap_or(without_code),
        request_id,
        text: text.and_then(|text| needles().text(text)),
        advice: advice.flatten(),
        entries: 1,
    }
}

fn busy(refusal: Refusal) -> Refusal {
    Refusal {
        kind: RefusalKind::Busy,
        ..refusal
    }
}

/// A new token may help an unknown caller, but not one without permission (OTC api-ref, Error
/// Code: DRS.M00103 comes with 401).
fn refused_caller(class: Class, refusal: Refusal) -> Judgement {
    match class {
        Class::Login => Judgement::Failed(FailureKind::Login(refusal)),
        _ => Judgement::Settled(BatchReply::LoginRefused(refusal)),
    }
}

fn is_clean_success(row: &ResultRow) -> bool {
    says(row, "success") && row.code().is_none() && row.text().is_none()
}

fn says_wrong_password(row: &ResultRow) -> bool {
    let known = row.code().and_then(codes::look_up);
    known.is_some_and(|(class, _)| class == Class::WrongPassword)
}

pub fn says(row: &ResultRow, status: &str) -> bool {
    let said = row.status();
    said.is_some_and(|said| said.eq_ignore_ascii_case(status))
}

/// Returns one line of an HTML or text page: its title if it is HTML, else its first line
/// with text.
fn first_line(page: &str) -> String {
    let head: String = page.chars().take(MAX_PAGE_HEAD).collect();
    let lowered = head.to_ascii_lowercase();
    let title = lowered.find("<title").and_then(|at| {
        let start = at + lowered[at..].find('>')? + 1;
        let end = start + lowered[start..].find('<')?;
        head.get(start..end)
    });
    let text = match title {
        Some(title) if !title.trim().is_empty() => title.trim().to_owned(),
        _ => without_tags(&head),
    };
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !matches!(c, '<' | '>')).collect()
}

/// Returns `page` without tags, comments, scripts and styles; a tag ends the line.
fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        text.push('\n');
        let tag = &rest[at..];
        let lowered = tag.to_ascii_lowercase();
        let end = [
            ("<!--", "-->"),
            ("<script", "</script"),
            ("<style", "</style"),
        ]
        .iter()
        .find(|(start, _)| lowered.starts_with(start))
        .map_or(Some(0), |(_, end)| lowered.find(end));
        let close = end.and_then(|end| Some(end + tag[end..].find('>')? + 1));
        rest = close.map_or("", |close| &tag[close..]);
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests;
