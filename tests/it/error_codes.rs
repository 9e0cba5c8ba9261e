//! The codes of errors are a promise: pipelines look for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn add_codes(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_codes(&path, found);
            continue;
        }
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for start in ["code(drspass::", "\"drspass::"] {
            for (at, _) in text.match_indices(start) {
                let code = &text[at + start.len()..];
                let end = code.find(|c: char| !c.is_ascii_lowercase() && c != '_' && c != ':');
                if end > Some(0) {
                    found.insert(format!("drspass::{}", &code[..end.unwrap()]));
                }
            }
        }
    }
}

#[test]
fn the_codes_of_errors_are_those_that_were_promised() {
    let mut found = BTreeSet::new();
    add_codes(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    let promised: BTreeSet<String> = CODES.iter().map(ToString::to_string).collect();
    assert_eq!(found, promised);
}

pub(crate) const CODES: &[&str] = &[
    "drspass::address::unmatched",
    "drspass::age::armor",
    "drspass::age::conflict",
    "drspass::age::damaged",
    "drspass::age::declined",
    "drspass::age::encrypt",
    "drspass::age::identity",
    "drspass::age::identity_armor",
    "drspass::age::line_ends",
    "drspass::age::locked_identity",
    "drspass::age::no_identity",
    "drspass::age::no_match",
    "drspass::age::no_plugin",
    "drspass::age::no_recipient",
    "drspass::age::passphrase_file",
    "drspass::age::plaintext",
    "drspass::age::plugin",
    "drspass::age::plugin_not_started",
    "drspass::age::recipient",
    "drspass::age::replaced",
    "drspass::age::too_many_recipients",
    "drspass::age::uncombinable",
    "drspass::age::work_factor",
    "drspass::age::wrong_passphrase",
    "drspass::api::access_key",
    "drspass::api::auth_url",
    "drspass::api::ca_file",
    "drspass::api::endpoint",
    "drspass::api::insecure_endpoint",
    "drspass::api::no_authorities",
    "drspass::api::project_id",
    "drspass::api::setup",
    "drspass::api::token",
    "drspass::apply::limit",
    "drspass::document::invalid",
    "drspass::edit::discarded",
    "drspass::edit::editor",
    "drspass::edit::editor_failed",
    "drspass::edit::editor_words",
    "drspass::edit::folder",
    "drspass::edit::interrupted",
    "drspass::edit::invalid",
    "drspass::edit::kept",
    "drspass::edit::left",
    "drspass::edit::lost",
    "drspass::edit::no_editor",
    "drspass::edit::runtime",
    "drspass::edit::text",
    "drspass::edit::unsealed",
    "drspass::file::exists",
    "drspass::file::read",
    "drspass::file::unsynced",
    "drspass::file::write",
    "drspass::git::missing",
    "drspass::git::run",
    "drspass::git::unknown_commit",
    "drspass::index::mismatch",
    "drspass::index::unwritten",
    "drspass::init",
    "drspass::interrupted",
    "drspass::journal::foreign",
    "drspass::journal::invalid",
    "drspass::lock::held",
    "drspass::lock::unavailable",
    "drspass::login::client_certificate",
    "drspass::login::document",
    "drspass::login::incomplete",
    "drspass::login::insecure",
    "drspass::login::missing",
    "drspass::login::no_clouds",
    "drspass::login::no_entry",
    "drspass::login::other_cloud",
    "drspass::login::other_project",
    "drspass::login::project_form",
    "drspass::login::read",
    "drspass::login::several_entries",
    "drspass::login::value",
    "drspass::login::work_tree",
    "drspass::manifest::changed",
    "drspass::merge::invalid",
    "drspass::merge::keys",
    "drspass::merge::nothing",
    "drspass::merge::readers",
    "drspass::not_approved",
    "drspass::place::address",
    "drspass::place::clone",
    "drspass::place::elsewhere",
    "drspass::place::empty",
    "drspass::place::fetch",
    "drspass::place::folder",
    "drspass::place::git",
    "drspass::place::not_sealed",
    "drspass::place::not_state",
    "drspass::place::refused",
    "drspass::place::remote",
    "drspass::place::temporary",
    "drspass::place::unknown",
    "drspass::plan::authentic",
    "drspass::plan::file",
    "drspass::plan::other_change",
    "drspass::plan::stale",
    "drspass::rekey::lockout",
    "drspass::rekey::moved",
    "drspass::rekey::other_key",
    "drspass::rekey::place",
    "drspass::rekey::rollback",
    "drspass::rekey::unfinished",
    "drspass::rekey::unlike",
    "drspass::rekey::unrecovered",
    "drspass::request",
    "drspass::root::missing",
    "drspass::root::outside",
    "drspass::runtime",
    "drspass::sealed::endpoint",
    "drspass::sealed::key_id",
    "drspass::sealed::new_key",
    "drspass::sealed::other_key_beside",
    "drspass::sealed::project",
    "drspass::sealed::recipients",
    "drspass::sealed::rollback",
    "drspass::sealed::target",
    "drspass::service::failed",
    "drspass::service::refused",
    "drspass::service::unanswered",
    "drspass::state::changed",
    "drspass::state::exists",
    "drspass::state::former",
    "drspass::state::invalid",
    "drspass::state::line_ends",
    "drspass::state::moved",
    "drspass::state::newer",
    "drspass::state::no_branch",
    "drspass::state::no_directory",
    "drspass::state::put_back",
    "drspass::state::read",
    "drspass::state::recovery",
    "drspass::state::scope",
    "drspass::state::still_written",
    "drspass::state::tampered",
    "drspass::state::write",
    "drspass::target::invalid",
    "drspass::target::untrusted",
    "drspass::value::address",
    "drspass::value::file",
    "drspass::value::layout",
    "drspass::value::mismatch",
    "drspass::value::no_terminal",
    "drspass::value::not_typed",
    "drspass::value::refused",
    "drspass::value::unclear",
];
