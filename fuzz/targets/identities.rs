//! Identity files and DRSPASS_IDENTITY_KEY: messages repeat nothing of a private key.
#![no_main]

use drspass::age_file::{Identities, recipients_of};
use drspass_fuzz::{assert_error_quiet, assert_private, in_time, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let bytes = part(&parts, 0);
    in_time(|| {
        if let Err(error) = Identities::default().add(bytes, "id.txt") {
            assert_error_quiet(&error);
        }
        match recipients_of(bytes, "id.txt") {
            Ok(recipients) => recipients.iter().for_each(|key| assert_private(key)),
            Err(error) => assert_error_quiet(&error),
        }
    });
});
