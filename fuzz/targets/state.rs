//! The state file and its siblings: damage is named without repeating it; what is
//! accepted reads back as the same, and only with the key that it was written with.
#![no_main]

use drspass::core::state::State;
use drspass::store::format::{UnverifiedState, encode};
use drspass::store::Recovery;
use drspass_fuzz::{assert_quiet, in_time, key, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let file = part(&parts, 0);
    in_time(|| {
        let mac = key().state_mac();
        if let Err(error) = Recovery::parse(file, &mac) {
            assert_quiet(error);
        }
        match UnverifiedState::parse(file) {
            Ok(read) => {
                assert!(!read.is_authentic(file, &mac), "nobody has the key");
                accepted(&read.claimed());
            }
            Err(error) => assert_quiet(error),
        }
        // The body alone, which is not hidden behind its frame.
        if let Ok(state) = serde_json::from_slice::<State>(file) {
            accepted(&state);
        }
    });
});

fn accepted(state: &State) {
    let mut file = encode(state, &key().state_mac());
    let read = UnverifiedState::parse(&file).expect("what is written is read");
    assert!(read.is_authentic(&file, &key().state_mac()));
    assert!(!read.is_authentic(&file, &key().plan_mac()));
    assert_eq!(format!("{:?}", read.claimed()), format!("{state:?}"));
    let at = file.len() / 2;
    file[at] ^= 1;
    if let Ok(other) = UnverifiedState::parse(&file) {
        assert!(!other.is_authentic(&file, &key().state_mac()));
    }
}
