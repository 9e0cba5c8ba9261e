//! The JSON of the service and of the identity service, written and read by this
//! module and those below it.
//!
//! Source: OTC api-ref, "Changing the Passwords of the Sources and Destinations".
//! It owns the short names `so` and `ta` and the leniency towards types that
//! drift. It refuses to judge what an answer means.

mod answer;
pub(super) mod identity;
pub(super) mod jobs;
mod scalar;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::core::fingerprint::Field;
use crate::core::job::Endpoint;
use crate::core::manifest::Assignment;
use crate::core::secret::Secret;

pub(super) use answer::{Answer, Decoded, Row, decode};

const HEAD: &str = "{\"jobs\":[";
const TAIL: &str = "]}";

const fn endpoint_name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Source => "so",
        Endpoint::Destination => "ta",
    }
}

fn endpoint_named(name: &str) -> Option<Endpoint> {
    Endpoint::ALL
        .into_iter()
        .find(|endpoint| endpoint_name(*endpoint) == name)
}

const fn kerberos_name(field: Field) -> Option<&'static str> {
    match field {
        Field::Password => None,
        Field::Krb5ConfFile => Some("krb5_conf_file"),
        Field::KeyTabFile => Some("key_tab_file"),
        Field::DomainName => Some("domain_name"),
        Field::UserPrincipal => Some("user_principal"),
    }
}

/// Writes the body of a request. The one plain copy of the values is in a
/// buffer that is wiped when the last handle to it is dropped; it has its final
/// size from the start, since growing would leave a copy behind.
pub(super) fn encode(entries: &[&Assignment]) -> Bytes {
    Bytes::from_owner(write_body(entries))
}

fn max_body_bytes(entries: &[&Assignment]) -> usize {
    let entries: usize = entries.iter().map(|entry| entry.max_json_bytes()).sum();
    HEAD.len() + TAIL.len() + entries
}

fn write_body(entries: &[&Assignment]) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(max_body_bytes(entries)));
    body.extend_from_slice(HEAD.as_bytes());
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"job_id\":\"");
        body.extend_from_slice(entry.key.job.as_str().as_bytes());
        body.extend_from_slice(b"\",\"end_point_type\":\"");
        body.extend_from_slice(endpoint_name(entry.key.endpoint).as_bytes());
        body.extend_from_slice(b"\",\"db_password\":");
        write_secret(&mut body, &entry.password);
        write_kerberos(&mut body, &entry.kerberos);
        body.push(b'}');
    }
    body.extend_from_slice(TAIL.as_bytes());
    body
}

/// Only the fields given are sent, and no object at all without one: the
/// service would have to guess what an empty field means.
fn write_kerberos(body: &mut Vec<u8>, given: &[(Field, Secret)]) {
    let mut before = ",\"kerberos\":{";
    for wanted in Field::KERBEROS {
        let value = given.iter().find(|(field, _)| *field == wanted);
        let (Some(name), Some((_, value))) = (kerberos_name(wanted), value) else {
            continue;
        };
        body.extend_from_slice(before.as_bytes());
        body.push(b'"');
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
        write_secret(body, value);
        before = ",";
    }
    if before == "," {
        body.push(b'}');
    }
}

fn write_secret(body: &mut Vec<u8>, value: &Secret) {
    body.push(b'"');
    for &byte in value.expose().as_bytes() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                body.extend_from_slice(b"\\u00");
                body.push(DIGITS[usize::from(byte >> 4)]);
                body.push(DIGITS[usize::from(byte & 15)]);
                continue;
            }
            _ => {
                body.push(byte);
                continue;
            }
        };
        body.extend_from_slice(&[b'\\', short]);
    }
    body.push(b'"');
}

#[cfg(test)]
mod tests;
