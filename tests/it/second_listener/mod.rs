//! Tricks that would have a password, a login or a token sent to somebody else: a
//! second listener waits there, and nobody ever comes.

mod proxies;

use std::net::TcpListener;
use std::process::Command;

use drspass::sim::{CannedAnswer, CatalogSpec, Fault, FaultKind, JobSpec, SimConfig, UserSpec};
use tempfile::TempDir;

use crate::support::{J1, Lab};

const PASSWORD: &str = "canary-cloud-password";

/// Commands that talk to the service.
const COMMANDS: [&[&str]; 5] = [
    &["whoami"],
    &["jobs"],
    &["plan", "--preflight"],
    &["apply", "--auto-approve"],
    // By then everything is in sync, so an apply must be told to send.
    &["apply", "--auto-approve", "--no-preflight", "--resend", J1],
];

/// Somebody else, who counts who comes. Connections wait in the queue of the
/// socket, so none is missed.
struct Second(TcpListener);

impl Second {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn host(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    #[track_caller]
    fn assert_alone(&self, what: &str) {
        assert!(self.0.accept().is_err(), "{what}: a connection was made");
    }
}

fn config() -> SimConfig {
    SimConfig {
        jobs: vec![JobSpec::new(J1)],
        users: vec![UserSpec {
            name: "operator".to_owned(),
            id: "u1".to_owned(),
            password: PASSWORD.to_owned(),
            domain: "acme".to_owned(),
            domain_id: "d1".to_owned(),
            passcode: None,
        }],
        ..SimConfig::default()
    }
}

fn lab_with(config: SimConfig) -> Lab {
    let mut lab = Lab::with_config(config);
    lab.plant(&[PASSWORD]);
    lab.passwords(&[(J1, "source", "canary-1")]);
    lab
}

fn lab() -> Lab {
    lab_with(config())
}

/// A command that logs in with a password.
fn by_password(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    command
        .env_remove("OS_TOKEN")
        .env("OS_USERNAME", "operator")
        .env("OS_PASSWORD", PASSWORD)
        .env("OS_USER_DOMAIN_NAME", "acme");
    command
}

/// Every command is refused with these words before anybody is connected to.
#[track_caller]
fn all_refused(lab: &Lab, second: &Second, words: &str) {
    let connections = lab.sim.connections();
    for args in COMMANDS {
        lab.run_command(by_password(lab, args)).exits(1).says(words);
        lab.run(args).exits(1).says(words);
        second.assert_alone(words);
    }
    assert_eq!(lab.sim.connections(), connections);
    assert!(!lab.sim.knows(J1, "source"));
}

fn redirect(http: u16, second: &Second, path: &str) -> FaultKind {
    let location = format!("{}{path}", second.url());
    FaultKind::Status(CannedAnswer {
        http,
        headers: [("Location".to_owned(), location)].into(),
        ..CannedAnswer::default()
    })
}

#[test]
fn a_redirected_password_goes_nowhere() {
    for http in [301, 302, 303, 307, 308] {
        let (lab, second) = (lab(), Second::new());
        let path = format!("/v3/{}/jobs/batch-modify-pwd", lab.sim.project_id());
        lab.sim
            .inject(Fault::always(redirect(http, &second, &path)));
        lab.apply(&[])
            .exits(1)
            .says(&format!("answer {http} is a redirect"))
            .says("127.0.0.1")
            .says("was not followed");
        second.assert_alone("PUT");
        assert_eq!(lab.sent().len(), 1);
        let entry = lab.entry(J1, "source");
        assert!(entry["applied"].is_null() && entry["pending"].is_null());
    }
}

#[test]
fn a_redirected_query_goes_nowhere() {
    for http in [301, 302, 307, 308] {
        let (lab, second) = (lab(), Second::new());
        let fault = Fault::always(redirect(http, &second, "/v3/x/jobs"));
        assert!(lab.sim.inject_query(None, fault));
        lab.run(&["jobs"]).exits(1).says("is a redirect");
        lab.run(&["plan", "--preflight"])
            .exits(0)
            .says("is a redirect");
        lab.apply(&[]).exits(0).says("is a redirect");
        second.assert_alone("query");
    }
}

#[test]
fn a_redirected_login_goes_nowhere() {
    for http in [301, 302, 307, 308] {
        for args in COMMANDS {
            let (lab, second) = (lab(), Second::new());
            lab.sim
                .inject_login(Fault::always(redirect(http, &second, "/v3/auth/tokens")));
            lab.run_command(by_password(&lab, args))
                .exits(1)
                .says(&format!("answer {http} is a redirect"))
                .says("was not followed");
            second.assert_alone("login");
            assert_eq!(lab.sim.requests().len(), 1, "{args:?}");
        }
    }
}

/// A root folder without an endpoint in a region that only the catalogue knows.
fn lab_of_catalogue(drs_endpoint: Option<String>, region: &str) -> Lab {
    let lab = lab_with(SimConfig {
        catalog: CatalogSpec {
            drs_endpoint,
            region: region.to_owned(),
            project_suffix: true,
        },
        ..config()
    });
    let (endpoint, _) = lab.addresses();
    let config = lab.read("drspass.yaml");
    let without = config.replace(
        &format!("  endpoint: \"{endpoint}\"\n"),
        "  region: \"eu-test\"\n",
    );
    assert_ne!(without, config, "{config}");
    lab.write("drspass.yaml", without);
    lab
}

#[test]
fn a_catalogue_that_names_another_endpoint_than_the_sealed_one_is_refused() {
    let second = Second::new();
    let lab = lab_of_catalogue(Some(second.url()), "eu-test");
    for args in COMMANDS {
        for run in [lab.run_command(by_password(&lab, args)), lab.run(args)] {
            run.exits(1)
                .says("the identity service's catalogue has")
                .says(&format!("sealed for {}", lab.sim.url()));
        }
        second.assert_alone("catalogue");
    }
    assert!(lab.sent().is_empty());
    assert!(!lab.exists("drspass.state.json"));
}

#[test]
fn a_catalogue_without_the_endpoint_is_refused() {
    for (named, region) in [(None, "eu-test"), (Some("self".to_owned()), "eu-elsewhere")] {
        let lab = lab_of_catalogue(named, region);
        for args in COMMANDS {
            lab.run(args).exits(1).says("has no DRS endpoint");
        }
        assert!(lab.sent().is_empty());
    }
}

#[test]
fn a_catalogue_that_confirms_the_sealed_endpoint_serves() {
    let lab = lab_of_catalogue(Some("self".to_owned()), "eu-test");
    lab.run_command(by_password(&lab, &["whoami"]))
        .exits(0)
        .says("region: eu-test");
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn an_entry_of_clouds_yaml_cannot_choose_whom_to_talk_to() {
    let (lab, second) = (lab(), Second::new());
    let home = TempDir::new().unwrap();
    let folder = home.path().join(".config/openstack");
    std::fs::create_dir_all(&folder).unwrap();
    let url = second.url();
    std::fs::write(
        folder.join("clouds.yaml"),
        format!(
            "clouds:\n  lab:\n    profile: {url}\n    region_name: eu-other\n    endpoint_override: {url}\n    \
             drs_endpoint_override: {url}\n    identity_endpoint_override: {url}/v3\n    auth:\n      \
             auth_url: {url}/v3\n      username: operator\n      password: {PASSWORD}\n      \
             user_domain_name: acme\n      project_name: eu-de\n"
        ),
    )
    .unwrap();
    for args in COMMANDS {
        let mut command = lab.command(args);
        command
            .env_remove("OS_TOKEN")
            .env("HOME", home.path())
            .env("OS_CLOUD", "lab");
        lab.run_command(command)
            .exits(0)
            .says("auth_url of entry lab")
            .says("differs from drspass.yaml and is not used");
        second.assert_alone("clouds.yaml");
    }
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn variables_cannot_choose_whom_to_talk_to() {
    let (lab, second) = (lab(), Second::new());
    for args in COMMANDS {
        let mut command = by_password(&lab, args);
        for name in [
            "OS_AUTH_URL",
            "HW_AUTH_URL",
            "HUAWEICLOUD_SDK_IAM_ENDPOINT",
            "HUAWEICLOUD_SDK_REGION_DRS_EU_DE",
            "OS_ENDPOINT_OVERRIDE",
            "OS_DRS_ENDPOINT_OVERRIDE",
        ] {
            command.env(name, second.url());
        }
        command.env("HW_CLOUD", second.host());
        lab.run_command(command)
            .exits(0)
            .says("OS_AUTH_URL differs from drspass.yaml and is not used");
        second.assert_alone("variables");
    }
    assert!(lab.sim.holds(J1, "source", "canary-1"));
}

#[test]
fn an_edited_drspass_yaml_is_refused_before_any_connection() {
    let (lab, second) = (lab(), Second::new());
    let (endpoint, auth_url) = lab.addresses();
    let config = lab.read("drspass.yaml");
    for (from, to) in [
        (
            format!("endpoint: \"{endpoint}\""),
            format!("endpoint: \"{}\"", second.url()),
        ),
        (
            format!("auth_url: \"{auth_url}\""),
            format!("auth_url: \"{}/v3\"", second.url()),
        ),
        // Without an endpoint the identity service would be asked, which must be
        // the sealed one as well.
        (
            format!("endpoint: \"{endpoint}\"\n  auth_url: \"{auth_url}\""),
            format!("region: \"eu-test\"\n  auth_url: \"{}/v3\"", second.url()),
        ),
    ] {
        let edited = config.replace(&from, &to);
        assert_ne!(edited, config, "{from} is not in\n{config}");
        lab.write("drspass.yaml", edited);
        all_refused(&lab, &second, "the manifest is sealed for");
    }
}
