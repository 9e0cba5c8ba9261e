//! Private ssh keys, looked through before the library sees them: it panics on numbers
//! that are zero, and does whatever work a key asks for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::core::recipients::{SshWire, refuse_ssh_key};

/// An rsa key of 4096 bits has some 3,400.
const MAX_BYTES: usize = 16 << 10;
/// The longest number of an rsa key of 4096 bits.
const MAX_NUMBER_BYTES: usize = 512;
/// What the passphrase of a key may cost: some minutes. `ssh-keygen` takes 16 or 24.
const MAX_ROUNDS: u32 = 10_000;

const BROKEN: &str = "it is no whole OpenSSH private key";
const NUMBERS: &str = "the numbers of its rsa key are not valid";

/// Why a private key is not handed to the library. Text that is none is left to it.
pub(super) fn refuse(pem: &str) -> Option<&'static str> {
    if pem.len() > MAX_BYTES {
        return Some(BROKEN);
    }
    let body = pem.strip_prefix("-----BEGIN OPENSSH PRIVATE KEY-----")?;
    let Some((body, _)) = body.split_once("-----END OPENSSH PRIVATE KEY-----") else {
        return Some(BROKEN);
    };
    let encoded: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let Ok(decoded) = STANDARD.decode(&*encoded) else {
        return Some(BROKEN);
    };
    let decoded = Zeroizing::new(decoded);
    refuse_container(&decoded).unwrap_or(Some(BROKEN))
}

/// Reads the container (OpenSSH's PROTOCOL.key). Nothing is returned if it is cut or
/// malformed.
fn refuse_container(bytes: &[u8]) -> Option<Option<&'static str>> {
    let mut wire = SshWire(bytes.strip_prefix(b"openssh-key-v1\0")?);
    let is_open = wire.string()? == b"none";
    let _ = wire.string()?;
    let mut passphrase = SshWire(wire.string()?);
    let _ = wire.number()?;
    if refuse_ssh_key(wire.string()?).is_some() {
        return Some(Some("its public key is not valid"));
    }
    if is_open {
        return refuse_open(wire.string()?);
    }
    let _ = passphrase.string()?;
    Some((passphrase.number()? > MAX_ROUNDS).then_some(
        "its passphrase takes too many rounds; 'ssh-keygen -p -a 100 -f FILE' sets fewer",
    ))
}

fn refuse_open(bytes: &[u8]) -> Option<Option<&'static str>> {
    let mut wire = SshWire(bytes);
    let _ = wire.take(8)?;
    if wire.string()? != b"ssh-rsa" {
        return Some(None);
    }
    let is_number = |_| {
        wire.positive()
            .is_some_and(|number| number.len() <= MAX_NUMBER_BYTES)
    };
    Some((!(0..6).all(is_number)).then_some(NUMBERS))
}
