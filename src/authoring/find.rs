//! Addresses of single values: exactly one place, or a reason. The input is not repeated, since it
//! may be a misplaced secret.

use super::{ManifestText, ValuePlace, text_of};
use crate::core::address::WRONG_ENDPOINT;
use crate::core::fingerprint::Field;
use crate::core::job::{Endpoint, JobId};
use crate::core::manifest::is_name;
use crate::core::problem::{Problem, Words};
use crate::core::yaml::{Node, nearest};

/// Which places an address may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Also jobs, endpoints and credentials that the document does not list yet.
    New,
    Listed,
}

/// Why an address is refused. It shows names of a valid manifest, never the input.
fn no_place(what: impl Into<Words>, help: impl Into<Words>) -> Problem {
    Problem::error("", None, what, help)
}

/// Names what was probably meant, before other help.
fn helped(meant: Option<String>, help: &str) -> String {
    match meant {
        Some(meant) => format!("Did you mean {meant}? {help}"),
        None => help.to_owned(),
    }
}

/// The problem of an endpoint without a password, which cannot have anything else.
pub fn no_password(label: &str) -> Problem {
    let what = format!("{label} has no password yet");
    no_place(what, "Set its password first.")
}

impl ManifestText<'_> {
    /// Returns the place of an address and a field, if it is exactly one.
    pub fn find(&self, address: &str, field: Field, taken: Taken) -> Result<ValuePlace, Problem> {
        let place = self.locate(address, field, taken)?;
        let ValuePlace::Endpoint { job, endpoint, .. } = &place else {
            return Ok(place);
        };
        if field != Field::Password {
            return Ok(place);
        }
        let fields = self.endpoint(job, *endpoint);
        if let Some(credential) = fields.and_then(|fields| text_of(fields, "credential")) {
            return Err(no_place(
                format!("{} uses the credential {credential}", self.label(&place)),
                format!(
                    "Use @{credential}, which changes every endpoint of the credential. For a password of its own, remove `credential` at the endpoint with 'drspass edit'."
                ),
            ));
        }
        if fields.is_none() && taken == Taken::Listed {
            return Err(no_place(
                format!("{} is not listed in the manifest", self.label(&place)),
                "Check the address. To add the endpoint, use --add with set or import.",
            ));
        }
        Ok(place)
    }

    /// Like [`Self::find`], for something that may be removed.
    pub fn find_removable(&self, address: &str, field: Field) -> Result<ValuePlace, Problem> {
        let place = self.locate(address, field, Taken::Listed)?;
        match &place {
            ValuePlace::Credential(_) => {
                let what = match self.users(&place) {
                    None | Some(0) => return Ok(place),
                    Some(1) => "1 endpoint uses the credential".to_owned(),
                    Some(endpoints) => format!("{endpoints} endpoints use the credential"),
                };
                let help = "Remove `credential` at those endpoints first, or keep it.";
                Err(no_place(what, help))
            }
            ValuePlace::Endpoint { job, endpoint, .. } => {
                let is_there = match field {
                    // The endpoint itself, whatever its password comes from.
                    Field::Password => self.endpoint(job, *endpoint).is_some(),
                    _ => self.value(&place).is_some(),
                };
                is_there.then_some(place).ok_or_else(|| {
                    let help = "Run 'drspass show' to list what the manifest sets.";
                    no_place("the manifest has no value at this address", help)
                })
            }
        }
    }

    /// Returns whether an endpoint is listed, so that it has a password or a credential.
    pub fn has_endpoint(&self, job: &JobId, endpoint: Endpoint) -> bool {
        self.endpoint(job, endpoint).is_some()
    }

    fn locate(&self, address: &str, field: Field, taken: Taken) -> Result<ValuePlace, Problem> {
        if address.contains(['*', '?']) {
            let help = "Name exactly one endpoint, or one @CREDENTIAL.";
            return Err(no_place("the address has a wildcard", help));
        }
        if let Some(name) = address.strip_prefix('@') {
            return self.credential(name, field, taken);
        }
        let (job, endpoint) = match address.rsplit_once('/') {
            Some((job, endpoint)) => {
                let known = Endpoint::parse(endpoint);
                if known.is_none() {
                    return Err(no_place(
                        WRONG_ENDPOINT,
                        "Write the address as JOB/source or JOB/destination.",
                    ));
                }
                (job, known)
            }
            None => (address, None),
        };
        let number = self.ids.get(job).or_else(|| self.names.get(job));
        let listed = number.map(|number| self.tree.pair(*number));
        let id = match listed {
            Some(entry) => entry.key.scalar().unwrap_or_default(),
            // An id of another shape may be a misspelt name.
            None if taken == Taken::New && JobId::is_usual_shape(job) => job,
            None if taken == Taken::New => {
                let help = "Check the name. To add a job, use its id as 'drspass jobs' lists it; 'drspass edit' gives it a name.";
                return Err(no_place(
                    "the address matches no job in the manifest, and is not the id of a new one",
                    self.helped_job((job, endpoint), help),
                ));
            }
            None => return Err(self.unknown_job((job, endpoint))),
        };
        let job = JobId::parse(id).map_err(|_| self.unknown_job((job, endpoint)))?;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => only_endpoint(listed.map(|entry| entry.value), &job)?,
        };
        Ok(ValuePlace::Endpoint {
            job,
            endpoint,
            field,
        })
    }

    fn credential(&self, name: &str, field: Field, taken: Taken) -> Result<ValuePlace, Problem> {
        if field != Field::Password {
            let help = "Set kerberos fields at the endpoints themselves.";
            let what = "a credential has only a password";
            return Err(no_place(what, help));
        }
        if !is_name(name) {
            return Err(no_place(
                "the address is not a valid credential name",
                "Use 1 to 64 letters, digits, dots, dashes and underscores after the @, beginning with a letter or digit.",
            ));
        }
        let place = ValuePlace::Credential(name.into());
        if taken == Taken::Listed && self.value(&place).is_none() {
            let help = "Check the name. To add a credential, use --add with set or import.";
            let meant = nearest(self.credentials.keys().map(|name| &**name), name);
            let help = helped(meant.map(|name| format!("@{name}")), help);
            return Err(no_place("the address matches no credential", help));
        }
        Ok(place)
    }

    fn unknown_job(&self, address: (&str, Option<Endpoint>)) -> Problem {
        let help = "Use a job's id or name as 'drspass show' lists it. To add a new job, use its id, and --add with set or import.";
        let what = "the address matches no job in the manifest";
        no_place(what, self.helped_job(address, help))
    }

    fn helped_job(&self, (name, endpoint): (&str, Option<Endpoint>), help: &str) -> String {
        let address = |name: &str| match endpoint {
            Some(endpoint) => format!("{name}/{endpoint}"),
            None => name.to_owned(),
        };
        let near = nearest(self.names.keys().map(|name| &**name), name).map(address);
        let credential = || nearest(self.credentials.keys().map(|name| &**name), name);
        helped(near.or_else(|| Some(format!("@{}", credential()?))), help)
    }
}

fn only_endpoint(job: Option<Node<'_>>, id: &JobId) -> Result<Endpoint, Problem> {
    let has = |endpoint: Endpoint| job.is_some_and(|job| job.get(endpoint.as_str()).is_some());
    let what = match Endpoint::ALL.map(has) {
        [true, false] => return Ok(Endpoint::Source),
        [false, true] => return Ok(Endpoint::Destination),
        [false, false] => "the job has neither a source nor a destination".to_owned(),
        [true, true] => {
            let name = job.and_then(|job| text_of(job, "name"));
            let shown = name.unwrap_or(id.as_str());
            format!("{shown} has a source and a destination")
        }
    };
    let help = "Add /source or /destination to the address.";
    Err(no_place(what, help))
}
