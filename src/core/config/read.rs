//! From the text to the configuration.

use std::time::Duration;

use super::{
    ApplyConfig, Config, DEFAULT_MANIFEST, DEFAULT_STATE, Limits, PathText, Percent, TargetConfig,
    bare_endpoint, duration, is_address, is_project_id, is_region, is_to_be_expanded, percent,
    relative_path, state_path,
};
use crate::core::problem::{FieldPath, Position};
use crate::core::recipients::{recipient_key, refuse_recipient};
use crate::core::yaml::{Fields, Node, Outermost, Read, Reader, Scalar};

const MAX_BATCH_SIZE: u64 = 100;
const MAX_PARALLELISM: u64 = 32;
const LITERAL: (&str, &str) = (
    "is not a literal value",
    "Values are literal: write what it shall be, not where it comes from.",
);
const ENDPOINT_HELP: &str = "Write scheme, host and port alone, like https://HOST.";

/// Reads the whole document. Nothing is returned if it is no map or lacks
/// something that has no default.
pub fn config(yaml: &mut Reader<'_>) -> Read<Option<Config>> {
    let Outermost::Map { .. } = yaml.open()? else {
        yaml.close()?;
        return Ok(None);
    };
    let root = FieldPath::ROOT;
    let mut manifest = Some(PathText(DEFAULT_MANIFEST.to_owned()));
    let mut state = Some(PathText(DEFAULT_STATE.to_owned()));
    let mut state_at = None;
    let mut list = None;
    let mut place = None;
    let mut credentials_from = None;
    let mut sending = ApplyConfig::default();
    let mut bounds = Limits::default();
    let mut fields = Fields::new(&[
        "version",
        "manifest",
        "state",
        "recipients",
        "target",
        "credentials_from",
        "apply",
        "limits",
    ]);
    while let Some(field) = fields.next(yaml, &root)? {
        let path = root.field(field.name);
        match field.name {
            "version" => yaml.version(field.value, &path)?,
            "manifest" => {
                const HELP: &str =
                    "Write a path below the folder of this file, like secrets/passwords.yaml.age.";
                manifest = file(yaml, field.value, &path, relative_path, HELP)?;
            }
            "state" => {
                state_at = Some(field.at);
                const HELP: &str = "Write a path below the folder of this file that ends in .json, like drspass.state.json.";
                state = file(yaml, field.value, &path, state_path, HELP)?;
            }
            "recipients" => list = recipients(yaml, field.value, &path)?,
            "target" => place = target(yaml, field.value, field.at, &path)?,
            "credentials_from" => {
                credentials_from = yaml.text(field.value, &path)?.map(owned);
            }
            "apply" => sending = apply(yaml, field.value, &path)?,
            _ => bounds = limits(yaml, field.value, &path)?,
        }
    }
    yaml.close()?;
    for (name, help) in [
        ("version", "Begin with `version: 1`."),
        ("recipients", "List to whom the manifest is encrypted."),
        ("target", "Name the region and the project_id below it."),
    ] {
        if !fields.has(name) {
            yaml.error(&root.field(name), None, "is missing", help)?;
        }
    }
    let (Some(manifest), Some(state)) = (manifest, state) else {
        return Ok(None);
    };
    if manifest == state {
        let help = "Give the state a file of its own.";
        yaml.error(
            &root.field("state"),
            state_at,
            "is the manifest's file",
            help,
        )?;
    }
    let (Some(recipients), Some(target)) = (list, place) else {
        return Ok(None);
    };
    Ok(Some(Config {
        manifest,
        state,
        recipients,
        target,
        credentials_from,
        apply: sending,
        limits: bounds,
    }))
}

fn owned(scalar: Scalar<'_>) -> String {
    scalar.text.into_owned()
}

/// Goes into a map. Anything else is reported, also nothing.
fn is_map<'t>(yaml: &mut Reader<'t>, node: Node<'t>, path: &FieldPath<'_>) -> Read<bool> {
    if matches!(node, Node::Map { .. }) {
        return Ok(true);
    }
    let help = "Write its fields below it, indented, or remove the key.";
    yaml.wrong_kind(node, path, "is not a map of keys", help)?;
    Ok(false)
}

fn file<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &FieldPath<'_>,
    check: fn(&str) -> Result<PathText, &'static str>,
    help: &'static str,
) -> Read<Option<PathText>> {
    let Some(scalar) = yaml.text(node, path)? else {
        return Ok(None);
    };
    match check(&scalar.text) {
        Ok(text) => Ok(Some(text)),
        Err(what) => {
            yaml.error(path, Some(scalar.at), what, help)?;
            Ok(None)
        }
    }
}

fn recipients<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &FieldPath<'_>,
) -> Read<Option<Vec<String>>> {
    let Some(list) = yaml.texts(node, path)? else {
        return Ok(None);
    };
    let mut keys: Vec<(String, Position)> = Vec::with_capacity(list.len());
    for (index, (text, at)) in list.iter().enumerate() {
        let path = path.number(index + 1);
        if let Some((what, help)) = refuse_recipient(text) {
            yaml.error(&path, Some(*at), what, help)?;
        }
        let key = recipient_key(text);
        if let Some((_, first)) = keys.iter().find(|(other, _)| *other == key) {
            let what = format!("stands twice: line {} and line {}", first.line, at.line);
            yaml.error(&path, Some(*at), what, "Remove one of the two.")?;
        }
        keys.push((key, *at));
    }
    Ok(Some(list.into_iter().map(|(text, _)| text).collect()))
}

fn target<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    at: Position,
    path: &FieldPath<'_>,
) -> Read<Option<TargetConfig>> {
    if !is_map(yaml, node, path)? {
        return Ok(None);
    }
    let mut values: [Option<String>; 4] = [None, None, None, None];
    let mut endpoint_at = None;
    let mut fields = Fields::new(&["region", "project_id", "endpoint", "auth_url"]);
    while let Some(field) = fields.next(yaml, path)? {
        let path = path.field(field.name);
        let (index, is_good, what, help): (usize, fn(&str) -> bool, _, _) = match field.name {
            "region" => (0, is_region, "is not a region", "Write one like eu-de."),
            "project_id" => (
                1,
                is_project_id,
                "is not the id of a project",
                "Ids have letters, digits, dashes and underscores; the console shows it.",
            ),
            name => (
                if name == "endpoint" { 2 } else { 3 },
                is_address,
                "is not the address of a service",
                "Write one that begins with https:// and the host.",
            ),
        };
        let Some(scalar) = yaml.text(field.value, &path)? else {
            continue;
        };
        if is_to_be_expanded(&scalar.text) {
            yaml.error(&path, Some(scalar.at), LITERAL.0, LITERAL.1)?;
        } else if !is_good(&scalar.text) {
            yaml.error(&path, Some(scalar.at), what, help)?;
        } else if let Some(slot) = values.get_mut(index) {
            if field.name == "endpoint" {
                endpoint_at = Some(scalar.at);
            }
            *slot = Some(owned(scalar));
        }
    }
    if !fields.has("project_id") {
        let help = "Name the project; the console shows its id.";
        yaml.error(&path.field("project_id"), Some(at), "is missing", help)?;
    }
    let has_addresses = fields.has("endpoint") && fields.has("auth_url");
    if !fields.has("region") && !has_addresses {
        let help = "Name the region, or else both endpoint and auth_url.";
        yaml.error(&path.field("region"), Some(at), "is missing", help)?;
    }
    let [region, project_id, mut endpoint, auth_url] = values;
    if let (Some(written), Some(project_id)) = (&mut endpoint, &project_id) {
        let path = path.field("endpoint");
        match bare_endpoint(written, project_id).map(str::to_owned) {
            None => yaml.error(&path, endpoint_at, "has a path", ENDPOINT_HELP)?,
            Some(bare) => {
                if bare != written.trim_end_matches('/') {
                    let what = "ends in the version or the project, which is not used";
                    yaml.warning(&path, endpoint_at, what, ENDPOINT_HELP);
                }
                *written = bare;
            }
        }
    }
    Ok(project_id.map(|project_id| TargetConfig {
        region,
        project_id,
        endpoint,
        auth_url,
    }))
}

fn apply<'t>(yaml: &mut Reader<'t>, node: Node<'t>, path: &FieldPath<'_>) -> Read<ApplyConfig> {
    let mut config = ApplyConfig::default();
    if !is_map(yaml, node, path)? {
        return Ok(config);
    }
    let mut fields = Fields::new(&["batch_size", "parallelism", "request_timeout", "retry"]);
    while let Some(field) = fields.next(yaml, path)? {
        let path = path.field(field.name);
        match field.name {
            "batch_size" => count(
                yaml,
                field.value,
                &path,
                MAX_BATCH_SIZE,
                &mut config.batch_size,
            )?,
            "parallelism" => {
                count(
                    yaml,
                    field.value,
                    &path,
                    MAX_PARALLELISM,
                    &mut config.parallelism,
                )?;
            }
            "request_timeout" => time(yaml, field.value, &path, &mut config.request_timeout)?,
            _ => {
                if !is_map(yaml, field.value, &path)? {
                    continue;
                }
                let mut fields = Fields::new(&["max_elapsed"]);
                while let Some(field) = fields.next(yaml, &path)? {
                    let path = path.field(field.name);
                    time(yaml, field.value, &path, &mut config.retry_max_elapsed)?;
                }
            }
        }
    }
    Ok(config)
}

fn count<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &FieldPath<'_>,
    most: u64,
    slot: &mut usize,
) -> Read<()> {
    let Some((number, at)) = yaml.number(node, path)? else {
        return Ok(());
    };
    match usize::try_from(number) {
        Ok(fitting) if (1..=most).contains(&number) => *slot = fitting,
        _ => {
            let what = format!("is not between 1 and {most}");
            yaml.error(path, Some(at), what, "Choose a number between them.")?;
        }
    }
    Ok(())
}

fn time<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &FieldPath<'_>,
    slot: &mut Duration,
) -> Read<()> {
    let help = "Write a number and a unit, like 500ms, 60s, 5m or 1h, at most 24h.";
    match node {
        Node::Scalar(scalar) => match duration(&scalar.text) {
            Some(duration) => *slot = duration,
            None => yaml.error(path, Some(scalar.at), "is not a length of time", help)?,
        },
        node => yaml.wrong_kind(node, path, "is not a length of time", help)?,
    }
    Ok(())
}

fn limits<'t>(yaml: &mut Reader<'t>, node: Node<'t>, path: &FieldPath<'_>) -> Read<Limits> {
    let mut limits = Limits::default();
    if !is_map(yaml, node, path)? {
        return Ok(limits);
    }
    let mut fields = Fields::new(&["max_changes", "max_changed_share"]);
    while let Some(field) = fields.next(yaml, path)? {
        let path = path.field(field.name);
        if field.name == "max_changes" {
            limits.max_changes = yaml.number(field.value, &path)?.map(|(number, _)| number);
        } else {
            limits.max_changed_share = share(yaml, field.value, &path)?;
        }
    }
    Ok(limits)
}

fn share<'t>(yaml: &mut Reader<'t>, node: Node<'t>, path: &FieldPath<'_>) -> Read<Option<Percent>> {
    let help = "Write whole percent with the sign, like 20%.";
    match node {
        Node::Scalar(scalar) => {
            let percent = percent(&scalar.text);
            if percent.is_none() {
                yaml.error(path, Some(scalar.at), "is not a share", help)?;
            }
            Ok(percent)
        }
        node => {
            yaml.wrong_kind(node, path, "is not a share", help)?;
            Ok(None)
        }
    }
}
