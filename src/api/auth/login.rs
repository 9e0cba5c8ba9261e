//! A login with a password, and its tokens (OTC IAM api-ref, "Obtaining a User Token"): fetched
//! when first needed, replaced before they expire, and once when refused. Logins go one at a
//! time, so that ten requests with a refused token do not log in ten times.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::iam::{Iam, TokenFacts, facts, login_body};
use super::{LoginPass, PasswordLogin, TokenHeader};
use crate::api::error::{CallFailure, FailureKind};
use crate::api::exchange::Policy;
use crate::api::http::{ApiCall, X_SUBJECT_TOKEN, authority};
use crate::api::secrets::{LoginSecrets, needles};
use crate::core::config::is_project_id;
use crate::core::outcome::Refusal;
use crate::core::secret::Secret;

/// How long before its expiry a token is replaced; a tenth of its life if that is shorter. A
/// request may take a minute, and clocks differ.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Prevents a login for each request if tokens expire at once.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

const PASSCODE_USED: &str =
    "a second login needs a new code of the second factor: run the command again";

/// The assumed life of a token without an expiry; a refusal renews it anyway.
const UNTOLD_LIFE: Duration = Duration::from_secs(60 * 60);

pub struct IamSession {
    iam: Arc<Iam>,
    login: PasswordLogin,
    sealed: String,
    /// Locked while logging in, so that one login serves all waiting requests.
    current: Mutex<CurrentToken>,
    secrets: StdMutex<LoginSecrets>,
}

#[derive(Default)]
struct CurrentToken {
    issued: Option<IssuedToken>,
    /// The refusal of a login, which is final: another try could lock the account.
    refused: Option<Refusal>,
}

impl CurrentToken {
    /// Ends logging in for this run: without a token, each waiting request would try in turn.
    fn give_up(&mut self) {
        self.refused.get_or_insert(Refusal::of_ours("NO-TOKEN"));
    }
}

struct IssuedToken {
    pass: LoginPass,
    generation: u64,
    /// When to replace it before use.
    renew_at: Instant,
    ends_at: Instant,
    facts: TokenFacts,
}

impl IamSession {
    pub fn new(login: PasswordLogin, iam: Arc<Iam>, sealed: String) -> Self {
        let secrets = std::iter::once(&login.password)
            .chain(&login.passcode)
            .map(Arc::clone)
            .collect();
        Self {
            iam,
            login,
            sealed,
            current: Mutex::default(),
            secrets: StdMutex::new(LoginSecrets {
                generation: 0,
                secrets,
            }),
        }
    }

    /// Returns a pass with a token that is good for a while. A token that could not be replaced is
    /// used until it expires.
    pub async fn pass(&self) -> Result<LoginPass, CallFailure> {
        let mut current = self.current.lock().await;
        let now = Instant::now();
        let at_hand = current.issued.as_ref();
        if let Some(issued) = at_hand.filter(|issued| now < issued.renew_at) {
            return Ok(issued.pass.clone());
        }
        let generation = at_hand.map_or(0, |issued| issued.generation);
        let answer = self.replace(&mut current, generation).await;
        match (answer, &mut current.issued) {
            // The old token is used while there is no answer. Half of the rest of its life passes before
            // the next try, so that not every request waits for one.
            (Err(failure), Some(issued)) if failure.is_silence() && now < issued.ends_at => {
                issued.renew_at = Instant::now() + issued.ends_at.duration_since(now) / 2;
                Ok(issued.pass.clone())
            }
            (answer, _) => {
                if answer.is_err() {
                    current.give_up();
                }
                answer
            }
        }
    }

    /// Returns a pass in place of the refused one of this generation. A second caller with the
    /// same refused pass gets the token that the first one fetched.
    pub async fn renewed(&self, refused: u64) -> Result<LoginPass, CallFailure> {
        let mut current = self.current.lock().await;
        if let Some(issued) = &current.issued
            && issued.generation != refused
        {
            return Ok(issued.pass.clone());
        }
        let answer = self.replace(&mut current, refused).await;
        match &answer {
            Ok(_) => self.iam.patience.tally().renewals += 1,
            Err(_) => current.give_up(),
        }
        answer
    }

    async fn replace(
        &self,
        current: &mut CurrentToken,
        generation: u64,
    ) -> Result<LoginPass, CallFailure> {
        if let Some(refusal) = &current.refused {
            return Err(self.failure(FailureKind::Login(refusal.clone()), Vec::new()));
        }
        // A code of a second factor is good for one login.
        if self.login.passcode.is_some() && generation > 0 {
            return Err(self.failure(FailureKind::Unanswered, vec![PASSCODE_USED.to_owned()]));
        }
        match self.fetch(generation + 1).await {
            Ok(fresh) => Ok(current.issued.insert(fresh).pass.clone()),
            Err(failure) => {
                if let FailureKind::Login(refusal) | FailureKind::Refused(refusal) = &failure.kind {
                    current.refused = Some(refusal.clone());
                }
                Err(failure)
            }
        }
    }

    fn failure(&self, kind: FailureKind, notes: Vec<String>) -> CallFailure {
        CallFailure::new(kind, authority(&self.iam.url), notes)
    }

    pub async fn facts(&self) -> Option<TokenFacts> {
        let current = self.current.lock().await;
        current.issued.as_ref().map(|issued| issued.facts.clone())
    }

    pub fn secrets(&self) -> LoginSecrets {
        self.secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn fetch(&self, generation: u64) -> Result<IssuedToken, CallFailure> {
        let mut call = self
            .iam
            .call(Method::POST, "auth/tokens", &[("nocatalog", "true")]);
        call.body = Some(login_body(
            &self.login.user,
            &self.login.password,
            self.login.passcode.as_deref(),
            &self.login.project,
        ));
        let sent_at = Instant::now();
        // A wrong password that was counted must not be counted twice, nor a code of a
        // second factor shown again.
        let received = self
            .iam
            .ask(&call, Policy::Once, &self.secrets(), &ApiCall::request)
            .await?;
        let token = received.header(&X_SUBJECT_TOKEN);
        let token = token.map(|token| TokenHeader::given(&Secret::new(token.into_owned())));
        let Some(Ok(token)) = token else {
            return Err(self.failure(
                FailureKind::Unanswered,
                vec!["the answer has no token".to_owned()],
            ));
        };
        {
            let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            secrets.secrets.push(Arc::clone(&token.secret));
            secrets.generation = generation;
        }
        let facts = facts(&received.into_body());
        let found = facts.project.as_ref().map(|project| project.id.clone());
        if found.as_deref() != Some(self.sealed.as_str()) {
            // It is shown, and may be anything that the service knows.
            let found = found.filter(|id| {
                is_project_id(id) && !needles(&self.secrets(), None, &[]).occur_in(id)
            });
            let sealed = self.sealed.clone();
            return Err(self.failure(FailureKind::OtherProject { found, sealed }, Vec::new()));
        }
        let life = facts.life((self.iam.patience.ambient.now)());
        Ok(IssuedToken {
            pass: LoginPass::Token {
                header: Arc::new(token),
                generation,
            },
            generation,
            renew_at: sent_at + (life - MARGIN.min(life / 10)),
            ends_at: sent_at + life,
            facts,
        })
    }
}

impl TokenFacts {
    /// Returns the token's life from its creation, by the service's clock, as the local one may
    /// be wrong.
    fn life(&self, now: Timestamp) -> Duration {
        let made = self.issued_at.unwrap_or(now);
        self.expires_at
            .and_then(|end| Duration::try_from(end.duration_since(made)).ok())
            .unwrap_or(UNTOLD_LIFE)
            .max(SHORTEST_LIFE)
    }
}
