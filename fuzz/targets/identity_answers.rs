//! Answers of the identity service, and those to questions about jobs: read in time, and
//! what is said of them repeats no secret.
#![no_main]

use drspass_fuzz::{answers, assert_quiet, in_time, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let body = part(&parts, 0);
    let chosen = part(&parts, 1).first().copied().unwrap_or_default();
    let statuses = [200, 201, 202, 300, 400, 401, 403, 404, 429, 500, 503];
    let status = statuses[usize::from(chosen) % statuses.len()];
    let login = drspass::core::secret::Secret::new(drspass_fuzz::CANARY.to_owned());
    in_time(|| {
        answers::question(login, status, body.to_vec())
            .iter()
            .for_each(assert_quiet);
        answers::read_all(body);
    });
});
