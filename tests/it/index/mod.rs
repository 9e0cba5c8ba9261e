//! The index: written with the manifest, reviewed without a key, compared with it.

mod compared;
mod keyless;
mod written;

use std::fs;

use crate::support::{J1, J2, Lab};

const INDEX: &str = "passwords.index.yaml";
const MANIFEST: &str = "passwords.yaml.age";
const STATE: &str = "drspass.state.json";

/// A manifest of two jobs in which this is one of the passwords.
fn rotate(lab: &mut Lab, rotated: &str) {
    lab.plant(&["canary-shared", "canary-own", rotated]);
    lab.document(format!(
        "version: 1\n# a-comment-of-mine\ncredentials:\n  orders-db: {{ password: 'canary-shared' }}\njobs:\n  \
         {J1}:\n    name: orders\n    source: {{ credential: orders-db }}\n    destination: {{ password: '{rotated}' }}\n  \
         {J2}:\n    source: {{ password: 'canary-own' }}\n"
    ))
    .exits(0);
}

/// A root folder with two jobs, of which nothing was applied.
fn lab() -> Lab {
    let mut lab = Lab::new();
    rotate(&mut lab, "canary-rotated");
    lab
}

fn index(lab: &Lab) -> String {
    lab.read(INDEX)
}

/// The index that belongs to the manifest that is there.
fn printed(lab: &Lab) -> String {
    lab.run(&["index"]).exits(0).stdout
}

fn manifest(lab: &Lab) -> Vec<u8> {
    fs::read(lab.path(MANIFEST)).unwrap()
}
