use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use miette::Diagnostic as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::core::fingerprint::Scope;
use crate::core::inventory::UseType;
use crate::core::job::{self, EntryKey, JobId};
use crate::core::manifest::Assignment;
use crate::core::outcome::{Doubt, RefusalKind, ResultVerdict};
use crate::core::secret::Secret;
use crate::core::target::Target;

const PROJECT: &str = "054ba152d480d55b2f5dc0069e7ddef0";
const SUCCESS: &str =
    r#"{"count":1,"results":[{"id":"j1","end_point_type":"so","status":"success"}]}"#;

/// What the fixture does with one request.
enum Act {
    Answer(String),
    /// Reads the request and closes the connection.
    Close,
    /// Reads the request and never answers.
    Hang,
}

/// A server that acts out a script, one connection for each request, and
/// closes every connection past its end. It keeps what it was sent.
struct Fixture {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    async fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut script = script.into_iter();
            let mut hanging = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                match script.next() {
                    Some(Act::Answer(text)) => {
                        let _ = stream.write_all(text.as_bytes()).await;
                        let _ = stream.shutdown().await;
                    }
                    Some(Act::Hang) => hanging.push(stream),
                    Some(Act::Close) | None => drop(stream),
                }
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        text.extend_from_slice(&chunk[..read]);
        let so_far = String::from_utf8_lossy(&text);
        // The first message of a TLS handshake has no end that we could find.
        if read == 0 || text.first() == Some(&0x16) {
            return so_far.into_owned();
        }
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |n| n.parse().unwrap());
        if body.len() >= length {
            return so_far.into_owned();
        }
    }
}

fn answer(status: u16, headers: &str, body: &str) -> Act {
    Act::Answer(format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    ))
}

fn ok() -> Act {
    answer(200, "Content-Type: application/json\r\n", SUCCESS)
}

fn error(status: u16, code: &str) -> Act {
    answer(
        status,
        "",
        &format!(r#"{{"error_code":"{code}","error_msg":"m"}}"#),
    )
}

fn login() -> Credentials {
    Credentials::Token(Secret::new("canary-tok-1\n".to_owned()))
}

const AMBIENT: Ambient = Ambient {
    now: || Timestamp::UNIX_EPOCH,
    random: || 0,
    progress: |_| {},
};

fn target(endpoint: String, project_id: &str) -> Target {
    Target {
        scope: Scope {
            endpoint,
            project_id: project_id.to_owned(),
        },
        auth_url: "http://127.0.0.1:9/v3".to_owned(),
    }
}

fn options(endpoint: String) -> ClientOptions {
    let mut options = ClientOptions::new(target(endpoint, PROJECT));
    options.sending.request_timeout = Duration::from_millis(400);
    options.sending.retry_max_elapsed = Duration::from_secs(20);
    options.retry_first_wait = Duration::from_millis(4);
    options
}

fn client(fixture: &Fixture) -> Client {
    let options = options(format!("http://{}/", fixture.address));
    Client::new(options, login(), AMBIENT).unwrap()
}

fn entry() -> Assignment {
    Assignment {
        key: EntryKey {
            job: JobId::parse("j1").unwrap(),
            endpoint: job::Endpoint::Source,
        },
        label: String::new(),
        password: Arc::new(Secret::new("canary-p-1".to_owned())),
        credential: None,
        kerberos: Vec::new(),
    }
}

async fn send(client: &Client) -> BatchAnswer {
    let answered = client.modify_passwords(&[&entry()], &Gate::new(4)).await;
    answered.expect("it was let out")
}

async fn run(script: Vec<Act>) -> (BatchAnswer, Vec<String>) {
    let fixture = Fixture::start(script).await;
    let answered = send(&client(&fixture)).await;
    (answered, fixture.requests())
}

fn is_success(reply: &BatchReply) -> bool {
    matches!(reply, BatchReply::PerEntry { results, .. } if results[0].verdict == ResultVerdict::Success)
}

#[tokio::test]
async fn a_request_is_sent_exactly_as_documented() {
    let (answered, requests) = run(vec![ok()]).await;
    assert!(is_success(&answered.reply));
    assert_eq!(answered.notes, [""; 0]);
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        r#"{"jobs":[{"job_id":"j1","end_point_type":"so","db_password":"canary-p-1"}]}"#
    );
    let mut lines = head.split("\r\n");
    let first = format!("PUT /v3/{PROJECT}/jobs/batch-modify-pwd HTTP/1.1");
    assert_eq!(lines.next(), Some(first.as_str()));
    let mut headers: Vec<&str> = lines.filter(|line| !line.starts_with("host:")).collect();
    headers.sort_unstable();
    let agent = format!("user-agent: drspass/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        headers,
        [
            "accept-encoding: identity",
            "accept: */*",
            "content-length: 75",
            "content-type: application/json",
            agent.as_str(),
            "x-auth-token: canary-tok-1",
            "x-language: en-us",
        ]
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Fixture::start(vec![ok()]).await;
    for status in [301, 302, 307, 308] {
        let location = format!("Location: http://{}/x?q=1\r\n", other.address);
        let (answered, requests) = run(vec![answer(status, &location, "")]).await;
        assert!(matches!(answered.reply, BatchReply::TurnedAway(_)));
        assert_eq!(
            answered.notes,
            [format!(
                "answer {status} is a redirect to \"127.0.0.1\" and was not followed"
            )]
        );
        assert_eq!(requests.len(), 1);
    }
    assert_eq!(other.requests(), [""; 0]);
}

#[tokio::test]
async fn a_throttled_request_is_repeated_as_it_was() {
    let fixture = Fixture::start(vec![
        answer(429, "Retry-After: 1\r\n", ""),
        error(400, "DRS.M01503"),
        error(202, "DRS.M01504"),
        ok(),
    ])
    .await;
    let gate = Gate::new(8);
    let started = std::time::Instant::now();
    let client = client(&fixture);
    let answered = client.modify_passwords(&[&entry()], &gate).await;
    let answered = answered.expect("it was let out");
    assert!(is_success(&answered.reply));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(gate.limit(), 1);
    let requests = fixture.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| *request == requests[0]));
    assert_eq!(answered.notes, [""; 0]);
    let notes = client.notes();
    let [note] = &notes[..] else {
        panic!("{notes:?}");
    };
    assert!(
        note.starts_with("the service throttled requests; waits: 3, "),
        "{note}"
    );
}

#[tokio::test]
async fn throttling_ends_with_the_time_for_it() {
    let script = (0..100).map(|_| error(429, "APIG.0308")).collect();
    let fixture = Fixture::start(script).await;
    let mut options = options(format!("http://{}", fixture.address));
    options.sending.retry_max_elapsed = Duration::from_millis(60);
    let client = Client::new(options, login(), AMBIENT).unwrap();
    let answered = send(&client).await;
    let BatchReply::TurnedAway(refusal) = &answered.reply else {
        panic!("{answered:?}");
    };
    assert_eq!(refusal.kind, RefusalKind::Busy);
    assert_eq!(refusal.code.as_str(), "APIG.0308");
    assert!(answered.notes[0].starts_with("throttled: gave up"));
    assert!((2..20).contains(&fixture.requests().len()));
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_not_begun() {
    let (answered, requests) = run(vec![answer(429, "Retry-After: 3600\r\n", "")]).await;
    assert!(matches!(answered.reply, BatchReply::TurnedAway(_)));
    assert!(answered.notes[0].contains("asked to wait 3600 s"));
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn closing_the_gate_ends_a_wait() {
    let fixture = Fixture::start(vec![answer(429, "Retry-After: 15\r\n", "")]).await;
    let gate = Gate::new(1);
    let client = client(&fixture);
    let entry = entry();
    let entries = [&entry];
    let closing = async {
        while fixture.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gate.close();
    };
    let (answered, ()) = tokio::join!(client.modify_passwords(&entries, &gate), closing);
    let answered = answered.expect("it was let out");
    assert!(matches!(answered.reply, BatchReply::TurnedAway(_)));
    assert_eq!(answered.notes, ["stopped while the service asked to wait"]);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more() {
    let half = format!("HTTP/1.1 200 X\r\nContent-Length: 999\r\n\r\n{SUCCESS}");
    for lost in [Act::Close, Act::Hang, Act::Answer(half)] {
        let (answered, requests) = run(vec![lost, ok()]).await;
        let BatchReply::AfterLoss(reply) = &answered.reply else {
            panic!("{answered:?}");
        };
        assert!(is_success(reply));
        assert_eq!(answered.notes.len(), 1);
        assert!(answered.notes[0].starts_with("answer from 127.0.0.1:"));
        assert!(answered.notes[0].contains(" lost: "));
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0], requests[1]);
    }
}

#[tokio::test]
async fn an_answer_lost_twice_leaves_a_doubt() {
    let (answered, requests) = run(vec![Act::Close, Act::Close, ok()]).await;
    assert_eq!(answered.reply, BatchReply::Lost(Doubt::AnswerLost));
    assert_eq!(requests.len(), 2);
    let (answered, requests) = run(vec![Act::Hang, Act::Hang, ok()]).await;
    assert_eq!(answered.reply, BatchReply::Lost(Doubt::AnswerLost));
    assert_eq!(requests.len(), 2);
    assert!(answered.notes[0].ends_with("lost: timed out"));
}

#[tokio::test]
async fn a_refusal_after_a_loss_does_not_prove_that_nothing_changed() {
    let (answered, requests) = run(vec![Act::Close, error(401, "DRS.M00103"), ok()]).await;
    assert!(matches!(answered.reply, BatchReply::AfterLoss(_)));
    assert!(answered.reply.login_refusal().is_some());
    assert_eq!(requests.len(), 2);
    let (answered, requests) =
        run(vec![Act::Close, error(429, "APIG.0308"), Act::Close, ok()]).await;
    assert_eq!(answered.reply, BatchReply::Lost(Doubt::AnswerLost));
    assert_eq!(requests.len(), 3);
}

#[tokio::test]
async fn a_refused_login_is_never_repeated() {
    for (status, code) in [(401, "DRS.M00103"), (403, "DRS.M00100"), (401, "APIG.0301")] {
        let (answered, requests) = run(vec![error(status, code), ok()]).await;
        assert!(
            matches!(answered.reply, BatchReply::LoginRefused(_)),
            "{code}"
        );
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn failures_and_refusals_are_never_repeated() {
    for act in [
        error(500, "DRS.M00004"),
        error(400, "DRS.M00201"),
        error(400, "DRS.KE0002"),
        error(503, "DRS.KE0002"),
        answer(
            504,
            "",
            r#"{"results":[{"status":"failed","error_code":"DRS-KE0002"}]}"#,
        ),
        answer(
            501,
            "Content-Type: text/html\r\n",
            "<h1>Not Implemented</h1>",
        ),
        answer(524, "", ""),
        answer(200, "", "not json"),
    ] {
        let (_, requests) = run(vec![act, ok()]).await;
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn a_gateway_that_gave_up_waiting_counts_as_a_lost_answer() {
    for status in [408, 502, 503, 504] {
        let gave_up = || answer(status, "", "<h1>no</h1>");
        let (answered, requests) = run(vec![gave_up(), ok()]).await;
        assert!(matches!(answered.reply, BatchReply::AfterLoss(reply) if is_success(&reply)));
        assert_eq!(requests.len(), 2);
        let (answered, requests) = run(vec![gave_up(), gave_up(), ok()]).await;
        let doubt = match status {
            408 => Doubt::AnswerLost,
            _ => Doubt::ServerError,
        };
        assert_eq!(answered.reply, BatchReply::Lost(doubt));
        assert_eq!(requests.len(), 2);
        // A wait that is asked for is kept, unless it is longer than there is time for.
        let wait = |seconds: u32| answer(status, &format!("Retry-After: {seconds}\r\n"), "");
        let started = std::time::Instant::now();
        assert_eq!(run(vec![wait(1), ok()]).await.1.len(), 2);
        assert!(started.elapsed() >= Duration::from_secs(1));
        assert_eq!(run(vec![wait(3600), ok()]).await.1.len(), 1);
    }
}

#[tokio::test]
async fn a_packed_answer_is_not_unpacked() {
    let (answered, requests) = run(vec![answer(200, "Content-Encoding: gzip\r\n", "??")]).await;
    assert_eq!(answered.reply, BatchReply::Lost(Doubt::Unreadable));
    assert!(answered.notes[0].ends_with("its content coding \"gzip\" is not supported"));
    assert_eq!(requests.len(), 1);
    let (answered, _) = run(vec![answer(200, "Content-Encoding: identity\r\n", SUCCESS)]).await;
    assert!(is_success(&answered.reply));
}

#[tokio::test]
async fn an_answer_over_the_cap_is_given_up() {
    let padded = format!(
        "{SUCCESS}{}",
        " ".repeat(crate::api::http::MAX_ANSWER_BYTES)
    );
    let fixture = Fixture::start(vec![answer(200, "", &padded)]).await;
    let mut options = options(format!("http://{}", fixture.address));
    options.sending.request_timeout = Duration::from_secs(20);
    let client = Client::new(options, login(), AMBIENT).unwrap();
    let answered = send(&client).await;
    assert_eq!(answered.reply, BatchReply::Lost(Doubt::Unreadable));
    assert_eq!(
        answered.notes,
        ["answer 200 cannot be read: it is over 8 MiB"]
    );
    assert_eq!(fixture.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let options = options(format!("http://{address}"));
    let client = Client::new(options, login(), AMBIENT).unwrap();
    let answered = send(&client).await;
    assert_eq!(answered.reply, BatchReply::NoConnection);
    assert_eq!(
        answered.notes,
        [format!(
            "no connection to {address}: connection refused; nothing was sent"
        )]
    );
}

#[tokio::test]
async fn a_server_without_tls_gets_no_request() {
    for (act, cause) in [
        (Act::Close, "TLS handshake failed"),
        (Act::Hang, "timed out"),
        (ok(), "TLS handshake failed"),
    ] {
        let fixture = Fixture::start(vec![act]).await;
        let mut options = options(format!("https://{}", fixture.address));
        // Half of it is for the handshake, so even a busy machine ends that first.
        options.sending.request_timeout = Duration::from_secs(4);
        let client = Client::new(options, login(), AMBIENT).unwrap();
        let answered = send(&client).await;
        assert_eq!(answered.reply, BatchReply::NoConnection);
        assert_eq!(
            answered.notes,
            [format!(
                "no connection to {}: {cause}; nothing was sent",
                fixture.address
            )]
        );
        assert!(!fixture.requests().iter().any(|text| text.contains("PUT")));
    }
}

#[test]
fn odd_addresses_are_refused_before_anything_is_sent() {
    let refused = |endpoint: &str, project: &str| {
        let options = ClientOptions::new(target(endpoint.to_owned(), project));
        let refused = Client::new(options, login(), AMBIENT).err();
        refused.unwrap().to_string()
    };
    for endpoint in [
        "",
        "drs.example.test",
        "ftp://127.0.0.1",
        "https://u:p@drs.example.test",
        "https://drs.example.test/?a=b",
        "https://drs.example.test/#a",
        "https://drs.example.test/drs",
    ] {
        assert_eq!(
            refused(endpoint, PROJECT),
            "the endpoint is not a valid address",
            "{endpoint}"
        );
    }
    for endpoint in [
        "http://drs.example.test:81/x",
        "http://localhost:81",
        "http://10.0.0.1:81",
    ] {
        assert!(refused(endpoint, PROJECT).ends_with("is not https"));
    }
    for project in ["", "  ", "a/b", "..", "a?b", "ü", "a%2f", &"x".repeat(65)] {
        assert!(refused("https://drs.example.test", project).starts_with("the project id"));
    }
}

#[test]
fn a_ca_file_without_certificate_is_refused() {
    for pem in [
        "",
        "no pem",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    ] {
        let options = ClientOptions {
            ca_file: Some(pem.as_bytes().to_vec()),
            ..options("https://drs.example.test".to_owned())
        };
        let error = Client::new(options, login(), AMBIENT).err().unwrap();
        let codes = ["drspass::api::ca_file", "drspass::api::setup"];
        let code = error.code().map(|code| code.to_string());
        assert!(codes.contains(&code.unwrap().as_str()), "{pem}");
    }
}

#[test]
fn an_address_may_have_a_slash_at_its_end() {
    for (endpoint, url) in [
        (
            "https://drs.example.test",
            "https://drs.example.test/v3/p/jobs/batch-modify-pwd",
        ),
        (
            "https://drs.example.test/",
            "https://drs.example.test/v3/p/jobs/batch-modify-pwd",
        ),
        (
            "http://[::1]:81/",
            "http://[::1]:81/v3/p/jobs/batch-modify-pwd",
        ),
    ] {
        let options = ClientOptions::new(target(endpoint.to_owned(), "p"));
        let client = Client::new(options, login(), AMBIENT).unwrap();
        let call = client.call(Method::PUT, "jobs/batch-modify-pwd", Bytes::new());
        assert_eq!(call.url.as_str(), url);
    }
}

#[tokio::test]
async fn batches_may_be_sent_from_several_threads() {
    let fixture = Fixture::start(vec![ok(), ok()]).await;
    let client = Arc::new(client(&fixture));
    let gate = Arc::new(Gate::new(2));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (client, gate) = (Arc::clone(&client), Arc::clone(&gate));
        tasks.spawn(async move {
            let _pass = gate.enter().await;
            let answered = client.modify_passwords(&[&entry()], &gate).await;
            answered.expect("it was let out").reply
        });
    }
    assert!(tasks.join_all().await.iter().all(is_success));
}

#[tokio::test]
async fn a_list_that_does_not_end_is_no_list() {
    let page = |id: &str| {
        let body = format!(r#"{{"total_record":9,"jobs":[{{"id":"{id}"}}]}}"#);
        answer(200, "Content-Type: application/json\r\n", &body)
    };
    let pages = || vec![page("j1"), page("j2"), page("j2")];
    let fixture = Fixture::start(pages()).await;
    let listed = client(&fixture).list(UseType::Sync, 3).await.unwrap();
    assert_eq!(listed.len(), 2);
    let fixture = Fixture::start(pages()).await;
    let failure = client(&fixture).list(UseType::Sync, 2).await.unwrap_err();
    assert_eq!(fixture.requests().len(), 2);
    let error = failure.into_error("the list of jobs", "").to_string();
    assert!(
        error.ends_with("; the list does not end: 2 pages were read"),
        "{error}"
    );
}
