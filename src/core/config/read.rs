//! Reads drspass.yaml.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    ApplyConfig, Config, DEFAULT_MANIFEST, DEFAULT_STATE, Limits, Percent, TargetConfig,
    bare_endpoint, duration, is_address, is_project_id, is_to_be_expanded, percent,
};
use crate::core::place::{Place, relative_path};
use crate::core::recipients::{recipient_key, refuse_recipient};
use crate::core::yaml::{Cursor, Node};

const MAX_BATCH_SIZE: u64 = 100;
const MAX_PARALLELISM: u64 = 32;

const NAMES: [&str; 8] = [
    "version",
    "manifest",
    "state",
    "recipients",
    "target",
    "credentials_from",
    "apply",
    "limits",
];

/// Returns where the place of the state is written, `None` inside if it is not.
pub fn state_bytes(root: &Cursor<'_, '_>) -> Option<Option<Range<usize>>> {
    let [_, _, state, ..] = root.fields(NAMES);
    let bytes = |node: Node<'_>| node.start()..node.end();
    (!root.node.is_flow()).then(|| state.map(|value| bytes(value.node)))
}

pub fn config(root: &Cursor<'_, '_>) -> Option<Config> {
    let [
        version,
        manifest,
        state,
        recipients,
        target,
        credentials_from,
        apply,
        limits,
    ] = root.fields(NAMES);
    root.version(version);
    if recipients.is_none() {
        let help = "List the public keys that can decrypt the manifest.";
        root.missing("recipients", None, help);
    }
    if target.is_none() {
        let help = "Write the region and the project_id below it.";
        root.missing("target", None, help);
    }
    let manifest_help =
        "Write a path below the directory of this file, like secrets/passwords.yaml.age.";
    let state_help = "Write a path below the directory of this file that ends in .json, like drspass.state.json, or a branch as git:REMOTE/BRANCH.";
    let state_at = state.map(|value| value.key);
    let manifest = file(manifest, DEFAULT_MANIFEST, relative_path, manifest_help);
    let state = file(state, DEFAULT_STATE, Place::parse, state_help);
    let same = |path: &PathBuf| state.as_ref() == Some(&Place::File(path.clone()));
    if manifest.as_ref().is_some_and(same) && root.is_whole() {
        let help = "Give the state a file of its own.";
        root.with_path(root.path.field("state")).error_at(
            state_at,
            "is the path of the manifest",
            help,
        );
    }
    let recipients = recipients.and_then(|value| read_recipients(&value));
    let target = target.and_then(|value| read_target(&value));
    let credentials_from = credentials_from.and_then(|value| Some(value.text()?.to_owned()));
    let apply = apply.map_or_else(ApplyConfig::default, |value| read_apply(&value));
    let limits = limits.map_or_else(Limits::default, |value| read_limits(&value));
    Some(Config {
        manifest: manifest?,
        state: state?,
        recipients: recipients?,
        target: target?,
        credentials_from,
        apply,
        limits,
    })
}

/// Returns whether it is a mapping; reports anything else, null included.
fn is_map(value: &Cursor<'_, '_>) -> bool {
    if !value.node.is_map() {
        let help = "Write its fields below it, indented, or remove the key.";
        value.wrong_kind("is not a mapping", help);
    }
    value.node.is_map()
}

fn file<T>(
    value: Option<Cursor<'_, '_>>,
    usual: &str,
    check: fn(&str) -> Result<T, &'static str>,
    help: &'static str,
) -> Option<T> {
    let Some(value) = value else {
        return check(usual).ok();
    };
    let checked = check(value.text()?);
    checked.map_err(|what| value.error(what, help)).ok()
}

fn read_recipients(list: &Cursor<'_, '_>) -> Option<Vec<String>> {
    let list = list.texts()?;
    let mut keys: Vec<(String, Node<'_>)> = Vec::with_capacity(list.len());
    for item in &list {
        let text = item.node.scalar()?;
        if let Some((what, help)) = refuse_recipient(text) {
            item.error(what, help);
        }
        let key = recipient_key(text);
        if let Some((_, first)) = keys.iter().find(|(other, _)| *other == key) {
            let (first, second) = (first.at().line, item.node.at().line);
            let what = format!("is listed twice: line {first} and line {second}");
            item.error(what, "Remove one of them.");
        }
        keys.push((key, item.node));
    }
    Some(list.iter().map(Cursor::owned).collect())
}

fn read_target(target: &Cursor<'_, '_>) -> Option<TargetConfig> {
    if !is_map(target) {
        return None;
    }
    let fields = target.fields(["region", "project_id", "endpoint", "auth_url"]);
    let at = Some(target.key);
    if fields[1].is_none() {
        let help = "Write the project's id, which the console shows.";
        target.missing("project_id", at, help);
    }
    if fields[0].is_none() && (fields[2].is_none() || fields[3].is_none()) {
        let help = "Write the region, or both endpoint and auth_url.";
        target.missing("region", at, help);
    }
    let [region, project_id, endpoint, auth_url] = fields;
    const ADDRESS: (&str, &str) = ("is not a service address", "Write one like https://HOST.");
    let region_help = ("is not a valid region", "Write one like eu-de.");
    let region = region.and_then(|value| literal(&value, is_project_id, region_help));
    let project_help = (
        "is not a valid project id",
        "Use letters, digits, dashes and underscores; the console shows the id.",
    );
    let project_id = project_id.and_then(|value| literal(&value, is_project_id, project_help));
    let auth_url = auth_url.and_then(|value| literal(&value, is_address, ADDRESS));
    let mut address = endpoint.and_then(|value| literal(&value, is_address, ADDRESS));
    if let (Some(value), Some(written), Some(project_id)) = (endpoint, &mut address, &project_id)
        && target.is_whole()
    {
        const HELP: &str = "Write only scheme, host and port, like https://HOST.";
        match bare_endpoint(written, project_id).map(str::to_owned) {
            None => value.error("has a path", HELP),
            Some(bare) => {
                if bare != written.trim_end_matches('/') {
                    let what = "ends with the version or the project, which is ignored";
                    value.warning(value.node, what, HELP);
                }
                *written = bare;
            }
        }
    }
    Some(TargetConfig {
        region,
        project_id: project_id?,
        endpoint: address,
        auth_url,
    })
}

/// Returns the text if it is literal and `is_good`; reports anything else.
fn literal(
    value: &Cursor<'_, '_>,
    is_good: fn(&str) -> bool,
    (what, help): (&'static str, &'static str),
) -> Option<String> {
    let text = value.text()?;
    if is_to_be_expanded(text) {
        let help = "Variables are not expanded here: write the value itself.";
        value.error("is not a literal value", help);
        return None;
    }
    if !is_good(text) {
        value.error(what, help);
        return None;
    }
    Some(text.to_owned())
}

fn read_apply(apply: &Cursor<'_, '_>) -> ApplyConfig {
    let mut config = ApplyConfig::default();
    if !is_map(apply) {
        return config;
    }
    let [batch_size, parallelism, request_timeout, retry] =
        apply.fields(["batch_size", "parallelism", "request_timeout", "retry"]);
    count(batch_size, MAX_BATCH_SIZE, &mut config.batch_size);
    count(parallelism, MAX_PARALLELISM, &mut config.parallelism);
    time(request_timeout, &mut config.request_timeout);
    if let Some(retry) = retry.filter(is_map) {
        let [max_elapsed] = retry.fields(["max_elapsed"]);
        time(max_elapsed, &mut config.retry_max_elapsed);
    }
    config
}

fn count(value: Option<Cursor<'_, '_>>, most: u64, slot: &mut usize) {
    let Some(value) = value else { return };
    let Some(number) = value.number() else { return };
    match usize::try_from(number) {
        Ok(fitting) if (1..=most).contains(&number) => *slot = fitting,
        _ => {
            let what = format!("is not between 1 and {most}");
            value.error(what, "Write a number in this range.");
        }
    }
}

fn time(value: Option<Cursor<'_, '_>>, slot: &mut Duration) {
    let Some(value) = value else { return };
    match value.node.scalar().and_then(duration) {
        Some(duration) => *slot = duration,
        None => value.wrong_kind(
            "is not a duration",
            "Write a number and a unit, like 500ms, 60s, 5m or 1h, at most 24h.",
        ),
    }
}

fn read_limits(limits: &Cursor<'_, '_>) -> Limits {
    if !is_map(limits) {
        return Limits::default();
    }
    let [max_changes, max_changed_share] = limits.fields(["max_changes", "max_changed_share"]);
    Limits {
        max_changes: max_changes.and_then(|value| value.number()),
        max_changed_share: max_changed_share.and_then(|value| share(&value)),
    }
}

fn share(value: &Cursor<'_, '_>) -> Option<Percent> {
    let percent = value.node.scalar().and_then(percent);
    if percent.is_none() {
        let help = "Write a whole percentage, like 20%.";
        value.wrong_kind("is not a percentage", help);
    }
    percent
}
