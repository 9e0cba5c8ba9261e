//! Texts that only hold the place of a secret, among them all that drspass writes.

use std::path::Path;

use drspass::core::manifest::{Sealing, parse};
use drspass::sim::{EndpointSpec, JobSpec};

use super::Desk;
use crate::preflight::{job, lab_of};
use crate::support::{J1, J2, Lab};

/// What stands in quotes where a template shows the place of a password.
fn shown(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in template.match_indices("password") {
        let after = template[at + "password".len()..].trim_start_matches('"');
        let value = after.trim_start().strip_prefix(':').map(str::trim_start);
        if let Some(value) = value.and_then(|value| value.strip_prefix('"')) {
            found.push(value.split('"').next().unwrap());
        }
    }
    assert!(!found.is_empty(), "no place of a password in\n{template}");
    found
}

/// The skeleton of `init`, and the list of `init --from-jobs`.
fn made_by_init() -> [String; 2] {
    let database = |user: Option<&str>| {
        Some(EndpointSpec {
            ip: Some("192.0.2.10".to_owned()),
            user: user.map(str::to_owned),
            ..EndpointSpec::default()
        })
    };
    let lab = lab_of(vec![JobSpec {
        source: database(Some("drs")),
        destination: database(None),
        ..job(J1, "INCRE_TRANSFER_STARTED")
    }]);
    let skeleton = lab.run(&["decrypt"]).exits(0).stdout;
    lab.remove_manifest();
    lab.run(&["init", "--from-jobs"]).exits(0);
    [skeleton, lab.run(&["decrypt"]).exits(0).stdout]
}

#[test]
fn no_text_of_a_template_is_taken_for_a_password() {
    let [skeleton, listed] = made_by_init();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manifest.md");
    let page = std::fs::read_to_string(page).unwrap();
    let json = page
        .lines()
        .find(|line| line.starts_with("`{\"orders-cdc/source\": "))
        .unwrap();
    let lab = Lab::new();
    let help = lab.run(&["import", "--help"]).exits(0).stdout;
    for template in [&*skeleton, &listed, json, &help] {
        for text in shown(template) {
            let document =
                format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: \"{text}\" }}\n");
            let problems = parse(&document, Sealing::Optional).problems;
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].what, "is a placeholder", "{text}");
        }
    }
    // Only the comment signs were taken away.
    let filled = skeleton
        .replace("jobs: {}\n", "")
        .replace("# credentials:", "credentials:")
        .replace("#   ", "   ")
        .replace("# jobs:", "jobs:");
    lab.document(filled)
        .exits(1)
        .says("@orders-db: the password is a placeholder")
        .says("destination.password: is a placeholder")
        .says("line ");
}

#[test]
fn set_and_import_refuse_placeholders_as_the_manifest_does() {
    let document =
        format!("version: 1\njobs:\n  {J1}:\n    source: {{ password: 'canary-old' }}\n");
    let desk = Desk::new(&document, &["canary-old"]);
    let before = desk.sealed();
    for text in [
        "...",
        "…",
        "********",
        "TODO",
        "REPLACE_ME",
        "replace me",
        "xxxxxxxx",
        "<password>",
        "",
    ] {
        let why = match text {
            "" => "is empty",
            _ => "is a placeholder",
        };
        desk.refuses(&[J1], text.as_bytes(), why);
        let list = format!("address,password\n{J1},{text}\n{J2}/source,{text}\n");
        desk.fed(&["import", "-", "--write", "--add"], list.as_bytes())
            .exits(1)
            .says(&format!("line 2: {why}"))
            .says(&format!("line 3: {why}"));
    }
    assert_eq!(desk.sealed(), before);
}
