//! Reading of the `sealed` part, which only the tool writes.

use super::Sealed;
use super::read::is_map;
use super::value::{Kind, secret};
use crate::core::config::{is_address, is_project_id};
use crate::core::fingerprint::{FingerprintKey, Scope};
use crate::core::problem::Position;
use crate::core::yaml::{Fields, Node, Path, Read, Reader};

/// Reads the part. Nothing is returned if any of its fields was refused.
pub(super) fn sealed<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    at: Position,
    path: &Path<'_>,
) -> Read<Option<Sealed>> {
    const NAMES: &[&str] = &[
        "fingerprint_key",
        "endpoint",
        "project_id",
        "auth_url",
        "recipients",
        "revision",
    ];
    const HELP: &str = "Only the tool writes this part; restore it from the encrypted manifest.";
    if !is_map(yaml, node, path, HELP)? {
        return Ok(None);
    }
    let mut key = None;
    let mut texts: [Option<String>; 3] = [None, None, None];
    let mut recipients = None;
    let mut revision = None;
    let mut fields = Fields::new(NAMES);
    while let Some(field) = fields.next(yaml, path)? {
        let path = path.field(field.name);
        let (index, is_good): (usize, fn(&str) -> bool) = match field.name {
            "fingerprint_key" => {
                let place = match &field.value {
                    Node::Scalar(scalar) => scalar.at,
                    _ => field.at,
                };
                let Some(text) = secret(yaml, field.value, &path, Kind::Line)? else {
                    continue;
                };
                key = FingerprintKey::from_base64(&text);
                if key.is_none() {
                    let what = "is not the base64 text of 32 bytes";
                    yaml.error(&path, Some(place), what, HELP)?;
                }
                continue;
            }
            "recipients" => {
                recipients = yaml.texts(field.value, &path)?;
                continue;
            }
            "revision" => {
                revision = yaml.number(field.value, &path)?;
                if let Some((0, at)) = revision {
                    yaml.error(&path, Some(at), "must be 1 or more", HELP)?;
                }
                continue;
            }
            "endpoint" => (0, |text| is_address(text) && !text.ends_with('/')),
            "project_id" => (1, is_project_id),
            _ => (2, is_address),
        };
        if let Some(text) = yaml.text(field.value, &path)? {
            if !is_good(&text.text) {
                yaml.error(&path, Some(text.at), "is not what the tool writes", HELP)?;
            }
            if let Some(slot) = texts.get_mut(index) {
                *slot = Some(text.text.into_owned());
            }
        }
    }
    for name in NAMES {
        if !fields.has(name) {
            yaml.error(&path.field(name), Some(at), "is missing", HELP)?;
        }
    }
    let [endpoint, project_id, auth_url] = texts;
    Ok((|| {
        Some(Sealed {
            fingerprint_key: key?,
            scope: Scope {
                endpoint: endpoint?,
                project_id: project_id?,
            },
            auth_url: auth_url?,
            recipients: recipients?.into_iter().map(|(text, _)| text).collect(),
            revision: revision?.0,
        })
    })())
}
