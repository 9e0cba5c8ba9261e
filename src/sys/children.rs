//! Child processes: where their programs are found, and which variables they get. An editor or
//! a plugin needs no logins and keys.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PREFIXES: [&str; 6] = ["OS_", "HW_", "DRSPASS_", "AWS_", "SOPS_", "TF_VAR_"];

/// Words between underscores that mark the name of a secret.
const WORDS: [&str; 17] = [
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
    "AUTH",
    "CREDS",
    "JWT",
    "PAT",
    "SSHPASS",
];

const HARMLESS: [&str; 3] = ["PWD", "OLDPWD", "SSH_AUTH_SOCK"];

/// What git, ssh, curl and helpers for logins read: with proxies and the tokens of the hosts of
/// repositories, without what traces requests or leads to another repository.
const OF_GIT: [&str; 52] = [
    "ALL_PROXY",
    "CI_JOB_TOKEN",
    "CURL_CA_BUNDLE",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GH_CONFIG_DIR",
    "GH_HOST",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_PROTOCOL_FROM_USER",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_TERMINAL_PROMPT",
    "GNUPGHOME",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_PROXY",
    "PASSWORD_STORE_DIR",
    "PATH",
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

#[derive(Clone, Debug, Default)]
pub struct ChildEnv {
    vars: Vec<(OsString, OsString)>,
}

impl ChildEnv {
    /// Returns the variables that a child process may see.
    pub fn of(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let may_see = |(name, value): &(OsString, OsString)| may_see(name) && !is_told_by(value);
        let vars = vars.into_iter().filter(may_see).collect();
        Self { vars }
    }

    /// Returns the variables of a git that connects to other repositories.
    pub fn of_git(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let may_see = |(name, _): &(OsString, OsString)| is_of_git(name);
        let vars = vars.into_iter().filter(may_see).collect();
        Self { vars }
    }

    pub fn give(&self, command: &mut Command) {
        command
            .env_clear()
            .envs(self.vars.iter().map(|(name, value)| (name, value)));
    }

    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.vars.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// Returns the first program of this name in the absolute directories of PATH: a relative one
    /// would run a file of the current directory, which may be someone else's repository.
    pub fn program(&self, name: &OsStr) -> Option<PathBuf> {
        // Anything but one plain name would lead out of the directories of PATH.
        if Path::new(name).file_name() != Some(name) {
            return None;
        }
        std::env::split_paths(self.get("PATH")?)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
    }
}

pub fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Returns whether a variable of this name is surely not a secret.
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

fn is_of_git(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let starts = [
        "GIT_CONFIG_KEY_",
        "GIT_CONFIG_VALUE_",
        "GIT_HTTP_LOW_",
        "GIT_PROXY_SSL_",
        "GIT_SSL_",
        "LC_",
    ];
    let is_proxy = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].contains(&name);
    OF_GIT.contains(&name) || is_proxy || starts.iter().any(|start| name.starts_with(start))
}

/// Returns whether a value is a secret whatever its name: an identity, a private key, or an
/// address with a login.
fn is_told_by(value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let lower = value.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split("://").collect();
    let has_login = parts.windows(2).any(|pair| {
        let (scheme, rest) = (pair[0], pair[1]);
        let word = rest.split_whitespace().next().unwrap_or_default();
        let host = word.split(['/', '?', '#']).next().unwrap_or_default();
        // A password may have any character unescaped, so what looks like a path may be its end.
        let has_password = host
            .find(':')
            .is_some_and(|colon| word[colon..].contains('@'));
        // In web addresses, a single part before the host is a token.
        let is_web = scheme.ends_with("http") || scheme.ends_with("https");
        has_password || (is_web && host.contains('@'))
    });
    let upper = value.to_ascii_uppercase();
    let is_key = ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY-----"];
    has_login || is_key.iter().any(|mark| upper.contains(mark))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(path: &OsStr, name: &str) -> Option<PathBuf> {
        ChildEnv::of([("PATH".into(), path.to_owned())]).program(name.as_ref())
    }

    #[test]
    fn only_executable_files_in_absolute_folders_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stub");
        let full = folder.path().as_os_str();
        fs::write(&file, "#!/bin/sh\n").expect("written");
        assert_eq!(found(full, "stub"), None, "it is not executable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!(found(full, "stub"), Some(file.clone()));
        fs::create_dir(folder.path().join("below")).expect("made");
        assert_eq!(found(full, "below"), None, "it is a folder");
        let below = folder.path().join("below");
        for name in ["", ".", "..", "../stub", "/bin/sh", "stub/"] {
            assert_eq!(found(below.as_os_str(), name), None, "{name}");
        }
        assert_eq!(ChildEnv::default().program("stub".as_ref()), None);
    }

    #[test]
    fn empty_and_relative_folders_of_path_are_passed_over() {
        // Tests run in the directory of the crate; this is an executable file below it.
        assert!(is_program(Path::new(".ci/run")));
        for relative in ["", ".", ".ci", "::", "./.ci:"] {
            assert_eq!(found(OsStr::new(relative), "run"), None, "{relative}");
        }
        let full = fs::canonicalize(".ci").expect("a path");
        assert!(found(full.as_os_str(), "run").is_some());
    }

    #[test]
    fn a_value_that_is_a_secret_tells_itself() {
        for value in [
            "AGE-SECRET-KEY-1CANARY",
            "# mine\nage-plugin-stub-1canary",
            "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary",
            "postgres://drs:canary-login@db.example.com/orders",
            "a=http://u:canary@h",
            "https://canary@h/x",
            "git+https://canary@h/x",
            "postgres://u:ca/na?ry@h/db",
            "postgres://u:ca#nary@h/db",
        ] {
            let vars = ChildEnv::of([("HARMLESS".into(), value.into())]);
            assert_eq!(vars.get("HARMLESS"), None, "{value}");
        }
        for value in [
            "/usr/bin:/bin",
            "https://example.com/a@b:c",
            "ssh://git@example.com:22/x",
            "unix:path=/run/user/0/bus",
        ] {
            let vars = ChildEnv::of([("HARMLESS".into(), value.into())]);
            assert_eq!(vars.get("HARMLESS"), Some(OsStr::new(value)));
        }
    }

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
            "SSHPASS",
            "CI_JOB_JWT_V2",
            "DOCKER_AUTH_CONFIG",
            "GITLAB_PAT",
            "https_proxy",
            "HTTPS_PROXY",
        ] {
            assert!(!may_see(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn git_gets_what_connects_it_and_nothing_else() {
        for name in [
            "HTTPS_PROXY",
            "no_proxy",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_VALUE_3",
            "LC_ALL",
            "CI_JOB_TOKEN",
        ] {
            assert!(is_of_git(OsStr::new(name)), "{name}");
        }
        for name in [
            "DRSPASS_STATE_PASSWORD",
            "OS_PASSWORD",
            "HW_SECRET_KEY",
            "GIT_DIR",
            "GIT_CONFIG",
            "GIT_CONFIG_PARAMETERS",
            "GIT_TRACE",
            "GIT_TRACE_CURL",
            "GIT_CURL_VERBOSE",
            "GIT_QUARANTINE_PATH",
            "AWS_SESSION_TOKEN",
        ] {
            assert!(!is_of_git(OsStr::new(name)), "{name}");
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
            "SSH_ASKPASS",
            "KEYMAP",
        ] {
            assert!(may_see(OsStr::new(name)), "{name}");
        }
    }
}
