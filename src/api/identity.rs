//! What there is to learn about a login: user, project, end of its token, and the
//! endpoint that the catalogue names; and whether its project is the sealed one.

use super::auth::{Pass, ProjectName, Session};
use super::client::Client;
use super::codes;
use super::error::ServiceError;
use super::exchange::{Failure, Why};
use super::wire::identity::{CataloguedEndpoint, Facts};
use crate::core::config::is_project_id;
use crate::core::report::Caller;

impl Client {
    /// Who calls, for which project and until when.
    /// Fails if the login is refused, or is for another project than the sealed one.
    pub async fn caller(&self) -> Result<Caller, ServiceError> {
        let told = async {
            let pass = self.session.pass().await?;
            match &self.session {
                Session::Password(session) => Ok(session.facts().await.unwrap_or_default()),
                Session::Token(_) => self.facts_of_token(&pass).await,
                // Not every key may list projects, and the id goes with each request.
                Session::Key { .. } => match self.facts_of_key(&pass).await {
                    Err(Failure {
                        why: Why::Refused(_),
                        ..
                    }) => Ok(Facts::default()),
                    told => told,
                },
            }
        };
        let facts = told
            .await
            .map_err(|failure| self.error("the question who calls", failure))?;
        let needles = self.needles();
        let text = |text: Option<String>| text.and_then(|text| needles.text(&text));
        Ok(Caller {
            user: text(facts.user),
            domain: text(facts.domain),
            project_name: text(facts.project.and_then(|project| project.name)),
            token_end: facts.expires_at,
            is_key: matches!(self.session, Session::Key { .. }),
        })
    }

    /// The endpoints of the service that the catalogue names for a region, or for any
    /// where none is named.
    /// Fails if the login is refused, or the catalogue cannot be had.
    pub async fn catalogued(
        &self,
        region: Option<&str>,
    ) -> Result<Vec<CataloguedEndpoint>, ServiceError> {
        let answer = async { self.endpoints(&self.session.pass().await?, region).await };
        answer
            .await
            .map_err(|failure| self.error("the query of the catalogue", failure))
    }

    pub(super) async fn endpoints(
        &self,
        pass: &Pass,
        region: Option<&str>,
    ) -> Result<Vec<CataloguedEndpoint>, Failure> {
        let login = self.session.secrets();
        let mut found = self.iam.catalogue(pass, &login, self.project_id()).await?;
        found.retain(|found| match (region, &found.region) {
            (Some(wanted), Some(region)) => region == wanted,
            _ => true,
        });
        Ok(found)
    }

    /// Checks that the name which an access key's project was given by is that of the
    /// sealed one. Not every key may look names up: the id goes with each request, so
    /// a key that may not is let through.
    /// Fails if it is another project's, or if the key is not accepted.
    pub(super) async fn check_named_project(&self, pass: &Pass) -> Result<(), Failure> {
        if self.project.is_none() {
            return Ok(());
        }
        match self.facts_of_key(pass).await {
            Ok(_)
            | Err(Failure {
                why: Why::Refused(_),
                ..
            }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// The failure of a question, or what it comes from: a given token that is for
    /// another project.
    pub(super) async fn or_other_project(&self, failure: Failure, pass: &Pass) -> Failure {
        let is_about_project = matches!(
            &failure.why,
            Why::Refused(refusal) if codes::says_other_project(refusal.code.as_str())
        );
        if !is_about_project || !matches!(self.session, Session::Token(_)) {
            return failure;
        }
        match self.facts_of_token(pass).await {
            Err(
                found @ Failure {
                    why: Why::OtherProject { .. },
                    ..
                },
            ) => found,
            _ => failure,
        }
    }

    /// Fails if the token is for another project than the sealed one.
    async fn facts_of_token(&self, pass: &Pass) -> Result<Facts, Failure> {
        let login = self.session.secrets();
        let facts = self.iam.facts_of(pass, &login).await?;
        match &facts.project {
            Some(project) if project.id == self.project_id() => Ok(facts),
            other => Err(self.other_project(other.as_ref().map(|project| project.id.clone()))),
        }
    }

    /// Fails if the key has no such project, or only its name was given and it is
    /// another's.
    async fn facts_of_key(&self, pass: &Pass) -> Result<Facts, Failure> {
        let name = match &self.project {
            Some(ProjectName::Named { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        let login = self.session.secrets();
        let listed = self.iam.projects(pass, &login, name).await;
        if let Err(Failure {
            why: Why::Login(refusal),
            host,
            ..
        }) = &listed
        {
            self.session.note(Some((refusal, host.clone())));
        }
        let listed = listed?;
        let mut projects = listed.iter();
        match projects.find(|project| project.id == self.project_id()) {
            Some(project) => Ok(Facts {
                project: Some(project.clone()),
                ..Facts::default()
            }),
            None => Err(self.other_project(match listed.as_slice() {
                [only] if name.is_some() => Some(only.id.clone()),
                _ => None,
            })),
        }
    }

    fn other_project(&self, found: Option<String>) -> Failure {
        Failure {
            why: Why::OtherProject {
                found: found.filter(|id| is_project_id(id) && !self.needles().occur_in(id)),
                sealed: self.project_id().to_owned(),
            },
            host: String::new(),
            notes: Vec::new(),
        }
    }
}
