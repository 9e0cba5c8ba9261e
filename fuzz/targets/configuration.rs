//! drspass.yaml: problems repeat nothing of it; what is accepted can be written down
//! again, names harmless paths, and lists no key that everybody can open.
#![no_main]

use drspass::age_file::{Plugins, encrypt};
use drspass::core::recipients::{is_of_plugin, recipient_key};
use drspass::core::{config, yaml};
use drspass_fuzz::{assert_private, assert_problems_quiet, assert_quiet, in_time, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    in_time(|| match yaml::decode(part(&parts, 0)) {
        Err(problem) => assert_quiet(problem),
        Ok(text) => {
            let checked = config::parse(text);
            assert_problems_quiet(&checked.problems);
            if let Some(config) = checked.value {
                accepted(&config);
            }
        }
    });
});

fn accepted(config: &config::Config) {
    let again = config::parse(&config::template(
        &config.target,
        &config.recipients,
        &config.state,
    ));
    let again = again
        .value
        .unwrap_or_else(|| panic!("{:?}", again.problems));
    assert_eq!(again.target, config.target);
    assert_eq!(again.recipients, config.recipients);
    assert_eq!(again.state, config.state);
    for path in [
        config.manifest.display().to_string(),
        config.state.to_string(),
    ] {
        assert_eq!(path.trim_start(), path);
        assert!(!path.contains(char::is_control));
    }
    for recipient in &config.recipients {
        if !is_of_plugin(&recipient_key(recipient)) {
            let one = std::slice::from_ref(recipient);
            encrypt(b"x", one, Plugins::Never).expect("what is listed can be encrypted to");
            assert_private(recipient);
        }
    }
}
