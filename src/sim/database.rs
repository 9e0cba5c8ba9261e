//! One database of a job, and who is let in there.
//!
//! Owns the passwords that DRS and the database hold, as salted digests, and the
//! lock of the account. Refuses to know the job.

use sha2::{Digest, Sha256};

/// Refused logins after which a database locks the account. The real number is
/// the database's policy; what matters is that retrying has a price (OTC user
/// manual, synchronization scenarios: DRS retries may lock the account).
const LOCK_AFTER: u32 = 5;

type Print = [u8; 32];

/// The passwords around one endpoint, as digests.
pub(super) struct Login {
    salt: Print,
    /// What DRS was last told; `None` is what was typed in when the job was made.
    held: Option<Print>,
    /// What the database accepts now; `None` accepts anything.
    real: Option<Print>,
    /// What the database accepted when the job was made.
    first_real: Option<Print>,
    refused: u32,
}

impl Login {
    pub(super) fn new(salt: Print, real_password: Option<&str>) -> Self {
        let mut login = Self {
            salt,
            held: None,
            real: None,
            first_real: None,
            refused: 0,
        };
        login.real = real_password.map(|password| login.print(password));
        login.first_real = login.real;
        login
    }

    /// Takes over what DRS is told.
    pub(super) fn tell(&mut self, password: &str) {
        self.held = Some(self.print(password));
    }

    /// Changes what the database accepts, which also unlocks the account.
    pub(super) fn change(&mut self, password: &str) {
        self.real = Some(self.print(password));
        self.refused = 0;
    }

    pub(super) fn holds(&self, password: &str) -> bool {
        self.held == Some(self.print(password))
    }

    /// Whether DRS was told anything since the job was made.
    pub(super) fn is_told(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn count_refusal(&mut self) {
        if self.is_refused() {
            self.refused += 1;
        }
    }

    fn print(&self, password: &str) -> Print {
        Sha256::new()
            .chain_update(self.salt)
            .chain_update(password)
            .finalize()
            .into()
    }

    /// Whether the database would turn DRS away now.
    pub(super) fn is_refused(&self) -> bool {
        let wrong = match (self.held, self.real) {
            (Some(held), Some(real)) => held != real,
            (None, Some(real)) => Some(real) != self.first_real,
            (_, None) => false,
        };
        wrong || self.is_locked()
    }

    pub(super) fn is_locked(&self) -> bool {
        self.refused >= LOCK_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_passwords_leave_unequal_digests() {
        let login = |salt| Login::new([salt; 32], Some("same")).real;
        assert_ne!(login(1), login(2));
    }
}
