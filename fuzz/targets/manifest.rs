//! The manifest: problems repeat nothing of it; what is accepted can be sealed, reads
//! back as the same, and has a layout that edits understand.
#![no_main]

use drspass::authoring::ManifestText;
use drspass::core::fingerprint::Scope;
use drspass::core::manifest::{Sealed, Sealing, parse, seal};
use drspass::core::place::SealedPlace;
use drspass::core::yaml;
use drspass_fuzz::{assert_problems_quiet, assert_quiet, in_time, key, meaning_of, part, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    in_time(|| match yaml::decode(part(&parts, 0)) {
        Err(problem) => assert_quiet(problem),
        Ok(text) => {
            assert_problems_quiet(&parse(text, Sealing::Required).problems);
            let checked = parse(text, Sealing::Optional);
            assert_problems_quiet(&checked.problems);
            if checked.value.is_some() {
                accepted(text);
            }
        }
    });
});

fn accepted(text: &str) {
    assert!(ManifestText::new(text).is_ok(), "not taken for a change");
    let sealed = Sealed {
        fingerprint_key: key(),
        scope: Scope {
            endpoint: "https://drs.example".to_owned(),
            project_id: "p".to_owned(),
        },
        auth_url: "https://iam.example/v3".to_owned(),
        recipients: vec!["age1x".to_owned()],
        state: SealedPlace::File("drspass.state.json".to_owned()),
        moved_from: None,
        index: true,
        revision: 7,
        written: "2026-11-29T14:03:22Z".parse().expect("a time"),
        former: None,
    };
    match seal(text, &sealed) {
        Ok(sealed) => assert_eq!(meaning_of(&sealed), meaning_of(text)),
        // A document in braces is refused.
        Err(problems) => assert_problems_quiet(&problems),
    }
}
