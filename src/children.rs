//! What the programs that drspass starts may see of its environment: an editor and a
//! plugin have no use for logins and keys (design section 6), and what they start or
//! write down is out of our hands.

use std::ffi::{OsStr, OsString};
use std::process::Command;

/// Beginnings of names of variables that hold logins or keys.
const PREFIXES: [&str; 6] = ["OS_", "HW_", "DRSPASS_", "AWS_", "SOPS_", "TF_VAR_"];

/// Words of names, between underscores, that tell a secret.
const WORDS: [&str; 12] = [
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASSCODE",
    "PASS",
    "PWD",
    "SECRET",
    "KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "PROXY",
];

/// Names that look like a secret and are none.
const HARMLESS: [&str; 2] = ["PWD", "OLDPWD"];

/// The environment that started programs get.
#[derive(Clone, Debug, Default)]
pub struct ChildEnv {
    vars: Vec<(OsString, OsString)>,
}

impl ChildEnv {
    /// Of all variables, those that a started program may see.
    pub fn of(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let vars = vars.into_iter().filter(|(name, _)| may_see(name)).collect();
        Self { vars }
    }

    /// Gives a program this environment and nothing else.
    pub(crate) fn give(&self, command: &mut Command) {
        command
            .env_clear()
            .envs(self.vars.iter().map(|(name, value)| (name, value)));
    }

    /// A variable, if started programs may see it.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.vars.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// Whether a variable of this name is surely no secret. A name that is no text is not
/// passed on, since nobody knows what it names.
fn may_see(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    if HARMLESS.contains(&name) {
        return true;
    }
    let name = name.to_ascii_uppercase();
    let is_prefixed = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let is_told = name.split('_').any(|word| WORDS.contains(&word));
    // Written in one word, as in PGPASSWORD and MYSQL_PWD.
    let ends = ["TOKEN", "PASSWORD", "PASSPHRASE", "SECRET"];
    let is_joined = ends.iter().any(|end| name.ends_with(end));
    !(is_prefixed || is_told || is_joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_keys_are_kept_from_started_programs() {
        for name in [
            "OS_TOKEN",
            "OS_PASSWORD",
            "HW_SECRET_KEY",
            "DRSPASS_IDENTITY_KEY",
            "DRSPASS_IDENTITY",
            "AWS_SESSION_TOKEN",
            "GITHUB_TOKEN",
            "CI_JOB_TOKEN",
            "PGPASSWORD",
            "MYSQL_PWD",
            "VAULT_SECRET_ID",
            "SSH_KEY",
            "https_proxy",
            "HTTPS_PROXY",
        ] {
            assert!(!may_see(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn what_a_terminal_and_an_editor_need_is_passed_on() {
        for name in [
            "PATH",
            "HOME",
            "TERM",
            "LANG",
            "LC_ALL",
            "PWD",
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "XDG_RUNTIME_DIR",
            "TMPDIR",
            "VIMINIT",
            "SSH_AUTH_SOCK",
            "KEYMAP",
        ] {
            assert!(may_see(OsStr::new(name)), "{name}");
        }
    }
}
