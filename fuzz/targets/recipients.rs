//! Public keys, one a line: what is encrypted to is no key that everybody can open.
#![no_main]

use drspass::age_file::{Plugins, encrypt};
use drspass::core::recipients::{identified, is_of_plugin, recipient_key, shortened};
use drspass_fuzz::{assert_error_quiet, assert_private, in_time, parts, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let text = text(&parts, 0);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    in_time(|| {
        for line in &lines {
            let _ = shortened(&recipient_key(line));
            let _ = identified(line);
        }
        match encrypt(b"x", &lines, Plugins::Never) {
            Ok(_) => lines
                .iter()
                .filter(|line| !is_of_plugin(&recipient_key(line)))
                .for_each(|line| assert_private(line)),
            Err(error) => assert_error_quiet(&error),
        }
    });
});
