//! Addresses of the command line: nothing of one is repeated, and wildcards match as
//! the slow way to match them says.
#![no_main]

use drspass::authoring::{ManifestText, Taken};
use drspass::core::address::Selection;
use drspass::core::fingerprint::Field;
use drspass_fuzz::{MANIFEST, assert_quiet, in_time, manifest, parts, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let address = text(&parts, 0);
    in_time(|| {
        let manifest = manifest();
        let document = ManifestText::new(MANIFEST).expect("valid");
        for field in [Field::Password, Field::DomainName] {
            for taken in [Taken::New, Taken::Listed] {
                if let Err(no_place) = document.find(&address, field, taken) {
                    assert_quiet(&no_place.what);
                }
            }
        }
        let named: Vec<bool> = manifest
            .assignments()
            .iter()
            .map(|entry| {
                let (job, endpoint) = (entry.key.job.as_str(), entry.key.endpoint.as_str());
                let is_job = |pattern: &str| {
                    let name = entry.label.rsplit_once('/').map(|(name, _)| name);
                    fits(pattern, job) || name.is_some_and(|name| fits(pattern, name))
                };
                match (address.strip_prefix('@'), address.rsplit_once('/')) {
                    (Some(pattern), _) => entry
                        .credential
                        .as_deref()
                        .is_some_and(|name| fits(pattern, name)),
                    (None, Some((pattern, end))) => fits(end, endpoint) && is_job(pattern),
                    (None, None) => is_job(&address),
                }
            })
            .collect();
        match Selection::resolve(&manifest, std::slice::from_ref(&address), &[]) {
            Ok(selection) => {
                for (at, is_named) in named.into_iter().enumerate() {
                    assert_eq!(selection.is_selected(at), is_named);
                }
            }
            Err(unmatched) => {
                assert_eq!((unmatched.len(), named.contains(&true)), (1, false));
                assert_quiet(format!("{unmatched:?}"));
            }
        }
    });
});

/// Whether a text fits a pattern: which ends of the text are left after each character.
fn fits(pattern: &str, text: &str) -> bool {
    let text = text.as_bytes();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for byte in pattern.bytes() {
        let before = reached.clone();
        for at in 0..=text.len() {
            reached[at] = match byte {
                b'*' => before[..=at].contains(&true),
                _ => at > 0 && before[at - 1] && (byte == b'?' || byte == text[at - 1]),
            };
        }
    }
    reached[text.len()]
}
