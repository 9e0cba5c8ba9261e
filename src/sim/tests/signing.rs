//! Signed requests: published vectors, and what the gateway says to the others.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::ambient::hex;
use super::super::http::ServiceRequest;
use super::super::signature::{Authorization, sign, to_sign};
use super::super::{AccessKeySpec, ProjectSpec, UserSpec};
use super::*;

fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> ServiceRequest {
    let mut builder = hyper::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    ServiceRequest {
        head: builder.body(()).unwrap().into_parts().0,
        project: String::new(),
        body: Some(body.to_owned().into()),
        document: None,
    }
}

/// A request that somebody else signed.
struct Vector {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    access: &'static str,
    secret: &'static str,
    signed: &'static str,
    /// Digest of the canonical request, where it is known.
    digest: Option<&'static str>,
    signature: &'static str,
}

const DATE: (&str, &str) = ("X-Sdk-Date", "20260102T030405Z");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const PROJECT: (&str, &str) = ("X-Project-Id", "054ba152d480d55b2f5dc0069e7ddef0");
const ACCESS: &str = "DRSPASSEXAMPLEAK0001";
const SECRET: &str = "drspass-example-secret-key-not-real-0001";

/// Made with the signer of the vendor's Python SDK (huaweicloudsdkcore 3.1.219);
/// all keys are invented.
const VECTORS: [Vector; 5] = [
    Vector {
        method: "PUT",
        path: "/v3/054ba152d480d55b2f5dc0069e7ddef0/jobs/batch-modify-pwd",
        query: "",
        headers: &[("Host", "drs.eu-de.otc.t-systems.com"), DATE, JSON, PROJECT],
        body: r#"{"jobs": [{"db_password": "pl4in-Example", "end_point_type": "so", "job_id": "25df459d-a37c-41b9-bc2b-8c00ba32jb52"}]}"#,
        access: ACCESS,
        secret: SECRET,
        signed: "content-type;host;x-project-id;x-sdk-date",
        digest: Some("25f114abe1de8340da5f0bc768eb368a6b265dd954e83300641ca454be5b189d"),
        signature: "0ac7ad29c0f8c0195139c7d9f04b5e5cb691f327d0fc1a49212862eaad14ecd5",
    },
    Vector {
        method: "GET",
        path: "/v5/054ba152d480d55b2f5dc0069e7ddef0/jobs",
        query: "limit=10&name=a%20b%2F%C3%BC~%2A&job_type=sync&flag=true&ids=b&ids=a",
        headers: &[
            ("Host", "drs.cn-north-4.myhuaweicloud.com"),
            DATE,
            JSON,
            PROJECT,
            ("X-Language", "en-us"),
            ("X-Security-Token", "EXAMPLESECURITYTOKEN"),
        ],
        body: "",
        access: ACCESS,
        secret: SECRET,
        signed: "content-type;host;x-language;x-project-id;x-sdk-date;x-security-token",
        digest: Some("d2606495da20eca3b4ffd12f81cf13d4c441cc7522c980a9be3a66553b506e4c"),
        signature: "61e97516b5f55c999572dac040c25c47c4049c6f9a253e810ea734cfd7af0ea0",
    },
    Vector {
        method: "GET",
        path: "/v3/projects",
        query: "name=eu-de",
        headers: &[("Host", "iam.eu-de.otc.t-systems.com"), DATE],
        body: "",
        access: ACCESS,
        secret: SECRET,
        signed: "host;x-sdk-date",
        digest: Some("1c10abd3acc5fc270959cac2a62990985babaf47c4c797d46d9cb90cd42c688e"),
        signature: "1a98d0b81d32c31230d52cf0418ef9c41bfb559343cd7ae17db111a26e0ca4ca",
    },
    Vector {
        method: "PUT",
        path: "/v3/0123456789abcdef0123456789abcdef/jobs/batch-modify-pwd",
        query: "",
        headers: &[
            ("User-Agent", "vector/1"),
            JSON,
            ("X-Project-Id", "0123456789abcdef0123456789abcdef"),
            DATE,
            ("Host", "drs.example.invalid"),
        ],
        body: r#"{"jobs": [{"db_password": "Made-up-1!", "end_point_type": "so", "job_id": "6513270e-269e-0d37-f2a7-4de452e6jbb4"}]}"#,
        access: "MADEUPAK00000000",
        secret: "made-up-sk",
        signed: "content-type;host;user-agent;x-project-id;x-sdk-date",
        digest: None,
        signature: "adcd671b86c5cbf49e2911e4de7294a5c33b06e2a8f22e7ccb7a71eb9eb62643",
    },
    // Escapes in the path, names twice in the query, blanks around a value.
    Vector {
        method: "GET",
        path: "/v3/a%2Fb/%C3%BC*",
        query: "x=%2A&b=2&a=&A=1&b=10",
        headers: &[
            ("Host", "drs.example.invalid"),
            ("X-Note", "  spaced  out "),
            DATE,
        ],
        body: "",
        access: ACCESS,
        secret: SECRET,
        signed: "host;x-note;x-sdk-date",
        digest: None,
        signature: "9e3181704e61fd939496088fdb4e546fbf7b91bcf37e700dc8f4a6dd2e391dba",
    },
];

#[test]
fn requests_signed_by_the_vendor_are_recognised() {
    for vector in VECTORS {
        let header = format!(
            "SDK-HMAC-SHA256 Access={}, SignedHeaders={}, Signature={}",
            vector.access, vector.signed, vector.signature
        );
        let authorization = Authorization::parse(&header).unwrap();
        assert_eq!(authorization.access, vector.access);
        let uri = format!("{}?{}", vector.path, vector.query);
        let mut request = request(vector.method, &uri, vector.headers, vector.body);
        let canonical = request.canonical(&authorization.signed).unwrap();
        if let Some(digest) = vector.digest {
            use sha2::Digest as _;
            assert_eq!(
                hex(&sha2::Sha256::digest(&canonical)),
                digest,
                "{canonical}"
            );
        }
        assert!(authorization.is_by(vector.secret, DATE.1, &canonical));
        assert!(!authorization.is_by("other", DATE.1, &canonical));
        request.body = Some("other".into());
        let canonical = request.canonical(&authorization.signed).unwrap();
        assert!(!authorization.is_by(vector.secret, DATE.1, &canonical));
    }
}

#[test]
fn the_published_string_is_signed_as_published() {
    // Huawei Cloud API Request Signing Guide, "Calculating a Signature".
    let text = "SDK-HMAC-SHA256\n20191115T033655Z\n\
                b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a";
    let signature = sign("MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", text);
    let published = "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe";
    assert_eq!(signature, published);
}

#[test]
fn only_the_documented_form_of_the_header_is_taken() {
    let good = "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=00";
    assert!(Authorization::parse(good).is_some());
    for (from, to) in [
        ("SDK-HMAC-SHA256 ", "SDK-HMAC-SHA256"),
        ("SDK-HMAC-SHA256", "AWS4-HMAC-SHA256"),
        ("Access=", "Credential="),
        ("Access=AK", "Access="),
        ("host;x-sdk-date", "x-sdk-date;host"),
        ("host;x-sdk-date", "Host;x-sdk-date"),
        (", Signature=00", ""),
        ("Signature=00", "Signature=00, More=1"),
    ] {
        let bad = good.replace(from, to);
        assert_eq!(Authorization::parse(&bad), None, "{bad}");
    }
}

/// A caller with a key of its own, and everything it may do wrong.
struct Signer<'a> {
    sim: &'a Simulator,
    access: &'a str,
    secret: &'a str,
    date: Timestamp,
    /// Sent and signed beside host and date.
    headers: Vec<(&'a str, String)>,
    /// Sent and not signed.
    unsigned: Vec<(&'a str, String)>,
}

impl<'a> Signer<'a> {
    fn new(sim: &'a Simulator) -> Self {
        Self {
            sim,
            access: ACCESS,
            secret: SECRET,
            date: sim.shared.now(),
            headers: vec![("content-type", "application/json".to_owned())],
            unsigned: Vec::new(),
        }
    }

    fn with(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn unsigned(mut self, name: &'a str, value: &str) -> Self {
        self.unsigned.push((name, value.to_owned()));
        self
    }

    fn send(&self, method: &str, path_and_query: &str, body: &str) -> Seen {
        let date = self.date.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut signed = self.headers.clone();
        signed.push(("host", "sim".to_owned()));
        signed.push(("x-sdk-date", date.clone()));
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let pairs: Vec<(&str, &str)> = signed
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let request = request(method, path_and_query, &pairs, body);
        let canonical = request.canonical(&names).unwrap();
        let authorization = format!(
            "SDK-HMAC-SHA256 Access={}, SignedHeaders={}, Signature={}",
            self.access,
            names.join(";"),
            sign(self.secret, &to_sign(&date, &canonical))
        );
        let mut sent: Vec<(&str, &str)> = pairs.clone();
        // The smallest client there is sends the host by itself.
        sent.retain(|(name, _)| *name != "host");
        sent.push(("Authorization", &authorization));
        let unsigned = self.unsigned.iter();
        sent.extend(unsigned.map(|(name, value)| (*name, value.as_str())));
        send(self.sim, &format!("{method} {path_and_query}"), &sent, body).unwrap()
    }

    fn status(&self) -> Seen {
        let path = path(self.sim, "batch-status");
        self.send("POST", &path, &json!({"jobs": [JOB]}).to_string())
    }

    fn put(&self) -> Seen {
        let path = path(self.sim, "batch-modify-pwd");
        self.send("PUT", &path, &body(&[(JOB, "so", "canary-1")]))
    }
}

fn keyed(change: impl FnOnce(&mut SimConfig)) -> Simulator {
    let mut config = SimConfig {
        access_keys: vec![AccessKeySpec {
            access: ACCESS.to_owned(),
            secret: SECRET.to_owned(),
            security_token: None,
            user: Some("ci".to_owned()),
        }],
        ..config()
    };
    change(&mut config);
    Simulator::start(config).unwrap()
}

#[track_caller]
fn assert_refused(seen: &Seen, why: &str) {
    assert_eq!((seen.status, seen.code().as_str()), (401, "APIGW.0301"));
    let text = seen.json()["error_msg"].as_str().unwrap().to_owned();
    assert!(text.contains(why), "{text}");
}

#[test]
fn signatures_open_every_call() {
    let sim = keyed(|config| {
        config.job_actions = true;
        config.users = vec![UserSpec {
            name: "ci".to_owned(),
            id: "user-1".to_owned(),
            password: "canary-login".to_owned(),
            domain: "acme".to_owned(),
            domain_id: "domain-1".to_owned(),
            passcode: None,
        }];
    });
    let signer = Signer::new(&sim).with("x-project-id", sim.project_id());
    assert_eq!(signer.put().status, 200);
    assert!(sim.holds(JOB, "source", "canary-1"));
    assert_eq!(signer.status().status, 200);
    let list = format!("/v3/{}/jobs", sim.project_id());
    let body = json!({"db_use_type": "sync", "engine_type": ""}).to_string();
    assert_eq!(signer.send("POST", &list, &body).status, 200);
    let actions = format!("/v5/{}/jobs/{JOB}/actions", sim.project_id());
    assert_eq!(signer.send("GET", &actions, "").status, 200);
    assert_eq!(signer.send("GET", "/v3/auth/catalog", "").status, 200);
    let unscoped = Signer::new(&sim);
    let found = unscoped.send("GET", "/v3/projects?name=eu-de", "");
    assert_eq!(found.json()["projects"][0]["domain_id"], "domain-1");
}

#[test]
fn a_signature_is_for_a_known_project_and_no_other() {
    let sim = keyed(|config| {
        config.other_projects = vec![ProjectSpec {
            id: "project-2".to_owned(),
            name: "two".to_owned(),
        }]
    });
    let foreign = Signer::new(&sim).with("x-project-id", "project-2").put();
    assert_eq!(
        (foreign.status, foreign.code().as_str()),
        (403, "DRS.M00261")
    );
    // Not signed, it is looked at all the same.
    let foreign = Signer::new(&sim)
        .unsigned("x-project-id", "project-2")
        .put();
    assert_eq!(foreign.code(), "DRS.M00261");
    let status = |project: &str| {
        let path = format!("/v3/{project}/jobs/batch-status");
        let body = json!({"jobs": [JOB]}).to_string();
        Signer::new(&sim).send("POST", &path, &body)
    };
    assert_eq!(status("project-3").code(), "DRS.M00261");
    assert_eq!(status("project-2").results()[0].3, "DRS.M00289");
}

#[test]
fn wrong_signatures_are_refused_and_the_request_comes_back() {
    let sim = keyed(|_| ());
    let mut signer = Signer::new(&sim).with("x-language", "en-us");
    signer.secret = "canary-other";
    let seen = signer.put();
    assert_refused(&seen, "verify aksk signature fail");
    assert_refused(&seen, "x-language:en-us|");
    signer.access = "UNKNOWN";
    assert_refused(&signer.put(), "Get secretKey failed");
    let unread = Signer::new(&sim)
        .unsigned("x-auth-token", sim.token())
        .put();
    assert_refused(&unread, "both");
    assert!(!sim.knows(JOB, "source"));
}

#[test]
fn host_and_date_must_be_signed() {
    let sim = keyed(|_| ());
    let date = sim.shared.now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let request = format!("PUT {}", path(&sim, "batch-modify-pwd"));
    let send_with = |signed: &str, date: &str| {
        let authorization =
            format!("SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={signed}, Signature=00");
        let headers = [
            JSON,
            ("X-Sdk-Date", date),
            ("Authorization", &authorization),
        ];
        send(&sim, &request, &headers, "{}").unwrap()
    };
    assert_refused(&send_with("x-sdk-date", &date), "host must be signed");
    assert_refused(
        &send_with("content-type;host", &date),
        "x-sdk-date must be signed",
    );
    assert_refused(&send_with("host;x-missing;x-sdk-date", &date), "is missing");
    assert_refused(&send_with("host;x-sdk-date", "2026-01-02"), "X-Sdk-Date");
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    for (offset, seconds, taken) in [
        (0, -14 * 60, true),
        (0, 14 * 60, true),
        (0, -16 * 60, false),
        (0, 16 * 60, false),
        (3600, 0, false),
        (3600, -1, false),
    ] {
        let sim = keyed(|config| config.clock_offset_seconds = offset);
        let mut signer = Signer::new(&sim);
        let real = sim.shared.now() - SignedDuration::from_secs(offset);
        signer.date = real + SignedDuration::from_secs(seconds);
        let seen = signer.put();
        match taken {
            true => assert_eq!(seen.status, 200),
            false => assert_refused(&seen, "signature expired"),
        }
    }
}

#[test]
fn temporary_keys_come_with_their_token() {
    let token = "canary-security-token";
    let temporary = keyed(|config| {
        config.access_keys[0].security_token = Some(token.to_owned());
    });
    let signer = || Signer::new(&temporary);
    assert_eq!(signer().with("x-security-token", token).put().status, 200);
    let fails = "the security token does not go with the key";
    assert_refused(&signer().put(), fails);
    assert_refused(&signer().with("x-security-token", "other").put(), fails);
    assert_refused(&signer().unsigned("x-security-token", token).put(), fails);
    let permanent = keyed(|_| ());
    let given = Signer::new(&permanent)
        .with("x-security-token", token)
        .put();
    assert_refused(&given, fails);
}

#[test]
fn five_refusals_in_a_row_lock_a_key_for_five_minutes() {
    let key = AccessKeySpec {
        access: ACCESS.to_owned(),
        secret: SECRET.to_owned(),
        security_token: None,
        user: None,
    };
    let mut keys = super::super::accounts::SigningKeys::new(vec![key]);
    let [vector, ..] = VECTORS;
    let uri = format!("{}?{}", vector.path, vector.query);
    let request = request(vector.method, &uri, vector.headers, vector.body);
    let header = |signature: &str| {
        let signed = vector.signed;
        format!("SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={signed}, Signature={signature}")
    };
    let (right, wrong) = (header(vector.signature), header("00"));
    let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut fails = |authorization: &str, seconds: i64| {
        let now = start + SignedDuration::from_secs(seconds);
        let reply = keys.check(authorization, &request, now).err()?;
        Some(String::from_utf8(reply.body).unwrap())
    };
    for _ in 0..4 {
        assert!(fails(&wrong, 0).unwrap().contains("signature fail"));
    }
    assert_eq!(fails(&right, 0), None);
    for _ in 0..5 {
        assert!(fails(&wrong, 0).unwrap().contains("signature fail"));
    }
    assert!(fails(&right, 299).unwrap().contains("reach the limit"));
    assert_eq!(fails(&right, 300), None);
}

#[test]
fn headers_that_stand_twice_cannot_be_signed() {
    let request = request("GET", "/", &[("host", "a"), ("host", "b"), DATE], "");
    assert_eq!(request.canonical(&["host", "x-sdk-date"]), None);
    assert!(request.canonical(&["x-sdk-date"]).is_some());
}
