//! The vectors were computed with the hmac and hashlib modules of Python from
//! the formulas of design section 2.3, independently of this code.

use super::*;

struct Vector {
    key: [u8; 32],
    key_base64: &'static str,
    key_id: &'static str,
    subkeys: [(&'static str, &'static str); 6],
    scope: (&'static str, &'static str),
    entry: &'static str,
    field: Field,
    salt: Salt,
    value: &'static str,
    fingerprint: &'static str,
    body: &'static str,
    state_mac: &'static str,
}

fn vectors() -> [Vector; 2] {
    let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
    let mut counting_salt = [0; SALT_BYTES];
    counting_salt.copy_from_slice(&counting[..SALT_BYTES]);
    [
        Vector {
            key: counting,
            key_base64: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            key_id: "4f5a5547aff9b38dd3c3f86ddc121656",
            subkeys: [
                (
                    "fingerprint",
                    "8aec93266b4ee73fa42fb040f66fb2c2b6a3f91e873d380e59a5894f7d701eec",
                ),
                (
                    "plan",
                    "42f48d16d6eca5fb05c7927bfd723a235a14c82cd299db0cca5188c6408d2930",
                ),
                (
                    "state",
                    "80131701fd3765f48d0b7f0eb5cfafab70f607b91ddd390168ecb2a9f9f503c3",
                ),
                (
                    "journal",
                    "81b1a9112cfd893a50ca61b6a1c64372696a89d606363a3e2be0535501bcb019",
                ),
                (
                    "change",
                    "9504516a0c401d075e2d318be11fd05c9f273ff31ef54178eaf852b5722d5b23",
                ),
                (
                    "tag",
                    "2f2f367226a72d86a89afff28e2e3df60703adf65ce4a29e9003e984269d2116",
                ),
            ],
            scope: (
                "https://drs.eu-de.otc.t-systems.com",
                "054ba152d480d55b2f5dc0069e7ddef0",
            ),
            entry: "25df459d-a37c-41b9-bc2b-8c00ba32jb52/source",
            field: Field::Password,
            salt: counting_salt,
            value: "canary-one",
            fingerprint: "v1:AAECAwQFBgcICQoLDA0OD4c5HDpWp7sW8X7iV7ChhdaRzf0jsWN-Q57CTrsgEDsp",
            body: r#"{"serial":1}"#,
            state_mac: "0b4da7c28ec90818f03ae1cd421417895d352844719f1416e4ad9de18b69a5bc",
        },
        Vector {
            key: [0xff; 32],
            key_base64: "//////////////////////////////////////////8=",
            key_id: "c57942c0aab77b82436906022062da9e",
            subkeys: [
                (
                    "fingerprint",
                    "42c0ab2a958fed8d9c27134622d54680e8884f57f2ceb304ef32fdb59ab607c8",
                ),
                (
                    "plan",
                    "03d4e1a86c50adb9e85599ccf401cf7e75e438274be19e2e15392b89bfc6c2fa",
                ),
                (
                    "state",
                    "e0a1052df5c1ca147948c04e152f5e3db0915bf8388d31bde5a79c6f0eb0be71",
                ),
                (
                    "journal",
                    "cd3b3b130ea799d465e85799b556fabd334a21eebc1126aa19e1c61d2a844da6",
                ),
                (
                    "change",
                    "c208e2afe039f780a1cb91caa9eac3e228169e85a921a6873b96670a6894b80d",
                ),
                (
                    "tag",
                    "f3c0d739f12b67f9ca023f92cc219695569b88ed035d0c497a53f6ac0f0733cb",
                ),
            ],
            scope: ("http://127.0.0.1:8080", "p"),
            entry: "6513270e-269e-0d37-f2a7-4de452e6jbb4/destination",
            field: Field::KeyTabFile,
            salt: [0xa5; SALT_BYTES],
            value: "BQIAAAA=",
            fingerprint: "v1:paWlpaWlpaWlpaWlpaWlpYr95KtVPJTccsuJI7Mgq-uPheUiFAppV967R-I9xeiR",
            body: "{}",
            state_mac: "cdd33038969b73e4921b691c4c547bcb4095fd82bedc04d6cff9051750ff72a1",
        },
    ]
}

#[test]
fn keys_fingerprints_and_codes_match_the_fixed_vectors() {
    for vector in vectors() {
        let key = FingerprintKey::new(vector.key);
        assert_eq!(key.id().to_string(), vector.key_id);
        assert_eq!(key.to_base64().expose(), vector.key_base64);
        for (purpose, bytes) in vector.subkeys {
            assert_eq!(hex(&key.subkey_bytes(purpose)), bytes, "{purpose}");
        }
        let scope = Scope {
            endpoint: vector.scope.0.to_owned(),
            project_id: vector.scope.1.to_owned(),
        };
        let entry: EntryKey = vector.entry.parse().expect("an entry");
        let value = Secret::new(vector.value.to_owned());
        let prints = key.fingerprinter(&scope);
        let print = prints.of(&entry, vector.field, vector.salt, &value);
        let text = serde_json::to_string(&print).expect("text");
        assert_eq!(text, format!("\"{}\"", vector.fingerprint));
        let read: Fingerprint = serde_json::from_str(&text).expect("a fingerprint");
        assert!(prints.matches(&read, &entry, vector.field, &value));
        let mac = key.state_mac();
        assert_eq!(mac.of(vector.body.as_bytes()).as_str(), vector.state_mac);
        assert!(mac.verifies(vector.body.as_bytes(), vector.state_mac));
    }
}

#[test]
fn a_fingerprint_fits_one_value_of_one_field_of_one_entry_of_one_scope() {
    let key = FingerprintKey::new([7; 32]);
    let scope = |project: &str| Scope {
        endpoint: "https://drs.example.com".to_owned(),
        project_id: project.to_owned(),
    };
    let entry = |text: &str| text.parse::<EntryKey>().expect("an entry");
    let secret = |text: &str| Secret::new(text.to_owned());
    let prints = key.fingerprinter(&scope("a"));
    let print = prints.of(&entry("j/source"), Field::Password, [1; 16], &secret("x"));
    assert!(prints.matches(&print, &entry("j/source"), Field::Password, &secret("x")));
    for (entry_text, field, value) in [
        ("j/source", Field::Password, "y"),
        ("j/source", Field::Password, ""),
        ("j/source", Field::DomainName, "x"),
        ("j/destination", Field::Password, "x"),
        ("k/source", Field::Password, "x"),
    ] {
        let other = secret(value);
        assert!(!prints.matches(&print, &entry(entry_text), field, &other));
    }
    let elsewhere = key.fingerprinter(&scope("b"));
    assert!(!elsewhere.matches(&print, &entry("j/source"), Field::Password, &secret("x")));
    let other_key = FingerprintKey::new([8; 32]).fingerprinter(&scope("a"));
    assert!(!other_key.matches(&print, &entry("j/source"), Field::Password, &secret("x")));
}

#[test]
fn only_the_base64_of_32_bytes_is_a_key() {
    for bad in [
        "",
        "AAAA",
        "not base64!",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==",
    ] {
        assert!(
            FingerprintKey::from_base64(&Secret::new(bad.to_owned())).is_none(),
            "{bad}"
        );
    }
}

#[test]
fn malformed_fingerprints_and_codes_are_refused() {
    for bad in ["\"\"", "\"v1:\"", "\"v2:AAAA\"", "\"v1:AAAA\"", "7"] {
        assert!(serde_json::from_str::<Fingerprint>(bad).is_err(), "{bad}");
    }
    let mac = FingerprintKey::new([7; 32]).state_mac();
    let right = mac.of(b"x");
    assert!(mac.verifies(b"x", right.as_str()));
    assert!(!mac.verifies(b"x", &right.as_str().to_uppercase()));
    assert!(!mac.verifies(b"x", &right.as_str()[1..]));
    assert!(!mac.verifies(b"y", right.as_str()));
    assert!(!mac.verifies(b"x", ""));
}

fn key() -> FingerprintKey {
    FingerprintKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn scope(project_id: &str) -> Scope {
    Scope {
        endpoint: "https://drs.example".to_owned(),
        project_id: project_id.to_owned(),
    }
}

#[test]
fn equal_changes_have_equal_names_in_any_order_and_others_differ() {
    let entry = |text: &str| text.parse::<EntryKey>().unwrap();
    let (a, b) = (entry("j1/source"), entry("j2/source"));
    let (one, two) = (
        Secret::new("canary-1".to_owned()),
        Secret::new("canary-2".to_owned()),
    );
    let id = |project, entries: &[(&EntryKey, &'static str, &Secret)]| {
        let entries = entries.iter().map(|(key, action, value)| ChangedEntry {
            key,
            action,
            values: vec![(Field::Password, value)],
        });
        key().change_id(&scope(project), entries)
    };
    let name = id("p", &[(&a, "create", &one), (&b, "update", &two)]);
    assert_eq!(name, id("p", &[(&b, "update", &two), (&a, "create", &one)]));
    for other in [
        id("q", &[(&a, "create", &one), (&b, "update", &two)]),
        id("p", &[(&a, "update", &one), (&b, "update", &two)]),
        id("p", &[(&a, "create", &two), (&b, "update", &one)]),
        id("p", &[(&a, "create", &one)]),
        id("p", &[]),
    ] {
        assert_ne!(name, other);
    }
    assert_eq!(ChangeId::parse(name.as_str()), Some(name));
    assert_eq!(ChangeId::parse("x"), None);
}

#[test]
fn the_order_of_recipients_does_not_matter() {
    let digest = |list: &[&str]| key().recipients_digest(list.iter().copied());
    assert_eq!(digest(&["a", "b"]), digest(&["b", "a", "a"]));
    assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
    assert!(is_digest(&digest(&[])));
}

fn tag(
    key: &FingerprintKey,
    scope: (&str, &str),
    place: &str,
    field: Field,
    value: &str,
) -> String {
    let scope = Scope {
        endpoint: scope.0.to_owned(),
        project_id: scope.1.to_owned(),
    };
    let value = Secret::new(value.to_owned());
    key.tagger(&scope).of(place, field, &value)
}

const EU: (&str, &str) = (
    "https://drs.eu-de.otc.t-systems.com",
    "054ba152d480d55b2f5dc0069e7ddef0",
);
const HERE: (&str, &str) = ("http://127.0.0.1:8080", "p");

#[test]
fn tags_match_the_fixed_vectors() {
    // Computed with the hmac module of Python from the formula of design section 2.3.
    let entry = "25df459d-a37c-41b9-bc2b-8c00ba32jb52/source";
    let password = Field::Password;
    assert_eq!(
        tag(&key(), EU, entry, password, "canary-one"),
        "33540afb9ae00dd4"
    );
    let other = FingerprintKey::new([0xff; 32]);
    let accented = tag(&other, HERE, "@orders-db", password, "canary-\u{e9}");
    assert_eq!(accented, "9aec1054c1ac880b");
    let file = tag(&other, HERE, entry, Field::KeyTabFile, "BQIAAAA=");
    assert_eq!(file, "4f969caef5a59e6b");
}

#[test]
fn a_tag_belongs_to_one_value_of_one_field_at_one_place_of_one_project_under_one_key() {
    let (key, other) = (key(), FingerprintKey::new([7; 32]));
    let one = tag(&key, EU, "j/source", Field::Password, "canary");
    assert_eq!(one, tag(&key, EU, "j/source", Field::Password, "canary"));
    for another in [
        tag(&key, EU, "j/source", Field::Password, "canary2"),
        tag(&key, EU, "j/source", Field::DomainName, "canary"),
        tag(&key, EU, "j/destination", Field::Password, "canary"),
        tag(&key, EU, "@j", Field::Password, "canary"),
        tag(&key, (HERE.0, EU.1), "j/source", Field::Password, "canary"),
        tag(&key, (EU.0, HERE.1), "j/source", Field::Password, "canary"),
        tag(&other, EU, "j/source", Field::Password, "canary"),
    ] {
        assert_ne!(one, another);
    }
}
