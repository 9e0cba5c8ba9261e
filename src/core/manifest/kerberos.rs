//! Reading of the optional kerberos part of an endpoint.

use super::read::is_map;
use super::value::{Kind, secret};
use crate::core::fingerprint::Field;
use crate::core::secret::Secret;
use crate::core::yaml::{Fields, Node, Path, Read, Reader};

/// The fields that are given, in the order of [`Field::KERBEROS`].
pub(super) fn kerberos<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &Path<'_>,
) -> Read<Vec<(Field, Secret)>> {
    const HELP: &str = "Remove it, or give it at least one field.";
    let at = match &node {
        Node::Map { at, .. } => Some(*at),
        _ => None,
    };
    if !is_map(yaml, node, path, HELP)? {
        return Ok(Vec::new());
    }
    let mut values = Field::KERBEROS.map(|_| None);
    let mut is_empty = true;
    let mut fields = Fields::new(&[
        "krb5_conf_file",
        "key_tab_file",
        "domain_name",
        "user_principal",
    ]);
    while let Some(field) = fields.next(yaml, path)? {
        is_empty = false;
        let wanted = match field.name {
            "krb5_conf_file" => Field::Krb5ConfFile,
            "key_tab_file" => Field::KeyTabFile,
            "domain_name" => Field::DomainName,
            _ => Field::UserPrincipal,
        };
        let path = path.field(field.name);
        let value = secret(yaml, field.value, &path, Kind::of(wanted))?;
        let place = Field::KERBEROS.iter().position(|field| *field == wanted);
        if let Some(slot) = place.and_then(|place| values.get_mut(place)) {
            *slot = value;
        }
    }
    if is_empty {
        yaml.error(path, at, "has no field", HELP)?;
    }
    let given = values.iter().filter(|value| value.is_some()).count();
    let mut list = Vec::with_capacity(given);
    list.extend(
        Field::KERBEROS
            .into_iter()
            .zip(values)
            .filter_map(|(field, value)| value.map(|value| (field, value))),
    );
    Ok(list)
}
