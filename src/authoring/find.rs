//! Addresses of single values: exactly one place, or a reason. What was typed is not
//! repeated, since it may be a misplaced secret.

use super::outline::Spot;
use super::{ManifestText, ValuePlace};
use crate::core::fingerprint::Field;
use crate::core::job::{Endpoint, JobId};
use crate::core::manifest::is_name;

/// Why an address names no place for a value. What it shows are names of a valid
/// manifest, never what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    Wildcard,
    UnknownJob,
    /// A job that is not listed may be added, and this is no id of one.
    NotAnId,
    UnknownEndpoint,
    /// A job alone, and both of its endpoints are listed.
    Both {
        job: String,
    },
    /// A job alone, and none of its endpoints is listed.
    Neither,
    /// The endpoint's password comes from a credential.
    UsesCredential {
        label: String,
        credential: String,
    },
    /// An endpoint without a password cannot have anything else.
    NoPassword {
        label: String,
    },
    NoCredentialName,
    UnknownCredential,
    /// An endpoint that is not listed, of a job that is.
    Unlisted {
        label: String,
    },
    /// A credential has a password and no other field.
    CredentialField,
    /// There is nothing at this place that could be removed.
    NotThere,
    Used {
        endpoints: usize,
    },
}

impl NoPlace {
    pub fn what(&self) -> String {
        match self {
            Self::Wildcard => "the address has a wildcard".to_owned(),
            Self::UnknownJob => "the address names no job of the manifest".to_owned(),
            Self::NotAnId => {
                "the address names no job of the manifest, and is no id of a new one".to_owned()
            }
            Self::UnknownEndpoint => {
                "what follows the slash of the address is no endpoint".to_owned()
            }
            Self::Both { job } => format!("{job} has a source and a destination"),
            Self::Neither => {
                "the address names a job that lists neither source nor destination".to_owned()
            }
            Self::UsesCredential { label, credential } => {
                format!("{label} uses the credential {credential}")
            }
            Self::NoPassword { label } => format!("{label} has no password yet"),
            Self::NoCredentialName => "the address is no name of a credential".to_owned(),
            Self::UnknownCredential => "the address names no credential".to_owned(),
            Self::Unlisted { label } => format!("{label} is not listed in the manifest"),
            Self::CredentialField => "a credential has a password and no other field".to_owned(),
            Self::NotThere => "there is nothing at that address".to_owned(),
            Self::Used { endpoints: 1 } => "1 endpoint uses the credential".to_owned(),
            Self::Used { endpoints } => format!("{endpoints} endpoints use the credential"),
        }
    }

    pub const fn help(&self) -> &'static str {
        match self {
            Self::Wildcard => "Name exactly one endpoint, or one @CREDENTIAL.",
            Self::UnknownJob => {
                "Give a job's id or name as 'drspass show' lists it. To list a new job, give its id, and --add with set or import."
            }
            Self::NotAnId => {
                "See whether the name is right. A new job is added by its id, as 'drspass jobs' lists it; it gets its name with 'drspass edit'."
            }
            Self::UnknownEndpoint => "Write /source or /destination.",
            Self::Both { .. } | Self::Neither => {
                "Say which one is meant, with /source or /destination."
            }
            Self::UsesCredential { .. } => {
                "Address the credential, as @NAME: it changes every endpoint that uses it. For a password of its own, remove `credential` there with 'drspass edit'."
            }
            Self::NoPassword { .. } => "Set its password first.",
            Self::NoCredentialName => {
                "Use 1 to 64 letters, digits, dots, dashes and underscores after the @, and begin with a letter or digit."
            }
            Self::UnknownCredential => {
                "See whether the name is right; set and import add a new one with --add."
            }
            Self::Unlisted { .. } => {
                "Check the endpoint; set and import add one that is not listed with --add."
            }
            Self::CredentialField => "Set kerberos fields at the endpoints themselves.",
            Self::NotThere => "'drspass show' lists what the manifest sets.",
            Self::Used { .. } => "Remove `credential` at those endpoints first, or keep it.",
        }
    }
}

/// Which places a run may address beside those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Also jobs, endpoints and credentials that the document does not list yet.
    New,
    Listed,
}

impl ManifestText<'_> {
    /// The place that an address and a field name.
    pub fn find(&self, address: &str, field: Field, taken: Taken) -> Result<ValuePlace, NoPlace> {
        let place = self.locate(address, field, taken)?;
        if let ValuePlace::Endpoint { job, endpoint, .. } = &place
            && field == Field::Password
        {
            let fields = self.endpoint(job, *endpoint);
            let label = || self.label(&place);
            if let Some(credential) = fields.and_then(|fields| fields.text("credential")) {
                let credential = credential.to_owned();
                let label = label();
                return Err(NoPlace::UsesCredential { label, credential });
            }
            if fields.is_none() && taken == Taken::Listed {
                return Err(NoPlace::Unlisted { label: label() });
            }
        }
        Ok(place)
    }

    /// The place that an address and a field name, to be removed.
    pub fn find_removable(&self, address: &str, field: Field) -> Result<ValuePlace, NoPlace> {
        let place = self.locate(address, field, Taken::Listed)?;
        match &place {
            ValuePlace::Credential(_) => match self.users(&place) {
                None | Some(0) => Ok(place),
                Some(endpoints) => Err(NoPlace::Used { endpoints }),
            },
            ValuePlace::Endpoint { job, endpoint, .. } => {
                let is_there = match field {
                    // The endpoint itself, whatever its password comes from.
                    Field::Password => self.endpoint(job, *endpoint).is_some(),
                    _ => self.value(&place).is_some(),
                };
                is_there.then_some(place).ok_or(NoPlace::NotThere)
            }
        }
    }

    /// Whether an endpoint is listed, so that it has a password or a credential.
    pub fn has_endpoint(&self, job: &JobId, endpoint: Endpoint) -> bool {
        self.endpoint(job, endpoint).is_some()
    }

    fn locate(&self, address: &str, field: Field, taken: Taken) -> Result<ValuePlace, NoPlace> {
        if address.contains(['*', '?']) {
            return Err(NoPlace::Wildcard);
        }
        if let Some(name) = address.strip_prefix('@') {
            return self.credential(name, field, taken);
        }
        let (job, endpoint) = match address.rsplit_once('/') {
            Some((job, endpoint)) => {
                let known = Endpoint::ALL
                    .into_iter()
                    .find(|known| known.as_str() == endpoint);
                (job, Some(known.ok_or(NoPlace::UnknownEndpoint)?))
            }
            None => (address, None),
        };
        let number = self.ids.get(job).or_else(|| self.names.get(job));
        let listed = number.and_then(|number| self.root.map("jobs")?.entries.get(*number));
        let id = match listed {
            Some(entry) => entry.key.as_str(),
            // An id of another shape may be a typing error of a name.
            None if taken == Taken::New && JobId::is_usual_shape(job) => job,
            None if taken == Taken::New => return Err(NoPlace::NotAnId),
            None => return Err(NoPlace::UnknownJob),
        };
        let job = JobId::parse(id).map_err(|_| NoPlace::UnknownJob)?;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => self.only_endpoint(listed.map(|entry| &entry.value), &job)?,
        };
        Ok(ValuePlace::Endpoint {
            job,
            endpoint,
            field,
        })
    }

    fn only_endpoint(&self, job: Option<&Spot<'_>>, id: &JobId) -> Result<Endpoint, NoPlace> {
        let Some(Spot::Map(fields)) = job else {
            return Err(NoPlace::Neither);
        };
        let listed = Endpoint::ALL.map(|endpoint| fields.get(endpoint.as_str()).is_some());
        match listed {
            [true, false] => Ok(Endpoint::Source),
            [false, true] => Ok(Endpoint::Destination),
            [false, false] => Err(NoPlace::Neither),
            [true, true] => Err(NoPlace::Both {
                job: fields.text("name").unwrap_or(id.as_str()).to_owned(),
            }),
        }
    }

    fn credential(&self, name: &str, field: Field, taken: Taken) -> Result<ValuePlace, NoPlace> {
        if field != Field::Password {
            return Err(NoPlace::CredentialField);
        }
        if !is_name(name) {
            return Err(NoPlace::NoCredentialName);
        }
        let place = ValuePlace::Credential(name.into());
        if taken == Taken::Listed && self.value(&place).is_none() {
            return Err(NoPlace::UnknownCredential);
        }
        Ok(place)
    }
}
