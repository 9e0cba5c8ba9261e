//! The vendor's own SDK for Python against the simulator, and as the judge of
//! what is sent: if it takes the simulator for the service, and reads the
//! requests of this program as its own, neither is merely our notion of it.
//!
//! The SDK comes from the package index that pip is set up for. Without one
//! these tests fail; they are never passed over.

mod request;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use drspass::sim::{AccessKeySpec, Completion, JobSpec, SimConfig, Simulator};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::served::Served;
use crate::support::{J1, J2, Lab};
use request::{Request, assert_every_byte_counts};

/// The key that tests/sdk/jobs.yaml knows.
const ACCESS: &str = "CANARYSDKACCESSKEY01";
const SECRET: &str = "canary-sdk-secret-key";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// The interpreter of an environment that holds the SDK. It is made once and
/// kept for as long as the requirements stay what they are.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let requirements = folder().join("requirements.txt");
        let digest = Sha256::digest(fs::read(&requirements).unwrap());
        let name: String = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sdk-{name}"));
        let (python, done) = (home.join("bin/python"), home.join("installed"));
        if done.exists() {
            return python;
        }
        if home.exists() {
            fs::remove_dir_all(&home).unwrap();
        }
        // Both see the environment as it is, since it may say where to find the
        // package index.
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&home);
        must_work(
            &mut venv,
            "an environment for the vendor's SDK cannot be made; Debian has it in python3-venv",
        );
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps"]);
        pip.args(["--disable-pip-version-check", "--requirement"]);
        must_work(
            pip.arg(&requirements),
            "the vendor's SDK cannot be installed; these tests need a package index",
        );
        let mut check = Command::new(&python);
        must_work(
            check.args(["-m", "pip", "check"]),
            "tests/sdk/requirements.txt does not list all that the SDK needs",
        );
        fs::write(done, "").unwrap();
        python
    })
}

#[track_caller]
fn must_work(command: &mut Command, otherwise: &str) -> Output {
    let output = command
        .env_remove("PYTHONPATH")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{otherwise}: {error}"));
    assert!(
        output.status.success(),
        "{otherwise}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A script of tests/sdk with a home folder of its own, as the SDK writes to it.
fn script(name: &str, home: &Path) -> Command {
    let mut command = Command::new(python());
    command
        .arg(folder().join(name))
        .env_clear()
        .env("HOME", home)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HUAWEICLOUD_SDK_AK", ACCESS)
        .env("HUAWEICLOUD_SDK_SK", SECRET);
    command
}

fn walk(url: &str, project: &str) {
    let home = TempDir::new().unwrap();
    let mut walk = script("walk.py", home.path());
    walk.args(["--endpoint", url, "--project", project]);
    let output = must_work(&mut walk, "the SDK does not take the simulator");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("the SDK took every answer\n"), "{said}");
}

#[test]
fn the_sdk_takes_the_simulator_for_the_service() {
    let served = Served::start(&folder().join("jobs.yaml"));
    walk(&served.url, &served.project);
    assert!(served.holds(J1, "source", "canary-3"));
    assert!(served.holds(J1, "destination", "canary-2 ü🔑"));
    assert!(!served.holds(J1, "source", "canary-6"));
    assert!(!served.holds(J2, "source", "canary-4"));
}

fn keyed() -> Simulator {
    let key = AccessKeySpec {
        access: ACCESS.to_owned(),
        secret: SECRET.to_owned(),
        security_token: None,
        user: None,
    };
    Simulator::start(SimConfig {
        access_keys: vec![key],
        jobs: vec![JobSpec::new(J1)],
        record_bodies: true,
        ..SimConfig::default()
    })
    .unwrap()
}

#[test]
fn one_changed_byte_spoils_a_request_that_the_sdk_sent() {
    let text = fs::read_to_string(folder().join("jobs.yaml")).unwrap();
    let mut config = drspass::sim::scenario::parse(&text).unwrap();
    config.record_bodies = true;
    let sim = Simulator::start(config).unwrap();
    walk(&sim.url(), sim.project_id());
    let requests = sim.requests();
    let mut recorded = requests.iter().filter(|request| request.method() == "PUT");
    let recorded = recorded.next().unwrap();
    assert_eq!(recorded.answered(), Completion::Status(200));
    assert_every_byte_counts(&sim, &Request::recorded(recorded));
}

/// The date that the service writes, in the form for signing.
fn date_of(sim: &Simulator) -> String {
    let mut stream = TcpStream::connect(sim.url().strip_prefix("http://").unwrap()).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let mut lines = answer.lines();
    let date = lines.find_map(|line| line.strip_prefix("date: ")).unwrap();
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .unwrap();
    date.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The `Authorization` that the SDK's own signer gives a request.
fn signed_by_the_sdk(asked: &Value) -> String {
    let home = TempDir::new().unwrap();
    let mut child = script("sign.py", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn every_request_of_an_apply_is_signed_as_the_sdk_would_sign_it() {
    let key = AccessKeySpec {
        access: ACCESS.to_owned(),
        secret: SECRET.to_owned(),
        security_token: Some("canary-sdk-security-token".to_owned()),
        user: None,
    };
    let mut lab = Lab::with_config(SimConfig {
        access_keys: vec![key],
        jobs: [J1, J2].map(JobSpec::new).to_vec(),
        ..SimConfig::default()
    });
    lab.passwords(&[
        (J1, "source", "canary-\"quoted\"\\ ü 🔑"),
        (J2, "source", "canary-2"),
    ]);
    lab.plant(&[SECRET, "canary-sdk-security-token"]);
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command
        .env_remove("OS_TOKEN")
        .env("OS_ACCESS_KEY", ACCESS)
        .env("OS_SECRET_KEY", SECRET)
        .env("OS_SECURITY_TOKEN", "canary-sdk-security-token");
    lab.run_command(command).exits(0);
    let requests = lab.sim.requests();
    assert!(requests.iter().any(|request| request.method() == "PUT"));
    assert!(requests.iter().any(|request| request.method() == "POST"));
    for recorded in &requests {
        let mut request = Request::recorded(recorded);
        let sent = request.header("authorization").clone();
        let names = request.signed();
        let headers: serde_json::Map<String, Value> = names
            .into_iter()
            .map(|name| (name.clone(), json!(request.header(&name))))
            .collect();
        let asked = json!({
            "method": request.method,
            "url": format!("{}{}", lab.sim.url(), request.target),
            "headers": headers,
            "body": std::str::from_utf8(&request.body).unwrap(),
            "ak": ACCESS, "sk": SECRET,
        });
        assert_eq!(sent, signed_by_the_sdk(&asked), "{}", request.target);
    }
}

#[test]
fn one_changed_byte_spoils_a_request_with_a_query_that_the_sdk_signed() {
    let sim = keyed();
    let path = format!("/v3/{}/jobs/batch-modify-pwd", sim.project_id());
    let target = format!("{path}?b=2&note=a%20b%2F~");
    let entry = json!({"job_id": J1, "end_point_type": "so", "db_password": "canary-1"});
    let body = json!({"jobs": [entry]}).to_string();
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-language".to_owned(), "en-us".to_owned()),
        ("x-sdk-date".to_owned(), date_of(&sim)),
    ];
    let host = sim.url().strip_prefix("http://").unwrap().to_owned();
    headers.push(("host".to_owned(), host));
    let named: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let asked = json!({
        "method": "PUT", "url": format!("{}{target}", sim.url()), "headers": named,
        "body": body, "ak": ACCESS, "sk": SECRET,
    });
    let authorization = signed_by_the_sdk(&asked);
    headers.push(("authorization".to_owned(), authorization));
    let request = Request {
        method: "PUT".to_owned(),
        target,
        headers,
        body: body.into_bytes(),
    };
    assert_every_byte_counts(&sim, &request);
}

#[test]
fn the_sdk_reads_what_apply_sends_as_its_own() {
    let mut lab = Lab::new();
    let expected = [
        (J1, "source", "canary-plain"),
        (J1, "destination", "canary-\"quoted\"\\ ü 🔑"),
        (J2, "source", "canary: #not a comment"),
    ];
    lab.passwords(&expected);
    lab.apply(&[]).exits(0);
    let mut read = Vec::new();
    for request in lab.sim.requests() {
        if request.method() != "PUT" {
            continue;
        }
        let home = TempDir::new().unwrap();
        let file = home.path().join("body.json");
        fs::write(&file, request.body().unwrap()).unwrap();
        let mut reader = script("read.py", home.path());
        let output = must_work(reader.arg(file), "the SDK does not know the body");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (job, wire, password) =
                serde_json::from_str::<(String, String, String)>(line).unwrap();
            let endpoint = match wire.as_str() {
                "so" => "source",
                "ta" => "destination",
                other => panic!("{other} is no endpoint"),
            };
            read.push((job, endpoint, password));
        }
    }
    read.sort();
    let mut expected = expected.map(|(job, endpoint, password)| {
        let (job, password) = (job.to_owned(), password.to_owned());
        (job, endpoint, password)
    });
    expected.sort();
    assert_eq!(read, expected);
}
