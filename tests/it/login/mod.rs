//! Logins from end to end: each kind of them, where it is read from, how long a
//! token serves, and what becomes of a run whose login is refused.

mod certificates;
mod odd;
mod refused;
mod renewal;
mod settings;
mod sources;
mod target;

use std::fs;
use std::path::Path;
use std::process::Command;

use drspass::sim::{AccessKeySpec, JobSpec, ProjectSpec, SimConfig, UserSpec};
use tempfile::TempDir;

use crate::support::leaks::found;
use crate::support::{J1, J2, J3, Lab, Run};

/// Secrets of the cloud. They are made up, and searched for after each run.
const PASSWORD: &str = "canary-cloud-password";
const PASSCODE: &str = "canary-passcode";
const ACCESS: &str = "canaryACCESSKEY00001";
const SECRET: &str = "canary-secret-key-00001";
const TEMPORARY_ACCESS: &str = "canaryACCESSKEY00002";
const TEMPORARY_SECRET: &str = "canary-secret-key-00002";
const SECURITY_TOKEN: &str = "canary-security-token-00002";

const USER: &str = "operator";
const USER_ID: &str = "00user00user00user00user00user01";
const MFA_USER_ID: &str = "00user00user00user00user00user02";
const DOMAIN: &str = "acme";

/// A project of the same account that the manifest is not sealed for.
const OTHER_PROJECT: &str = "ffff456789abcdef0123456789abcdef";
const OTHER_NAME: &str = "eu-de_other";

/// Variables of one run.
type Vars = Vec<(&'static str, String)>;

fn vars(pairs: &[(&'static str, &str)]) -> Vars {
    let owned = pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    owned.collect()
}

/// A user with a password, named with the account.
fn by_name() -> Vars {
    vars(&[
        ("OS_USERNAME", USER),
        ("OS_PASSWORD", PASSWORD),
        ("OS_USER_DOMAIN_NAME", DOMAIN),
    ])
}

/// An access key.
fn by_key() -> Vars {
    vars(&[("OS_ACCESS_KEY", ACCESS), ("OS_SECRET_KEY", SECRET)])
}

/// A simulator with users, keys, two projects and three jobs.
fn config() -> SimConfig {
    let user = |name: &str, id: &str, passcode: Option<&str>| UserSpec {
        name: name.to_owned(),
        id: id.to_owned(),
        password: PASSWORD.to_owned(),
        domain: DOMAIN.to_owned(),
        domain_id: "d1".to_owned(),
        passcode: passcode.map(str::to_owned),
    };
    let key = |access: &str, secret: &str, token: Option<&str>| AccessKeySpec {
        access: access.to_owned(),
        secret: secret.to_owned(),
        security_token: token.map(str::to_owned),
        user: Some(USER.to_owned()),
    };
    SimConfig {
        jobs: [J1, J2, J3].map(JobSpec::new).to_vec(),
        users: vec![
            user(USER, USER_ID, None),
            user("operator-mfa", MFA_USER_ID, Some(PASSCODE)),
        ],
        access_keys: vec![
            key(ACCESS, SECRET, None),
            key(TEMPORARY_ACCESS, TEMPORARY_SECRET, Some(SECURITY_TOKEN)),
        ],
        other_projects: vec![ProjectSpec {
            id: OTHER_PROJECT.to_owned(),
            name: OTHER_NAME.to_owned(),
        }],
        ..SimConfig::default()
    }
}

/// A root folder against that simulator, with one password to be set.
fn lab() -> Lab {
    lab_with(config())
}

fn lab_with(config: SimConfig) -> Lab {
    let mut lab = Lab::with_config(config);
    lab.plant(&[
        PASSWORD,
        PASSCODE,
        ACCESS,
        SECRET,
        TEMPORARY_ACCESS,
        TEMPORARY_SECRET,
        SECURITY_TOKEN,
    ]);
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab
}

/// A root folder with `count` jobs, each with a password to be set, and one entry
/// to a request.
fn lab_of_many(count: usize, parallelism: usize, config: SimConfig) -> Lab {
    let mut lab = lab_with(SimConfig {
        accept_any_job: true,
        ..config
    });
    lab.configure(&format!(
        "apply: {{ batch_size: 1, parallelism: {parallelism} }}"
    ));
    let ids: Vec<String> = (0..count)
        .map(|at| format!("{at:08}-d41c-41b9-bc2b-8c00ba32jb50"))
        .collect();
    let entries: Vec<_> = ids
        .iter()
        .map(|id| (id.as_str(), "source", "canary-many"))
        .collect();
    lab.passwords(&entries);
    lab
}

/// A command with these variables and no other login.
fn command(lab: &Lab, args: &[&str], vars: &Vars) -> Command {
    let mut command = lab.command(args);
    command.env_remove("OS_TOKEN");
    for (name, value) in vars {
        command.env(name, value);
    }
    command
}

/// Runs it. No token that a login was given stands in what it said.
#[track_caller]
fn run(lab: &Lab, args: &[&str], vars: &Vars) -> Run {
    checked(lab, lab.run_command(command(lab, args, vars)))
}

#[track_caller]
fn apply(lab: &Lab, more: &[&str], vars: &Vars) -> Run {
    run(lab, &[&["apply", "--auto-approve"], more].concat(), vars)
}

#[track_caller]
fn checked(lab: &Lab, run: Run) -> Run {
    for token in lab.sim.issued_tokens() {
        let forms = found(&token, run.all().as_bytes());
        assert_eq!(forms, None, "a token was printed");
        for entry in fs::read_dir(lab.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let content = fs::read(&path).unwrap();
                assert_eq!(found(&token, &content), None, "{}", path.display());
            }
        }
    }
    run
}

/// A home folder outside of the work tree, with these two files.
fn home(clouds: &str, secure: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let home = TempDir::new().unwrap();
    let folder = home.path().join(".config/openstack");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in [("clouds.yaml", clouds), ("secure.yaml", secure)] {
        if !text.is_empty() {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    home
}

fn home_var(home: &Path) -> (&'static str, String) {
    ("HOME", home.display().to_string())
}

/// The state file, or nothing where there is none yet.
fn state_bytes(lab: &Lab) -> Option<Vec<u8>> {
    fs::read(lab.path("drspass.state.json")).ok()
}

/// Nothing was changed at the service or on disk, and nobody holds the lock.
#[track_caller]
fn assert_untouched(lab: &Lab, state: Option<&[u8]>) {
    assert_eq!(lab.sent().len(), 0, "a password left");
    assert_eq!(state_bytes(lab).as_deref(), state);
    assert!(!lab.exists("drspass.state.json.journal"));
    lab.run(&["lock", "show"]).exits(0).says("The lock is free");
}

/// Method and path of each request so far.
fn asked(lab: &Lab) -> Vec<(String, String)> {
    let requests = lab.sim.requests();
    let calls = requests.iter();
    calls
        .map(|request| (request.method().to_owned(), request.path().to_owned()))
        .collect()
}

/// A token of this project, fetched as somebody does who has other programs too.
fn token_of(lab: &Lab, project: &str) -> String {
    use std::io::{Read as _, Write as _};
    let body = format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"id":"{USER_ID}","password":"{PASSWORD}"}}}}}},"scope":{{"project":{{"id":"{project}"}}}}}}}}"#
    );
    let host = lab.sim.url().replace("http://", "");
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "POST /v3/auth/tokens?nocatalog=1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    lab.sim.issued_tokens().pop().unwrap()
}

/// The body of the n-th login, as JSON.
fn login_body(lab: &Lab, at: usize) -> serde_json::Value {
    let requests = lab.sim.requests();
    let mut logins = requests
        .iter()
        .filter(|request| request.method() == "POST" && request.path().starts_with("/v3/auth/"));
    let body = logins.nth(at).and_then(|request| request.body()).unwrap();
    serde_json::from_slice(body).unwrap()
}
