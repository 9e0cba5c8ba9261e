//! The index of a manifest: whatever its bytes are, a line is named in time, or it has the only form
//! that passes.
#![no_main]

use drspass::core::index::parse;
use drspass_fuzz::in_time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    in_time(|| {
        if let Ok(head) = parse(data) {
            assert!(data.starts_with(head.start().as_bytes()));
        }
    });
});
