//! Tests of the simulator through its socket, with the smallest client there is.
//!
//! Owns that client and the builders of requests. It refuses to use an HTTP
//! library, so that what is asserted is what was on the wire.

mod faults;
mod iam;
mod queries;
mod rules;
mod scenarios;
mod signing;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{JobSpec, SimConfig, Simulator};

const JOB: &str = "6513270e-269e-0d37-f2a7-4de452e6jbb4";
const OTHER: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";
const WAIT: Duration = Duration::from_secs(10);

/// An answer as it was on the wire.
#[derive(Debug)]
struct Seen {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn code(&self) -> String {
        self.json()["error_code"].as_str().unwrap().to_owned()
    }

    /// Each result as (id, end_point_type, status, error code).
    fn results(&self) -> Vec<(String, String, String, String)> {
        let document = self.json();
        let results = document["results"].as_array().unwrap().iter();
        results
            .map(|line| {
                let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
                (
                    text("id"),
                    text("end_point_type"),
                    text("status"),
                    text("error_code"),
                )
            })
            .collect()
    }
}

fn open(sim: &Simulator) -> TcpStream {
    let stream = TcpStream::connect(sim.url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
}

/// Sends one request; `None` if the connection was closed without an answer.
fn send(sim: &Simulator, request: &str, headers: &[(&str, &str)], body: &str) -> Option<Seen> {
    let mut stream = open(sim);
    write(&mut stream, request, headers, body);
    read(&mut stream)
}

fn write(stream: &mut TcpStream, request: &str, headers: &[(&str, &str)], body: &str) {
    let mut text = format!("{request} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes()).unwrap();
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    Some(Seen {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: bytes[split + 4..].to_vec(),
    })
}

fn path(sim: &Simulator, call: &str) -> String {
    format!("/v3/{}/jobs/{call}", sim.project_id())
}

fn headers(sim: &Simulator) -> [(&'static str, &str); 2] {
    [
        ("Content-Type", "application/json"),
        ("X-Auth-Token", sim.token()),
    ]
}

fn body(entries: &[(&str, &str, &str)]) -> String {
    let jobs: Vec<Value> = entries
        .iter()
        .map(|(job, endpoint, password)| {
            json!({"job_id": job, "end_point_type": endpoint, "db_password": password})
        })
        .collect();
    json!({"jobs": jobs}).to_string()
}

/// A password change of these (job, so or ta, password).
fn try_put(sim: &Simulator, entries: &[(&str, &str, &str)]) -> Option<Seen> {
    let request = format!("PUT {}", path(sim, "batch-modify-pwd"));
    send(sim, &request, &headers(sim), &body(entries))
}

fn put(sim: &Simulator, entries: &[(&str, &str, &str)]) -> Seen {
    try_put(sim, entries).unwrap()
}

fn put_raw(sim: &Simulator, body: &Value) -> Seen {
    let request = format!("PUT {}", path(sim, "batch-modify-pwd"));
    send(sim, &request, &headers(sim), &body.to_string()).unwrap()
}

fn query(sim: &Simulator, body: &Value) -> Seen {
    let request = format!("POST {}", path(sim, "batch-status"));
    send(sim, &request, &headers(sim), &body.to_string()).unwrap()
}

fn admin(sim: &Simulator, request: &str, body: &Value) -> Seen {
    let headers = [("X-Sim-Admin", sim.admin_token())];
    send(sim, request, &headers, &body.to_string()).unwrap()
}

/// Two running jobs.
fn config() -> SimConfig {
    SimConfig {
        jobs: vec![JobSpec::new(JOB), JobSpec::new(OTHER)],
        ..SimConfig::default()
    }
}

fn simulator() -> Simulator {
    Simulator::start(config()).unwrap()
}
