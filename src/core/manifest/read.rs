//! From the document to the manifest, in one pass without a tree.

use std::collections::hash_map;
use std::sync::Arc;

use super::value::{SecretKind, secret};
use super::{Draft, DraftEndpoint, DraftEntry, Job, Manifest, Sealed, Sealing};
use crate::core::config::{is_address, is_project_id};
use crate::core::fingerprint::{Field, FingerprintKey, Scope};
use crate::core::job::{Endpoint, EntryKey, JobId};
use crate::core::problem::{FieldPath, Position};
use crate::core::secret::Secret;
use crate::core::yaml::{ChosenEntry, Entries, Fields, Node, Outermost, Read, Reader};

pub fn manifest(yaml: &mut Reader<'_>, sealing: Sealing) -> Read<Option<Manifest>> {
    let Outermost::Map { .. } = yaml.open()? else {
        yaml.close()?;
        return Ok(None);
    };
    let root = FieldPath::ROOT;
    let mut draft = Draft::default();
    let mut seal = None;
    let mut fields = Fields::new(&["version", "sealed", "credentials", "jobs"]);
    while let Some(field) = fields.next(yaml, &root)? {
        let path = root.field(field.name);
        match field.name {
            "version" => yaml.version(field.value, &path)?,
            "sealed" => seal = sealed(yaml, field.value, field.at, &path)?,
            "credentials" => draft.credentials(yaml, field.value, &path)?,
            _ => draft.jobs(yaml, field.value, &path)?,
        }
    }
    yaml.close()?;
    if !fields.has("version") {
        let path = root.field("version");
        yaml.error(&path, None, "is missing", "Begin with `version: 1`.")?;
    }
    if !fields.has("jobs") {
        let path = root.field("jobs");
        yaml.error(
            &path,
            None,
            "is missing",
            "List the jobs, or write `jobs: {}`.",
        )?;
    }
    if sealing == Sealing::Required && !fields.has("sealed") {
        let help = "The manifest is not sealed; run `drspass encrypt` on its text.";
        yaml.error(&root.field("sealed"), None, "is missing", help)?;
    }
    draft.finish(yaml, seal).map(Some)
}

/// Goes into a map whose keys the format defines. Anything else is reported.
pub fn is_map<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &FieldPath<'_>,
    if_null: &'static str,
) -> Read<bool> {
    if matches!(node, Node::Map { .. }) {
        return Ok(true);
    }
    if node.is_null() {
        yaml.wrong_kind(node, path, "has no value", if_null)?;
    } else {
        let help = "Write `key: value` pairs on lines of their own, indented.";
        yaml.wrong_kind(node, path, "is not a map of keys", help)?;
    }
    Ok(false)
}

impl<'t> Draft<'t> {
    fn credentials(
        &mut self,
        yaml: &mut Reader<'t>,
        node: Node<'t>,
        path: &FieldPath<'_>,
    ) -> Read<()> {
        if !is_map(
            yaml,
            node,
            path,
            "Remove the key, or list credentials below it.",
        )? {
            return Ok(());
        }
        let mut entries = Entries::new(|_| false);
        while let Some(entry) = entries.next(yaml, path)? {
            let path = entries.path(path, &entry.key, entry.number);
            if !is_name(&entry.key) {
                yaml.error(
                    &path,
                    Some(entry.at),
                    "not a name of a credential",
                    NAME_HELP,
                )?;
            }
            let mut password = None;
            if is_map(
                yaml,
                entry.value,
                &path,
                "Give it a `password`, or remove it.",
            )? {
                let mut fields = Fields::new(&["password"]);
                while let Some(field) = fields.next(yaml, &path)? {
                    let path = path.field(field.name);
                    password = secret(yaml, field.value, &path, SecretKind::Line)?.map(Arc::new);
                }
                if !fields.has("password") {
                    let help = "Give it a `password`, or remove it.";
                    yaml.error(&path.field("password"), Some(entry.at), "is missing", help)?;
                }
            }
            let slot = self.credentials.entry(entry.key.into()).or_default();
            slot.defined = Some((entry.at, entry.number));
            slot.password = password;
        }
        Ok(())
    }

    fn jobs(&mut self, yaml: &mut Reader<'t>, node: Node<'t>, path: &FieldPath<'_>) -> Read<()> {
        if let Node::List { at, start } = node {
            if let Some(item) = yaml.item(path)? {
                yaml.skip(item)?;
                yaml.skip(Node::List { at, start })?;
                let help = "Write a map: each job's id as a key, its fields indented below.";
                yaml.error(path, Some(at), "is a list", help)?;
            } else {
                let help = "It is taken for an empty map; write `jobs: {}`.";
                yaml.warning(path, Some(at), "is an empty list", help);
            }
            return Ok(());
        }
        if !is_map(yaml, node, path, "List the jobs, or write `jobs: {}`.")? {
            return Ok(());
        }
        let mut entries = Entries::new(may_show_id);
        while let Some(entry) = entries.next(yaml, path)? {
            let key = entry.key.clone();
            let path = entries.path(path, &key, entry.number);
            self.job(yaml, entry, &path)?;
        }
        self.ids = entries.keys;
        Ok(())
    }

    fn job(
        &mut self,
        yaml: &mut Reader<'t>,
        entry: ChosenEntry<'t>,
        path: &FieldPath<'_>,
    ) -> Read<()> {
        let id = JobId::parse(&entry.key).ok();
        match &id {
            None if JobId::parse(entry.key.trim()).is_ok() => {
                let what = "a job's id has a blank at its start or end";
                yaml.error(path, Some(entry.at), what, "Remove the blank.")?;
            }
            None => {
                let help = "Ids have letters, digits and dashes, at most 64.";
                yaml.error(path, Some(entry.at), "not the id of a job", help)?;
            }
            Some(id) if !id.has_usual_shape() => {
                let what = "the id of the job has an unusual shape";
                let help = "Compare it with the id that the console shows.";
                yaml.warning(path, Some(entry.at), what, help);
            }
            Some(_) => {}
        }
        if !is_map(
            yaml,
            entry.value,
            path,
            "Give the job an endpoint, or remove it.",
        )? {
            return Ok(());
        }
        let mut name = None;
        let mut wanted = [None, None];
        let mut fields = Fields::new(&["name", "source", "destination"]);
        while let Some(field) = fields.next(yaml, path)? {
            let path = path.field(field.name);
            let [source, destination] = &mut wanted;
            match field.name {
                "name" => name = self.name(yaml, field.value, entry.number, &path)?,
                "source" => *source = self.endpoint(yaml, field.value, field.at, &path)?,
                _ => *destination = self.endpoint(yaml, field.value, field.at, &path)?,
            }
        }
        if !fields.has("source") && !fields.has("destination") {
            let help = "It manages nothing; give the job a source or a destination, or remove it.";
            yaml.warning(path, Some(entry.at), "the job has no endpoint", help);
        }
        let Some(id) = id else { return Ok(()) };
        let shown = name.as_deref().unwrap_or(id.as_str());
        for (endpoint, wanted) in Endpoint::ALL.into_iter().zip(wanted) {
            let Some(wanted) = wanted else { continue };
            let mut label = String::with_capacity(shown.len() + 1 + endpoint.as_str().len());
            label.push_str(shown);
            label.push('/');
            label.push_str(endpoint.as_str());
            let job = id.clone();
            self.entries.push(DraftEntry {
                key: EntryKey { job, endpoint },
                label,
                wanted,
            });
        }
        self.jobs.push(Job { id, name });
        Ok(())
    }

    fn name(
        &mut self,
        yaml: &mut Reader<'t>,
        node: Node<'t>,
        number: usize,
        path: &FieldPath<'_>,
    ) -> Read<Option<Box<str>>> {
        let Some(scalar) = yaml.text(node, path)? else {
            return Ok(None);
        };
        let at = Some(scalar.at);
        if !is_name(&scalar.text) {
            yaml.error(path, at, "not a name of a job", NAME_HELP)?;
            return Ok(None);
        }
        if may_show_id(&scalar.text) {
            let help = "Choose a name that nobody can take for an id.";
            yaml.error(path, at, "the name looks like the id of a job", help)?;
            return Ok(None);
        }
        let name = Box::from(&*scalar.text);
        match self.names.entry(scalar.text) {
            hash_map::Entry::Occupied(first) => {
                let lines = (first.get().0.line, scalar.at.line);
                let what = format!(
                    "two jobs have this name: line {} and line {}",
                    lines.0, lines.1
                );
                yaml.error(path, at, what, "Rename one of the two.")?;
            }
            hash_map::Entry::Vacant(place) => {
                place.insert((scalar.at, number));
            }
        }
        Ok(Some(name))
    }

    fn endpoint(
        &mut self,
        yaml: &mut Reader<'t>,
        node: Node<'t>,
        at: Position,
        path: &FieldPath<'_>,
    ) -> Read<Option<DraftEndpoint>> {
        if !is_map(
            yaml,
            node,
            path,
            "Remove the key: an absent endpoint is unmanaged.",
        )? {
            return Ok(None);
        }
        let mut wanted = DraftEndpoint {
            password: None,
            credential: None,
            kerberos: Vec::new(),
        };
        let mut fields = Fields::new(&["password", "credential", "kerberos"]);
        while let Some(field) = fields.next(yaml, path)? {
            let path = path.field(field.name);
            match field.name {
                "password" => {
                    let password = secret(yaml, field.value, &path, SecretKind::Line)?;
                    wanted.password = password.map(Arc::new);
                }
                "credential" => wanted.credential = self.credential(yaml, field.value, &path)?,
                _ => wanted.kerberos = kerberos(yaml, field.value, &path)?,
            }
        }
        match (fields.has("password"), fields.has("credential")) {
            (true, true) => {
                let help = "Keep one of the two.";
                yaml.error(path, Some(at), "has both a password and a credential", help)?;
            }
            (false, false) => {
                let help = "Give it a `password`, or a `credential` that is defined once.";
                yaml.error(
                    path,
                    Some(at),
                    "has neither a password nor a credential",
                    help,
                )?;
            }
            _ => {}
        }
        Ok(Some(wanted))
    }

    /// The name in the one buffer that all its users share.
    fn credential(
        &mut self,
        yaml: &mut Reader<'t>,
        node: Node<'t>,
        path: &FieldPath<'_>,
    ) -> Read<Option<Arc<str>>> {
        let Some(scalar) = yaml.text(node, path)? else {
            return Ok(None);
        };
        if !is_name(&scalar.text) {
            yaml.error(
                path,
                Some(scalar.at),
                "not a name of a credential",
                NAME_HELP,
            )?;
            return Ok(None);
        }
        let known = self.credentials.get_key_value(&*scalar.text);
        let name = known.map_or_else(|| Arc::from(&*scalar.text), |(name, _)| Arc::clone(name));
        let slot = self.credentials.entry(Arc::clone(&name)).or_default();
        slot.is_used = true;
        if slot.defined.is_none() {
            self.open
                .push((path.to_string(), scalar.at, Arc::clone(&name)));
        }
        Ok(Some(name))
    }
}

const NAME_HELP: &str = "Use 1 to 64 letters, digits, dots, dashes and underscores, \
    and begin with a letter or digit.";

pub fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(inner)
}

/// Whether a key is surely an id and no misplaced password.
fn may_show_id(text: &str) -> bool {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        JobId::is_usual_shape(&text.to_ascii_lowercase())
    } else {
        JobId::is_usual_shape(text)
    }
}

/// The fields that are given, in the order of [`Field::KERBEROS`].
pub fn kerberos<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    path: &FieldPath<'_>,
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
        let value = secret(yaml, field.value, &path, SecretKind::of(wanted))?;
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

pub fn sealed<'t>(
    yaml: &mut Reader<'t>,
    node: Node<'t>,
    at: Position,
    path: &FieldPath<'_>,
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
                let Some(text) = secret(yaml, field.value, &path, SecretKind::Line)? else {
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
