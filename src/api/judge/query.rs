//! What the answer to a call means that carries no password: a query, a login, or the
//! retry of jobs. Whether a lost or failed one may have been acted on is for whoever
//! asked; all but the retry change nothing.

use super::{Class, Judge, Received};
use crate::api::codes;
use crate::api::note::Note;
use crate::api::received::Body;
use crate::api::wire::Answer;
use crate::core::outcome::{Refusal, RefusalKind};

/// What is to be done about the answer to a query.
#[derive(Debug)]
pub(in crate::api) enum QueryStep {
    /// Its body answers the question.
    Answered,
    /// The caller is not known (any longer).
    Login(Refusal),
    /// Everything else that is a no.
    Refused(Refusal),
    /// The service says that it failed.
    Failed(Refusal),
    /// It says nothing that can be used.
    Unusable,
    /// It was lost half-way.
    Lost,
    /// The same question may be asked again after a while.
    Again(Refusal),
}

impl Judge<'_> {
    /// Judges the answer to a query; what a person should know goes to `notes`.
    pub(in crate::api) fn judge_query(
        &self,
        received: &Received,
        notes: &mut Vec<Note>,
    ) -> QueryStep {
        let status = received.status;
        if (300..400).contains(&status) {
            notes.push(self.redirected(received));
            return QueryStep::Refused(self.refusal_by_status(received));
        }
        let (answer, strange) = match self.answer_in(received) {
            Ok(answer) => (Some(answer), None),
            Err(strange) => (None, strange.map(|note| *note)),
        };
        let code = answer.as_ref().and_then(|answer| answer.code.as_deref());
        let known = code.map(codes::normalize);
        let known = known.as_deref().and_then(codes::look_up);
        let class = known.map_or_else(|| codes::by_status(status), |known| known.class);
        let class = codes::beside(class, status);
        // Jobs that are not there are told in a list, with 400 (OTC api-ref).
        let lists = |answer: &Answer| answer.results.as_ref().is_some_and(|rows| !rows.is_empty());
        let is_list = answer.as_ref().is_some_and(lists) && matches!(status, 200..=202 | 400);
        if is_list || (status < 300 && answer.is_some() && code.is_none()) {
            return QueryStep::Answered;
        }
        notes.extend(strange);
        if matches!(received.body, Body::Cut) && status < 400 {
            return QueryStep::Lost;
        }
        let mut refusal = self.refusal(received, answer.as_ref());
        match class {
            Class::Login => {
                if received.headers.asks_second_factor {
                    refusal.advice = Some(codes::SECOND_FACTOR);
                }
                notes.extend(received.headers.clock_off(self.now));
                QueryStep::Login(refusal)
            }
            Class::Permission => {
                notes.extend(received.headers.clock_off(self.now));
                QueryStep::Refused(refusal)
            }
            _ if status == 429 => QueryStep::Again(busy(refusal)),
            Class::Throttled | Class::Busy => QueryStep::Again(busy(refusal)),
            _ if status < 300 && code.is_none() => QueryStep::Unusable,
            Class::Internal => QueryStep::Failed(refusal),
            _ if status >= 500 => QueryStep::Failed(refusal),
            _ => QueryStep::Refused(refusal),
        }
    }
}

fn busy(refusal: Refusal) -> Refusal {
    Refusal {
        kind: RefusalKind::Busy,
        ..refusal
    }
}
