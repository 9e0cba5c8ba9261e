//! `set` and `unset`: the text, an address, a value and a field. The result reads back as
//! the same but for the change, and every other token stands as it stood.
#![no_main]

use drspass::authoring::{Change, Effect, ManifestText, Taken, ValuePlace};
use drspass::core::fingerprint::Field;
use drspass::core::job::EntryKey;
use drspass::core::manifest::{Sealing, check_value, parse};
use drspass::core::secret::Secret;
use drspass::core::yaml;
use drspass_fuzz::{Tokens, assert_quiet, in_time, meaning_of, part, parts, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let Ok(document) = yaml::decode(part(&parts, 0)) else {
        return;
    };
    if parse(document, Sealing::Optional).value.is_none() {
        return;
    }
    let (address, value) = (text(&parts, 1), text(&parts, 2));
    let fields = [&[Field::Password][..], &Field::KERBEROS].concat();
    let chosen = part(&parts, 3).first().copied().unwrap_or_default();
    let field = fields[usize::from(chosen) % fields.len()];
    in_time(|| {
        set(document, &address, field, &value);
        unset(document, &address, field);
    });
});

fn set(document: &str, address: &str, field: Field, value: &str) {
    let secret = || Secret::new(value.to_owned());
    if check_value(field, &secret()).is_err() {
        return;
    }
    let old = ManifestText::new(document).expect("a valid manifest");
    let place = match old.find(address, field, Taken::New) {
        Ok(place) => place,
        Err(no_place) => return assert_quiet(&no_place.what),
    };
    let change = Change {
        place,
        value: secret(),
    };
    if let ValuePlace::Endpoint {
        job,
        endpoint,
        field,
    } = &change.place
        && *field != Field::Password
        && !old.has_endpoint(job, *endpoint)
    {
        return;
    }
    let effect = old.effect(&change);
    let new = old.rewrite(std::slice::from_ref(&change));
    let new = new.expect("a value fits into every valid manifest");
    let (before, after) = (Tokens::of(document), Tokens::of(&new));
    assert_eq!(before.comments, after.comments);
    if effect == Effect::Added {
        assert!(
            Tokens::keeps(&after.scalars, &before.scalars),
            "{before:?} {after:?}"
        );
    } else {
        let differ = before
            .scalars
            .iter()
            .zip(&after.scalars)
            .filter(|(a, b)| a != b);
        assert_eq!(before.scalars.len(), after.scalars.len());
        assert!(differ.count() <= 1, "{before:?} {after:?}");
    }
    let mut wanted = meaning_of(document);
    if let ValuePlace::Endpoint {
        job,
        endpoint,
        field,
    } = change.place
    {
        let key = EntryKey { job, endpoint };
        let entry = match wanted.iter().position(|(other, _)| *other == key) {
            Some(at) => &mut wanted[at].1,
            None => {
                wanted.push((key, Vec::new()));
                &mut wanted.last_mut().expect("just pushed").1
            }
        };
        entry.retain(|(other, _)| *other != field);
        entry.push((field, value.to_owned()));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        let sorted = |mut all: Vec<(EntryKey, Vec<(Field, String)>)>| {
            all.iter_mut()
                .for_each(|(_, values)| values.sort_by_key(|(field, _)| field.as_str()));
            all
        };
        assert_eq!(sorted(meaning_of(&new)), sorted(wanted));
    } else {
        let keys = |text: &str| {
            meaning_of(text)
                .into_iter()
                .map(|(key, _)| key)
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&new), keys(document));
    }
}

fn unset(document: &str, address: &str, field: Field) {
    let old = ManifestText::new(document).expect("a valid manifest");
    let Ok(place) = old.find_removable(address, field) else {
        return;
    };
    let new = old
        .without(&place)
        .expect("a value can be taken from every valid manifest");
    let (before, after) = (Tokens::of(document), Tokens::of(&new));
    assert!(
        Tokens::keeps(&before.scalars, &after.scalars),
        "{before:?} {after:?}"
    );
    assert!(
        Tokens::keeps(&before.comments, &after.comments),
        "{before:?} {after:?}"
    );
    let (was, is) = (meaning_of(document), meaning_of(&new));
    let same = |all: &[(EntryKey, Vec<(Field, String)>)]| match &place {
        ValuePlace::Credential(_) => all.to_vec(),
        ValuePlace::Endpoint { job, endpoint, .. } => all
            .iter()
            .filter(|(key, _)| key.job != *job || key.endpoint != *endpoint)
            .cloned()
            .collect(),
    };
    assert_eq!(same(&was), same(&is));
}
