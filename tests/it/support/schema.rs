//! Documents against the schemas that the repository ships.

use std::fs;
use std::path::Path;

/// The schema `schemas/<name>.schema.json`.
pub(crate) fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.schema.json"));
    let text = fs::read_to_string(path).expect(name);
    jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
}

#[track_caller]
pub(crate) fn assert_fits(schema: &jsonschema::Validator, document: &serde_json::Value) {
    let errors: Vec<String> = schema
        .iter_errors(document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

/// Asserts that neither the document nor any object inside it may carry a field
/// that the schema does not name.
#[track_caller]
pub(crate) fn assert_closed(schema: &jsonschema::Validator, document: &serde_json::Value) {
    let mut places = Vec::new();
    objects(document, String::new(), &mut places);
    for place in places {
        let mut changed = document.clone();
        changed.pointer_mut(&place).expect("it was found there")["unknown_field"] = 1.into();
        assert!(
            !schema.is_valid(&changed),
            "an unknown field at '{place}' fits\n{changed:#}"
        );
    }
}

fn objects(value: &serde_json::Value, place: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                objects(value, format!("{place}/{name}"), found);
            }
            found.push(place);
        }
        serde_json::Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                objects(value, format!("{place}/{index}"), found);
            }
        }
        _ => {}
    }
}
