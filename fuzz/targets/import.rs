//! `import`: a file of many values, CSV or JSON; its problems repeat nothing of it, and
//! what it says is what the manifest says then.
#![no_main]

use std::path::Path;

use drspass::authoring::table::{self, Format};
use drspass::authoring::{Change, ManifestText, ValuePlace, Taken};
use drspass::core::job::EntryKey;
use drspass_fuzz::{
    MANIFEST, Tokens, assert_problems_quiet, in_time, meaning_of, part, parts, text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let text = text(&parts, 0);
    let name = match part(&parts, 1).first() {
        Some(b'c') => "a.csv",
        Some(b'j') => "a.json",
        _ => "a",
    };
    let taken = match part(&parts, 1).get(1) {
        Some(_) => Taken::New,
        None => Taken::Listed,
    };
    in_time(|| {
        let document = ManifestText::new(MANIFEST).expect("valid");
        let rows = match table::rows(&text, Format::of(Path::new(name), &text)) {
            Ok(rows) => rows,
            Err(problems) => return assert_problems_quiet(&problems),
        };
        let resolved = match table::resolve(&document, rows, taken) {
            Ok(resolved) => resolved,
            Err(problems) => return assert_problems_quiet(&problems),
        };
        assert_problems_quiet(&resolved.warnings);
        let changes: Vec<Change> = resolved
            .placed
            .into_iter()
            .map(|placed| placed.change)
            .collect();
        let new = document.rewrite(&changes).expect("written");
        assert_eq!(Tokens::of(MANIFEST).comments, Tokens::of(&new).comments);
        let meaning = meaning_of(&new);
        for Change { place, value } in changes {
            if let ValuePlace::Endpoint {
                job,
                endpoint,
                field,
            } = place
            {
                let key = EntryKey { job, endpoint };
                let entry = meaning
                    .iter()
                    .find(|(other, _)| *other == key)
                    .expect("there");
                assert!(entry.1.contains(&(field, value.expose().to_owned())));
            }
        }
    });
});
