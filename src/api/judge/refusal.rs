//! What a no of the service says, as a refusal in the words of the domain: its code,
//! its text searched for secrets, the id of the request, and what to do about it.

use super::{Answer, Judge, Received};
use crate::api::codes;
use crate::core::outcome::{Refusal, RefusalKind};
use crate::core::redact::{Needles, Token, ToldName};

/// A refusal by what the service says: a code and a text, each where there is one.
/// The search for secrets is only asked for where something is to be searched.
pub(in crate::api) fn refused<'n>(
    (code, text): (Option<&str>, Option<&str>),
    request_id: Option<ToldName>,
    without_code: ToldName,
    needles: impl Fn() -> &'n Needles,
) -> Refusal {
    let code = code.map(codes::normalize);
    let known = code.as_deref().and_then(codes::look_up);
    Refusal {
        kind: known.map_or(RefusalKind::Rejected, |known| known.class.kind()),
        is_one_job_only: code.as_deref().is_some_and(codes::says_one_job_only),
        // A code of the table is shown and kept whatever the passwords are.
        code: code
            .and_then(|code| match (known, Token::parse(&code)) {
                (Some(_), Some(token)) => Some(ToldName::Kept(token)),
                _ => needles().code(&code),
            })
            .unwrap_or(without_code),
        request_id,
        text: text.and_then(|text| needles().text(text)),
        advice: known.and_then(|known| known.advice),
        entries: 1,
    }
}

impl Judge<'_> {
    pub(super) fn refusal(&self, received: &Received, answer: Option<&Answer>) -> Refusal {
        self.refusal_of(
            answer.and_then(|answer| answer.code.as_deref()),
            answer.and_then(|answer| answer.text.as_deref()),
            self.request_id(received, answer),
            status_name(received.status),
        )
    }

    pub(super) fn refusal_by_status(&self, received: &Received) -> Refusal {
        self.refusal(received, None)
    }

    pub(super) fn refusal_of(
        &self,
        code: Option<&str>,
        text: Option<&str>,
        request_id: Option<ToldName>,
        without_code: ToldName,
    ) -> Refusal {
        refused((code, text), request_id, without_code, || self.needles())
    }

    pub(super) fn request_id(
        &self,
        received: &Received,
        answer: Option<&Answer>,
    ) -> Option<ToldName> {
        let header = received.headers.request_id.as_deref();
        let raw = header.or_else(|| answer?.request_id.as_deref())?;
        self.needles().request_id(raw)
    }
}

fn status_name(status: u16) -> ToldName {
    let name = Token::parse(&format!("HTTP-{status}"));
    name.map_or(ToldName::from_static("HTTP"), ToldName::Kept)
}
