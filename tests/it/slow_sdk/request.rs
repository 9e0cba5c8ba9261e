//! Requests byte by byte, as they were recorded or made, and with a byte changed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use drspass::sim::{Recorded, Simulator};
use serde_json::Value;

use crate::support::PATIENCE;

/// A request, to be sent byte by byte as it stands here.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The request as it came in.
    pub(super) fn recorded(recorded: &Recorded) -> Self {
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

    pub(super) fn header(&mut self, name: &str) -> &mut String {
        let mut headers = self.headers.iter_mut();
        let found = headers.find(|(known, _)| known == name);
        &mut found.unwrap_or_else(|| panic!("there is no {name}")).1
    }

    /// The names of the headers that the signature covers.
    pub(super) fn signed(&mut self) -> Vec<String> {
        let authorization = self.header("authorization").clone();
        let names = authorization.split("SignedHeaders=").nth(1).unwrap();
        let names = names.split(',').next().unwrap().split(';');
        names.map(ToOwned::to_owned).collect()
    }

    /// The status of the answer, and its body.
    fn send(&self, url: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
pub(super) fn assert_every_byte_counts(sim: &Simulator, original: &Request) {
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
