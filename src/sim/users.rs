//! The users who may log in, and when they are locked out.
//!
//! Owns the check of password and second factor. Refuses to keep either in plain
//! text: digests only, with a salt of their own.

use sha2::{Digest, Sha256};

use super::spec::UserSpec;

/// Refused logins in a row after which a user is locked (IAM.0061; the number is
/// a setting of the account, five being the usual one).
const LOCK_AFTER: u32 = 5;

/// One user, as far as answers tell about them.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) domain: String,
    pub(super) domain_id: String,
}

/// What a login call says about who it is.
#[derive(Default)]
pub(super) struct Claim<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) domain: Option<&'a str>,
    pub(super) domain_id: Option<&'a str>,
    pub(super) password: &'a str,
    pub(super) passcode: Option<&'a str>,
    /// Whom the passcode is said to be of.
    pub(super) passcode_id: Option<&'a str>,
}

/// Why a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The user is unknown, or the password or the passcode is wrong; which of
    /// these is not told.
    Wrong,
    /// Too many refusals in a row.
    Locked,
}

type Print = [u8; 32];

struct User {
    person: Person,
    salt: Print,
    password: Print,
    passcode: Option<Print>,
    refused: u32,
}

/// All users of the account.
pub(super) struct Users {
    users: Vec<User>,
}

impl Users {
    /// `salt` is called once for each user.
    pub(super) fn new(specs: Vec<UserSpec>, salt: impl Fn() -> Print) -> Self {
        let users = specs
            .into_iter()
            .map(|spec| {
                let salt = salt();
                User {
                    password: print(&salt, &spec.password),
                    passcode: spec.passcode.map(|code| print(&salt, &code)),
                    salt,
                    person: Person {
                        name: spec.name,
                        id: spec.id,
                        domain: spec.domain,
                        domain_id: spec.domain_id,
                    },
                    refused: 0,
                }
            })
            .collect();
        Self { users }
    }

    /// Who logged in. A user is named by the id alone or by name and domain.
    pub(super) fn log_in(&mut self, claim: &Claim<'_>) -> Result<Person, Refused> {
        let user = self.users.iter_mut().find(|user| user.is_meant(claim));
        let user = user.ok_or(Refused::Wrong)?;
        if user.refused >= LOCK_AFTER {
            return Err(Refused::Locked);
        }
        let passcode = claim.passcode.map(|code| print(&user.salt, code));
        let right = print(&user.salt, claim.password) == user.password
            && user.passcode.is_none_or(|wanted| passcode == Some(wanted))
            && claim.passcode_id.is_none_or(|id| id == user.person.id);
        if !right {
            user.refused += 1;
            return Err(Refused::Wrong);
        }
        user.refused = 0;
        Ok(user.person.clone())
    }

    /// The user of that name, whatever the domain.
    pub(super) fn named(&self, name: &str) -> Option<&Person> {
        let people = self.users.iter().map(|user| &user.person);
        people.into_iter().find(|person| person.name == name)
    }
}

impl User {
    fn is_meant(&self, claim: &Claim<'_>) -> bool {
        let person = &self.person;
        match (claim.id, claim.name) {
            (Some(id), _) => person.id == id,
            (None, Some(name)) => {
                person.name == name
                    && (claim.domain.is_some() || claim.domain_id.is_some())
                    && person.is_of_domain(claim.domain, claim.domain_id)
            }
            (None, None) => false,
        }
    }
}

impl Person {
    /// Whom the fixed token belongs to.
    pub(super) fn unnamed() -> Self {
        Self {
            name: "simulated-user".to_owned(),
            id: "0000000000000000000000000000user".to_owned(),
            domain: "simulated-domain".to_owned(),
            domain_id: "00000000000000000000000000domain".to_owned(),
        }
    }

    /// Whether the domain has this name and id, as far as they are given.
    pub(super) fn is_of_domain(&self, name: Option<&str>, id: Option<&str>) -> bool {
        name.is_none_or(|name| name == self.domain) && id.is_none_or(|id| id == self.domain_id)
    }
}

fn print(salt: &Print, secret: &str) -> Print {
    Sha256::new()
        .chain_update(salt)
        .chain_update(secret)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(passcode: Option<&str>) -> Users {
        let spec = UserSpec {
            name: "ci".to_owned(),
            id: "u1".to_owned(),
            password: "canary-right".to_owned(),
            domain: "acme".to_owned(),
            domain_id: "d1".to_owned(),
            passcode: passcode.map(ToOwned::to_owned),
        };
        Users::new(vec![spec], || [7; 32])
    }

    fn by_name<'a>(name: &'a str, domain: &'a str, password: &'a str) -> Claim<'a> {
        Claim {
            name: Some(name),
            domain: Some(domain),
            password,
            ..Claim::default()
        }
    }

    #[test]
    fn users_are_named_by_id_or_by_name_and_domain() {
        let mut users = users(None);
        assert!(users.log_in(&by_name("ci", "acme", "canary-right")).is_ok());
        assert!(
            users
                .log_in(&by_name("ci", "other", "canary-right"))
                .is_err()
        );
        assert!(
            users
                .log_in(&by_name("me", "acme", "canary-right"))
                .is_err()
        );
        let mut claim = by_name("ci", "acme", "canary-right");
        claim.domain = None;
        assert!(users.log_in(&claim).is_err());
        claim.domain_id = Some("d1");
        assert!(users.log_in(&claim).is_ok());
        let claim = Claim {
            id: Some("u1"),
            password: "canary-right",
            ..Claim::default()
        };
        assert!(users.log_in(&claim).is_ok());
    }

    #[test]
    fn five_refusals_in_a_row_lock_a_user() {
        let mut users = users(None);
        let wrong = by_name("ci", "acme", "canary-wrong");
        let right = by_name("ci", "acme", "canary-right");
        let mut fails = |times: usize| {
            for _ in 0..times {
                assert_eq!(users.log_in(&wrong).err(), Some(Refused::Wrong));
            }
            users.log_in(&right).err()
        };
        assert_eq!(fails(4), None);
        assert_eq!(fails(4), None);
        assert_eq!(fails(5), Some(Refused::Locked));
    }

    #[test]
    fn a_passcode_is_asked_for_only_where_there_is_one() {
        let mut users = users(Some("123456"));
        let mut claim = by_name("ci", "acme", "canary-right");
        assert!(users.log_in(&claim).is_err());
        claim.passcode = Some("654321");
        assert!(users.log_in(&claim).is_err());
        claim.passcode = Some("123456");
        assert!(users.log_in(&claim).is_ok());
    }
}
