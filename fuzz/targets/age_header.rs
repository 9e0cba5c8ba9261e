//! Encrypted files, as anybody can write them: told and refused in time, with words that
//! steer nothing.
#![no_main]

use drspass::age_file::{Identities, Means, NoPassphrase, Plugins, decrypt, header};
use drspass::core::recipients::compare;
use drspass::core::redact::for_log;
use drspass::view;
use drspass_fuzz::{assert_error_quiet, assert_harmless, in_time, part, parts};
use libfuzzer_sys::fuzz_target;

const KEY: &[u8] = include_bytes!("../../examples/infra-repo/keys/THROW-AWAY-KEY.txt");
const LOCKED: &[u8] = include_bytes!("../../tests/data/locked_ed25519");

fuzz_target!(|data: &[u8]| {
    // The rest of an encrypted file holds every byte.
    let Some(parts) = parts(data) else { return };
    let file = part(&parts, 0);
    let mut identities = Identities::default();
    for key in [KEY, LOCKED] {
        identities.add(key, "id.txt").expect("identities");
    }
    let means = Means {
        ask: &|_| Err(NoPassphrase::Nobody),
        plugins: Plugins::Never,
    };
    in_time(|| {
        match header::recipients(file) {
            Ok(stanzas) => {
                let report = compare("m.age".to_owned(), &[], Ok(&[]), &stanzas);
                // The types of stanzas are public, and shown.
                assert_harmless(&for_log(&view::recipients::recipients(&report), false));
            }
            Err(error) => assert_error_quiet(&error),
        }
        if let Err(error) = decrypt(file, &identities, &means) {
            assert_error_quiet(&error);
        }
    });
});
