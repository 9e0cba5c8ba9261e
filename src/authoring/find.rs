//! Addresses of single values: exactly one place, or a reason. What was typed is not
//! repeated, since it may be a misplaced secret.

use super::{ManifestText, ValuePlace, text_of};
use crate::core::fingerprint::Field;
use crate::core::job::{Endpoint, JobId};
use crate::core::manifest::is_name;
use crate::core::problem::{Problem, Words};
use crate::core::yaml::Node;

/// Which places a run may address beside those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Also jobs, endpoints and credentials that the document does not list yet.
    New,
    Listed,
}

/// Why an address names no place for a value. What it shows are names of a valid
/// manifest, never what was typed.
fn no_place(what: impl Into<Words>, help: &'static str) -> Problem {
    Problem::error("", None, what, help)
}

fn unknown_job() -> Problem {
    no_place(
        "the address names no job of the manifest",
        "Give a job's id or name as 'drspass show' lists it. To list a new job, give its id, and --add with set or import.",
    )
}

/// An endpoint without a password cannot have anything else.
pub fn no_password(label: &str) -> Problem {
    let what = format!("{label} has no password yet");
    no_place(what, "Set its password first.")
}

impl ManifestText<'_> {
    /// The place that an address and a field name, if it is exactly one.
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
                "Address the credential, as @NAME: it changes every endpoint that uses it. For a password of its own, remove `credential` there with 'drspass edit'.",
            ));
        }
        if fields.is_none() && taken == Taken::Listed {
            return Err(no_place(
                format!("{} is not listed in the manifest", self.label(&place)),
                "Check the endpoint; set and import add one that is not listed with --add.",
            ));
        }
        Ok(place)
    }

    /// As [`Self::find`], of something that may be removed.
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
                    let help = "'drspass show' lists what the manifest sets.";
                    no_place("there is nothing at that address", help)
                })
            }
        }
    }

    /// Whether an endpoint is listed, so that it has a password or a credential.
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
                let mut known = Endpoint::ALL.into_iter();
                let known = known.find(|known| known.as_str() == endpoint);
                if known.is_none() {
                    return Err(no_place(
                        "what follows the slash of the address is no endpoint",
                        "Write /source or /destination.",
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
            // An id of another shape may be a typing error of a name.
            None if taken == Taken::New && JobId::is_usual_shape(job) => job,
            None if taken == Taken::New => {
                return Err(no_place(
                    "the address names no job of the manifest, and is no id of a new one",
                    "See whether the name is right. A new job is added by its id, as 'drspass jobs' lists it; it gets its name with 'drspass edit'.",
                ));
            }
            None => return Err(unknown_job()),
        };
        let job = JobId::parse(id).map_err(|_| unknown_job())?;
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
            let what = "a credential has a password and no other field";
            return Err(no_place(what, help));
        }
        if !is_name(name) {
            return Err(no_place(
                "the address is no name of a credential",
                "Use 1 to 64 letters, digits, dots, dashes and underscores after the @, and begin with a letter or digit.",
            ));
        }
        let place = ValuePlace::Credential(name.into());
        if taken == Taken::Listed && self.value(&place).is_none() {
            let help = "See whether the name is right; set and import add a new one with --add.";
            return Err(no_place("the address names no credential", help));
        }
        Ok(place)
    }
}

fn only_endpoint(job: Option<Node<'_>>, id: &JobId) -> Result<Endpoint, Problem> {
    let has = |endpoint: Endpoint| job.is_some_and(|job| job.get(endpoint.as_str()).is_some());
    let what = match Endpoint::ALL.map(has) {
        [true, false] => return Ok(Endpoint::Source),
        [false, true] => return Ok(Endpoint::Destination),
        [false, false] => {
            "the address names a job that lists neither source nor destination".to_owned()
        }
        [true, true] => {
            let name = job.and_then(|job| text_of(job, "name"));
            let shown = name.unwrap_or(id.as_str());
            format!("{shown} has a source and a destination")
        }
    };
    let help = "Say which one is meant, with /source or /destination.";
    Err(no_place(what, help))
}
