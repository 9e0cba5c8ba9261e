//! The login as a whole, by source.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use miette::Diagnostic as _;
use tempfile::TempDir;

use super::*;
use crate::api::auth::{Domain, IamName};
use crate::ops::error::with_causes;

mod clouds;
mod files;
mod hostile;
mod vars;

/// The sealed project.
const A: &str = "054ba152d480d55b2f5dc0069e7ddef0";
/// Another one.
const B: &str = "b0b0b0b0d480d55b2f5dc0069e7ddef0";
const AUTH_URL: &str = "https://iam.eu-de.otc.t-systems.com/v3";

/// A machine with a home folder, a system folder and a git work tree.
struct Machine {
    folder: TempDir,
    /// The root folder.
    root: &'static str,
    env: Env,
    flags: LoginFlags,
    credentials_from: Option<&'static str>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["home/.config/openstack", "etc", "repo/.git", "repo/prod"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        let home = folder.path().join("home");
        let env = Env::default().with_var("HOME", home.to_str().expect("UTF-8"));
        Self {
            folder,
            root: "repo/prod",
            env,
            flags: LoginFlags::default(),
            credentials_from: None,
        }
    }

    /// A machine with these variables, each `NAME=value`.
    fn with_vars(vars: &[&str]) -> Self {
        vars.iter().fold(Self::new(), |machine, var| {
            let (name, value) = var.split_once('=').expect("NAME=value");
            machine.var(name, value)
        })
    }

    /// A machine with this clouds.yaml in the usual place.
    fn with_clouds(text: &str) -> Self {
        Self::new().file("home/.config/openstack/clouds.yaml", text)
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.env = self.env.with_var(name, value);
        self
    }

    /// A variable that is the path of a file of this machine.
    fn path_var(self, name: &str, path: &str) -> Self {
        let path = self.path(path);
        self.var(name, path.to_str().expect("UTF-8"))
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        self
    }

    fn link(self, path: &str, to: &str) -> Self {
        std::os::unix::fs::symlink(self.path(to), self.path(path)).expect("a link");
        self
    }

    fn cloud(mut self, name: &str) -> Self {
        self.flags.cloud = Some(name.to_owned());
        self
    }

    fn token_file(mut self, path: &str) -> Self {
        self.flags.token_file = Some(PathBuf::from(path));
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn find(&self) -> Result<FoundLogin, Failure> {
        let place = LoginContext {
            env: &self.env,
            system: &self.path("etc"),
            folder: &self.path(self.root),
            project_id: A,
            auth_url: AUTH_URL,
            credentials_from: self.credentials_from,
        };
        super::find(&self.flags, &place)
    }

    #[track_caller]
    fn login(&self) -> FoundLogin {
        self.find()
            .unwrap_or_else(|error| panic!("{}", told(&error)))
    }

    /// The source of the login, without the folder of this machine.
    #[track_caller]
    fn source(&self) -> String {
        self.short(&self.login().source)
    }

    /// Everything that the error tells, without the folder of this machine.
    #[track_caller]
    fn error(&self) -> String {
        match self.find() {
            Ok(login) => panic!("there is a login: {login:?}"),
            Err(error) => self.short(&told(&error)),
        }
    }

    fn short(&self, text: &str) -> String {
        let real = fs::canonicalize(self.folder.path()).expect("a folder");
        text.replace(&format!("{}/", real.display()), "")
            .replace(&format!("{}/", self.folder.path().display()), "")
    }

    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let error = self.error();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
        assert!(!error.contains("canary"), "{error}");
        assert!(error.contains("Nothing was sent"), "{error}");
    }
}

/// Everything that a person can see of an error.
fn told(error: &Failure) -> String {
    let code = error.code().map(|code| code.to_string());
    let help = error.help().map(|help| help.to_string());
    format!(
        "{} | {} | {} | {error:?}",
        with_causes(error),
        help.expect("every error says what to do"),
        code.expect("every error has a code"),
    )
}

fn text_of(value: &crate::core::secret::Secret) -> &str {
    value.expose()
}

#[track_caller]
fn token(login: &FoundLogin) -> &str {
    match &login.credentials {
        Credentials::Token(token) => text_of(token),
        other => panic!("{other:?} is no token"),
    }
}

/// A password login in one line: user, password, passcode, project.
#[track_caller]
fn password(login: &FoundLogin) -> String {
    let Credentials::Password(login) = &login.credentials else {
        panic!("{:?} is no password", login.credentials);
    };
    let passcode = login.passcode.as_deref().map(text_of);
    format!(
        "{} {}{} {}",
        called(&login.user),
        text_of(&login.password),
        passcode.map_or_else(String::new, |code| format!("+{code}")),
        called(&login.project)
    )
}

fn called(name: &IamName) -> String {
    match name {
        IamName::Id(id) => format!("#{id}"),
        IamName::Named(name, None) => name.clone(),
        IamName::Named(name, Some(Domain::Id(id))) => format!("{name}@#{id}"),
        IamName::Named(name, Some(Domain::Name(domain))) => format!("{name}@{domain}"),
    }
}

/// An access key in one line: id, secret, security token, project.
#[track_caller]
fn access_key(login: &FoundLogin) -> String {
    let Credentials::AccessKey(key) = &login.credentials else {
        panic!("{:?} is no access key", login.credentials);
    };
    format!(
        "{} {} {} {}",
        text_of(&key.access),
        text_of(&key.secret),
        key.security_token.as_ref().map_or("-", text_of),
        key.project.as_ref().map_or_else(|| "-".to_owned(), called),
    )
}

#[test]
fn without_any_source_the_error_lists_the_ways() {
    Machine::new().refuses(&[
        "no login found",
        "OS_TOKEN",
        "OS_USERNAME",
        "OS_ACCESS_KEY",
        "OS_CLOUD",
        "credentials_from",
        "--token-file",
    ]);
}

#[test]
fn a_login_of_variables_needs_no_file() {
    let machine = Machine::with_vars(&["OS_TOKEN=canary-t"]);
    let place = LoginContext {
        env: &machine.env,
        system: Path::new(SYSTEM),
        folder: &machine.path("repo"),
        project_id: A,
        auth_url: AUTH_URL,
        credentials_from: Some("nobody-looks"),
    };
    let login = find(&machine.flags, &place).expect("a login");
    assert_eq!(token(&login), "canary-t");
    assert_eq!(login.notes, [""; 0]);
}

#[test]
fn the_order_is_flags_then_a_named_entry_then_variables_then_clouds() {
    let clouds = "clouds: {prod: {auth: {token: canary-cloud}}, other: {token: canary-other}}";
    let all = || {
        Machine::with_clouds(clouds)
            .var("OS_CLOUD", "prod")
            .file("home/token", "canary-file\n")
    };
    for (machine, found, named_by) in [
        (all(), "canary-cloud", "OS_CLOUD"),
        (all().cloud("other"), "canary-other", "--cloud"),
    ] {
        assert_eq!(machine.login().notes, [""; 0]);
        let login = machine.var("OS_TOKEN", "canary-var").login();
        assert_eq!(token(&login), found);
        let notes = login.notes.join("\n");
        let told = format!("OS_TOKEN is set but not used: {named_by} names");
        assert!(notes.starts_with(&told), "{notes}");
    }
    let mut machine = Machine::with_clouds(clouds).var("OS_TOKEN", "canary-var");
    machine.credentials_from = Some("prod");
    let login = machine.login();
    assert_eq!(
        (token(&login), login.source.as_str()),
        ("canary-var", "OS_TOKEN")
    );

    let machine = all().var("OS_TOKEN", "canary-var");
    let path = machine.path("home/token");
    let login = machine.token_file(path.to_str().expect("UTF-8")).login();
    // The session takes the line end off.
    assert_eq!(
        (token(&login), login.source.as_str()),
        ("canary-file\n", "the token file (--token-file)")
    );

    let login = all().login();
    assert_eq!(token(&login), "canary-cloud");
}

#[test]
fn an_entry_is_named_by_flag_then_variable_then_drspass_yaml() {
    let clouds = "clouds: {a: {token: canary-a}, b: {token: canary-b}, c: {token: canary-c}}";
    let mut machine = Machine::with_clouds(clouds);
    machine.credentials_from = Some("c");
    assert_eq!(token(&machine.login()), "canary-c");
    let machine = machine.var("OS_CLOUD", "b");
    assert_eq!(token(&machine.login()), "canary-b");
    let machine = machine.cloud("a");
    assert_eq!(token(&machine.login()), "canary-a");
    // That variable is the domain of another program's addresses.
    Machine::with_clouds(clouds).var("HW_CLOUD", "a").refuses(&[
        "no login found",
        "several entries",
        "clouds.yaml",
    ]);
}

#[test]
fn unsafe_variables_are_refused_whatever_the_login_is() {
    for name in ["OS_INSECURE", "HW_INSECURE"] {
        for on in ["1", "true", "True", "yes", "on", "canary", " "] {
            Machine::with_vars(&["OS_TOKEN=canary-t"])
                .var(name, on)
                .refuses(&[name, "--ca-file"]);
        }
        for off in ["", "0", "false", "FALSE", "no", "No"] {
            Machine::with_vars(&["OS_TOKEN=canary-t"])
                .var(name, off)
                .login();
        }
    }
    for name in ["OS_CERT", "OS_KEY"] {
        Machine::with_vars(&["OS_TOKEN=canary-t"])
            .var(name, "canary-key")
            .refuses(&[name, "not supported"]);
        Machine::with_vars(&["OS_TOKEN=canary-t"])
            .var(name, "")
            .login();
    }
}

#[test]
fn a_project_id_variable_must_have_the_form_and_be_the_sealed_one() {
    let long = "a".repeat(65);
    for name in ["OS_PROJECT_ID", "OS_TENANT_ID", "HW_PROJECT_ID"] {
        for bad in ["", "  ", "a/b", "..", "a?b", "ä", "a\n", long.as_str()] {
            let env = Env::default().with_var(name, bad);
            for refused in [check_project_form(&env), check_project(&env, A)] {
                let told = told(&refused.expect_err(bad));
                let words = match bad {
                    "" => format!("{name} is empty"),
                    _ => format!("the project id from {name} is not"),
                };
                assert!(told.contains(&words), "{told}");
            }
        }
        let raw: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(b"a\xffb".to_vec());
        assert!(check_project_form(&Env::default().with_var(name, raw)).is_err());

        let env = Env::default().with_var(name, B);
        assert!(check_project_form(&env).is_ok());
        let told = told(&check_project(&env, A).expect_err("another project"));
        for word in [name, A, B, "drspass.yaml", "Nothing was sent"] {
            assert!(told.contains(word), "{word} is not in {told}");
        }
        assert!(check_project(&Env::default().with_var(name, A), A).is_ok());
        // Whatever the login is.
        Machine::with_clouds("clouds: {x: {token: canary}}")
            .var(name, B)
            .refuses(&[name, A, B]);
    }
    // The first that differs is named, and one that fits does not cover for it.
    let env = Env::default()
        .with_var("OS_PROJECT_ID", A)
        .with_var("HW_PROJECT_ID", B);
    let told = told(&check_project(&env, A).expect_err("another project"));
    assert!(told.contains("HW_PROJECT_ID"), "{told}");
}

#[test]
fn addresses_and_regions_that_differ_are_told_and_not_used() {
    let notes = |vars: &[&str]| {
        let mut all = vec!["OS_TOKEN=canary-t"];
        all.extend(vars);
        Machine::with_vars(&all).login().notes
    };
    for same in [
        "OS_AUTH_URL=https://iam.eu-de.otc.t-systems.com/v3",
        "OS_AUTH_URL=https://iam.eu-de.otc.t-systems.com/v3/",
        "HW_AUTH_URL=https://IAM.eu-de.otc.t-systems.com",
        "OS_REGION_NAME=eu-de",
        "OS_AUTH_URL=",
    ] {
        assert_eq!(notes(&[same]), [""; 0], "{same}");
    }
    for other in [
        "OS_AUTH_URL=https://canary:canary@example.org/v3",
        "HW_AUTH_URL=https://example.org",
        "OS_REGION_NAME=eu-nl",
        "OS_REGION=canary",
        "OS_REGION_ID=eu",
        "HW_REGION_NAME=cn-north-4",
    ] {
        let notes = notes(&[other]).join("\n");
        let name = other.split('=').next().expect("a name");
        assert!(notes.starts_with(name), "{notes}");
        assert!(!notes.contains("canary"), "{notes}");
    }
    let machine = Machine::with_clouds(
        "clouds: {x: {profile: nobody-knows-it, token: t, region_name: eu-nl, \
         auth: {auth_url: 'https://canary.example.org/v3'}}}",
    );
    let notes = machine.login().notes.join("\n");
    assert!(notes.contains("auth_url of entry x of "), "{notes}");
    assert!(notes.contains("region_name of entry x of "), "{notes}");
    assert!(!notes.contains("canary"), "{notes}");
}

/// Nothing of a login shows a secret, whatever its kind.
#[test]
fn debug_of_a_login_holds_no_secret() {
    fn shown(value: &impl Debug) -> String {
        format!("{value:?} {value:#?}")
    }
    for vars in [
        &["OS_TOKEN=canary-1"][..],
        &["OS_AK=canary-1", "OS_SK=canary-2", "OS_ST=canary-3"],
        &[
            "OS_USER_ID=u",
            "OS_PASSWORD=canary-1",
            "OS_PASSCODE=canary-2",
        ],
    ] {
        let login = Machine::with_vars(vars).login();
        assert!(!shown(&login).contains("canary"), "{login:?}");
    }
}
