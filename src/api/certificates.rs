//! Certificates that a user gives, each looked at by itself: a bundle of hundreds may
//! have one that this program cannot read, which is no reason to trust none of them.

use reqwest::Certificate;

/// The certificates of a PEM text.
#[derive(Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The text of those that can be used.
    pub usable: Vec<u8>,
    /// The numbers of the others, counted from 1.
    pub broken: Vec<usize>,
}

impl Bundle {
    /// Reads all certificates of a text; anything else in it is passed over.
    pub fn of(pem: &[u8]) -> Self {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let text = String::from_utf8_lossy(pem);
        if is_usable(&text) {
            return Self {
                usable: pem.to_vec(),
                broken: Vec::new(),
            };
        }
        let blocks = text.split(BEGIN).skip(1).map(|rest| {
            let inside = rest.split(END).next().unwrap_or_default();
            format!("{BEGIN}{inside}{END}\n")
        });
        let mut bundle = Self {
            usable: Vec::new(),
            broken: Vec::new(),
        };
        for (block, number) in blocks.zip(1..) {
            if is_usable(&block) {
                bundle.usable.extend_from_slice(block.as_bytes());
            } else {
                bundle.broken.push(number);
            }
        }
        bundle
    }
}

/// Whether there are certificates in a text and all can be used, which only their user
/// finds out.
fn is_usable(pem: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy();
    Certificate::from_pem_bundle(pem.as_bytes()).is_ok_and(|certificates| {
        !certificates.is_empty() && client.tls_certs_only(certificates).build().is_ok()
    })
}
