use age::secrecy::SecretString;

use super::*;

const MEANS: Means<'static> = Means {
    ask: &nobody,
    plugins: Plugins::Never,
};

fn nobody(_: &str) -> Result<SecretString, NoPassphrase> {
    Err(NoPassphrase::Nobody)
}

fn fixture() -> (Identities, Vec<u8>) {
    let (file, public) = generate_identity("2026-01-02T03:04:05Z");
    let mut identities = Identities::default();
    identities
        .add(file.as_bytes(), "test")
        .expect("an identity");
    let sealed = encrypt(b"canary-text", &[public], Plugins::Never).expect("sealed");
    (identities, sealed)
}

#[test]
fn what_is_sealed_can_be_opened_with_any_line_ends() {
    let (identities, sealed) = fixture();
    let crlf = String::from_utf8(sealed.clone())
        .expect("armor is text")
        .replace('\n', "\r\n");
    for file in [&sealed[..], crlf.as_bytes()] {
        let plain = decrypt(file, &identities, &MEANS).expect("opened");
        assert_eq!(&plain[..], b"canary-text");
    }
}

#[test]
fn a_cut_or_changed_file_gives_nothing() {
    let (identities, sealed) = fixture();
    for end in [sealed.len() / 3, sealed.len() / 2, sealed.len() - 40] {
        assert!(decrypt(&sealed[..end], &identities, &MEANS).is_err());
    }
    let mut changed = sealed;
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    assert!(decrypt(&changed, &identities, &MEANS).is_err());
}

#[test]
fn faults_have_names() {
    let (identities, sealed) = fixture();
    let (_, other) = generate_identity("2026-01-02T03:04:05Z");
    let foreign = encrypt(b"x", &[other], Plugins::Never).expect("sealed");
    let error = |file: &[u8]| decrypt(file, &identities, &MEANS).err();
    assert!(matches!(error(&foreign), Some(AgeError::NoMatch)));
    assert!(matches!(error(b"jobs: {}\n"), Some(AgeError::NotEncrypted)));
    assert!(matches!(
        error(b"age-encryption.org/v1\r\n-> X25519 x\r\n"),
        Some(AgeError::LineEnds)
    ));
    let mut marked = b"<<<<<<< ours\n".to_vec();
    marked.extend_from_slice(&sealed);
    assert!(matches!(error(&marked), Some(AgeError::ConflictMarks)));
}

#[test]
fn recipients_that_cannot_be_encrypted_to_are_refused_by_number() {
    let (_, public) = generate_identity("2026-01-02T03:04:05Z");
    for bad in [
        "age1nonsense",
        "ecdsa-sha2-nistp256 AAAA",
        "sk-ssh-ed25519@openssh.com AAAA",
        "",
    ] {
        let refused = encrypt(b"x", &[public.clone(), bad.to_owned()], Plugins::Never);
        assert!(
            matches!(&refused, Err(AgeError::Recipients { what }) if what.starts_with("recipient 2 ")),
            "{bad}"
        );
    }
    assert!(encrypt(b"x", &[], Plugins::Never).is_err());
}

#[test]
fn more_recipients_than_are_ever_opened_are_refused() {
    let (_, public) = generate_identity("2026-01-02T03:04:05Z");
    let sealed = |count: usize| encrypt(b"x", &vec![public.clone(); count], Plugins::Never);
    let file = sealed(127).expect("sealed");
    assert!(header::check(&file).is_ok());
    assert!(matches!(sealed(128), Err(AgeError::TooManyRecipients)));
}

#[test]
fn recipients_of_hardware_are_encrypted_to_without_their_plugin() {
    let tagged = "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e";
    let sealed = encrypt(b"x", &[tagged.to_owned()], Plugins::Never).expect("sealed");
    let stanzas = header::stanzas(&sealed).expect("a header");
    assert_eq!(stanzas[0].tag, "p256tag");
}

#[test]
fn a_damaged_identity_file_is_told_by_its_line() {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from("canary-passphrase"));
    recipient.set_work_factor(2);
    let armor = age::encrypt_and_armor(&recipient, b"AGE-PLUGIN-NONE-1").expect("sealed");
    let damaged = armor.replacen('\n', "\n\n", 1);
    let mut identities = Identities::default();
    identities.add(damaged.as_bytes(), "id.age").expect("kept");
    let (_, sealed) = fixture();
    assert!(matches!(
        decrypt(&sealed, &identities, &MEANS),
        Err(AgeError::IdentityArmor { line: 2, .. })
    ));
}
