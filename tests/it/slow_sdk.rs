//! The vendor's own SDK for Python against the simulator, and as the judge of
//! what is sent: if it takes the simulator for the service, and reads the
//! requests of this program as its own, neither is merely our notion of it.
//!
//! The SDK comes from the package index that pip is set up for. Without one
//! these tests fail; they are never passed over.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use drspass::sim::{AccessKeySpec, Answered, Config, JobSpec, Recorded, Simulator};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::{J1, J2, Lab};

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

/// A running `drspass sim`, ended with this value.
struct Served {
    child: Child,
    url: String,
    admin: String,
}

impl Served {
    fn start(scenario: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_drspass"))
            .args(["sim", "--port", "0", "--scenario"])
            .arg(scenario)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |start: &str| loop {
            let line = lines.next().expect("the simulator says more").unwrap();
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        };
        let url = after("A simulated DRS service listens at ");
        let admin = after("admin token: ");
        Self { child, url, admin }
    }

    fn holds(&self, job: &str, endpoint: &str, password: &str) -> bool {
        let asked = json!({"job": job, "endpoint": endpoint, "password": password});
        let request = Request {
            method: "POST".to_owned(),
            target: "/sim/holds".to_owned(),
            headers: vec![
                ("host".to_owned(), "sim".to_owned()),
                ("x-sim-admin".to_owned(), self.admin.clone()),
            ],
            body: asked.to_string().into_bytes(),
        };
        request.send(&self.url).1["holds"] == true
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_sdk_takes_the_simulator_for_the_service() {
    let served = Served::start(&folder().join("jobs.yaml"));
    let project = Config::default().project_id;
    walk(&served.url, &project);
    assert!(served.holds(J1, "source", "canary-3"));
    assert!(served.holds(J1, "destination", "canary-2 ü🔑"));
    assert!(!served.holds(J1, "source", "canary-6"));
    assert!(!served.holds(J2, "source", "canary-4"));
}

/// A request, to be sent byte by byte as it stands here.
#[derive(Clone)]
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// The request as it came in.
    fn recorded(recorded: &Recorded) -> Self {
        let text = |name: &str| (name.to_owned(), recorded.header(name).unwrap().to_owned());
        Self {
            method: recorded.method().to_owned(),
            target: recorded.path().to_owned(),
            headers: recorded
                .header_names()
                .filter(|name| *name != "content-length" && *name != "connection")
                .map(text)
                .collect(),
            body: recorded.body().unwrap().to_vec(),
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        let mut headers = self.headers.iter_mut();
        let found = headers.find(|(known, _)| known == name);
        &mut found.unwrap_or_else(|| panic!("there is no {name}")).1
    }

    /// The names of the headers that the signature covers.
    fn signed(&mut self) -> Vec<String> {
        let authorization = self.header("authorization").clone();
        let names = authorization.split("SignedHeaders=").nth(1).unwrap();
        let names = names.split(',').next().unwrap().split(';');
        names.map(ToOwned::to_owned).collect()
    }

    /// The status of the answer, and its body.
    fn send(&self, url: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        head.push_str("connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&self.body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }
}

/// The same text with another last letter or digit.
fn touched(text: &str) -> String {
    let at = text
        .rfind(|sign: char| sign.is_ascii_alphanumeric())
        .expect("something to touch");
    let other = if &text[at..=at] == "1" { "2" } else { "1" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// Sends the request with one byte changed, at every place that is signed, and
/// unchanged in between: five refusals in a row would lock the key, and then
/// nothing could be told from a refusal.
fn assert_every_byte_counts(sim: &Simulator, original: &Request) {
    let mut changed: Vec<(String, Request)> = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut Request)| {
        let mut request = original.clone();
        change(&mut request);
        changed.push((what.to_owned(), request));
    };
    add("first byte of the body", &|request| request.body[0] ^= 1);
    add("last byte of the body", &|request| {
        *request.body.last_mut().unwrap() ^= 1;
    });
    add("path", &|request| {
        let (path, rest) = match request.target.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (request.target.as_str(), String::new()),
        };
        // A name in the middle, or the call itself would be another one.
        let mut parts: Vec<String> = path.split('/').map(ToOwned::to_owned).collect();
        parts[2] = touched(&parts[2]);
        request.target = format!("{}{rest}", parts.join("/"));
    });
    match original.target.contains('?') {
        true => add("query", &|request| {
            request.target = touched(&request.target)
        }),
        false => add("a query where there was none", &|request| {
            request.target.push_str("?a=1");
        }),
    }
    for name in original.clone().signed() {
        add(&name, &|request| {
            let value = request.header(&name);
            *value = touched(value);
        });
    }
    add("signature", &|request| {
        let value = request.header("authorization");
        *value = touched(value);
    });
    add("names of the signed headers", &|request| {
        let value = request.header("authorization");
        *value = value.replacen("host;", "", 1);
    });
    assert!(changed.len() >= 7);
    for (what, request) in &changed {
        let (status, _) = original.send(&sim.url());
        assert_eq!(status, 200, "before {what} was touched");
        let (status, body) = request.send(&sim.url());
        assert_eq!(status, 401, "{what}: {body}");
        assert_eq!(body["error_code"], "APIGW.0301", "{what}");
        let text = body["error_msg"].as_str().unwrap();
        assert!(
            text.contains("verify aksk signature fail") || text.contains("signature expired"),
            "{what}: {text}"
        );
    }
}

fn keyed() -> Simulator {
    let key = AccessKeySpec {
        access: ACCESS.to_owned(),
        secret: SECRET.to_owned(),
        security_token: None,
        user: None,
    };
    Simulator::start(Config {
        access_keys: vec![key],
        jobs: vec![JobSpec::new(J1)],
        record_bodies: true,
        ..Config::default()
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
    assert_eq!(recorded.answered(), Answered::Status(200));
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
    let mut lab = Lab::with_config(Config {
        access_keys: vec![key],
        jobs: [J1, J2].map(JobSpec::new).to_vec(),
        ..Config::default()
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
