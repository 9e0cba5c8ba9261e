use super::*;

use crate::core::fingerprint::ChangedEntry;
use crate::core::fingerprint::{Fingerprint, FingerprintKey};
use crate::core::manifest::tests::sealing;
use crate::core::outcome::{Doubt, RefusalKind};
use crate::core::redact::Token;
use crate::core::secret::Secret;
use crate::core::state::{RunId, Settlement};
use jiff::SignedDuration;

/// The body of the sample, made apart from this code.
const SAMPLE: &str = include_str!("../../../tests/data/plan-v1.json");

fn sample() -> SavedPlan {
    let file: serde_json::Value = serde_json::from_str(SAMPLE).unwrap();
    serde_json::from_value(file["body"].clone()).unwrap()
}

fn key() -> FingerprintKey {
    FingerprintKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn sealed() -> Sealed {
    let plan = sample();
    Sealed {
        fingerprint_key: key(),
        scope: plan.scope,
        recipients: vec!["age1example".to_owned()],
        revision: plan.revision,
        ..sealing::sealed()
    }
}

fn during() -> Timestamp {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

/// What a state records; since when a password is set does not matter here.
fn record(
    key: &EntryKey,
    prints: &FieldPrints,
) -> (EntryKey, FieldPrints, fn(&Fingerprint) -> bool) {
    (key.clone(), prints.clone(), |_| false)
}

/// The state that the sample was compared with.
fn state() -> State {
    let plan = sample();
    let mut state = State::new(
        plan.scope.clone(),
        Lineage::new("0198c0de-0000-7000-8000-000000000001".to_owned()),
        plan.key_id.clone(),
    );
    state.serial = 7;
    for entry in &plan.entries {
        let PriorPrints {
            applied, attempted, ..
        } = entry.prior.clone();
        if let Some(prints) = applied {
            let run = RunId::new("p".to_owned());
            state.adopt(record(&entry.key, &prints), during(), &run);
        }
        if let Some(prints) = attempted {
            let run = RunId::new("run".to_owned());
            state.begin([record(&entry.key, &prints)], during(), &run);
            state.settle(&entry.key, &wrong_password(), during());
        }
    }
    state
}

fn wrong_password() -> Settlement {
    Settlement::Refused {
        kind: RefusalKind::WrongPassword,
        code: Token::from_static("DRS.KE0002"),
        request_id: None,
    }
}

fn refused() -> Settlement {
    Settlement::Refused {
        kind: RefusalKind::Rejected,
        code: Token::from_static("DRS.M00304"),
        request_id: None,
    }
}

/// The state after an apply of the sample settled its `at`-th entry.
fn after(mut state: State, at: usize, settlement: Option<&Settlement>) -> State {
    let entry = &sample().entries[at];
    let run = RunId::new("another".to_owned());
    state.begin([record(&entry.key, &entry.wanted)], during(), &run);
    if let Some(settlement) = settlement {
        state.settle(&entry.key, settlement, during());
    }
    state.serial += 2;
    state
}

#[test]
fn the_change_of_the_sample_has_the_name_that_was_computed_elsewhere() {
    let plan = sample();
    let [source, new, domain] =
        ["canary-source", "canary-new", "EXAMPLE.ORG"].map(|text| Secret::new(text.to_owned()));
    let values = [
        vec![(Field::Password, &source)],
        vec![(Field::Password, &new), (Field::DomainName, &domain)],
    ];
    let entries = plan
        .entries
        .iter()
        .zip(values)
        .map(|(entry, values)| ChangedEntry {
            key: &entry.key,
            action: entry.action.as_str(),
            values,
        });
    assert_eq!(key().change_id(&plan.scope, entries), plan.change_id);
    assert_eq!(recipients_of(&sealed()), plan.recipients);
}

#[test]
fn a_plan_fits_only_the_seal_that_it_was_made_for_and_only_for_its_time() {
    let plan = sample();
    let fits = |change: &dyn Fn(&mut Sealed)| {
        let mut sealed = sealed();
        change(&mut sealed);
        plan.fits(&sealed).map_err(|stale| stale.why)
    };
    assert_eq!(fits(&|_| {}), Ok(()));
    assert_eq!(fits(&|sealed| sealed.revision = 4), Ok(()));
    assert_eq!(
        fits(&|sealed| sealed.revision = 2),
        Err("it was made from revision 3 of the manifest, and this is revision 2".to_owned())
    );
    assert_eq!(
        fits(&|sealed| sealed.scope.project_id.push('x')),
        Err("it is for another service or project".to_owned())
    );
    assert_eq!(
        fits(&|sealed| sealed.fingerprint_key = FingerprintKey::new([9; 32])),
        Err("the manifest has another fingerprint key than the plan".to_owned())
    );
    assert_eq!(
        fits(&|sealed| sealed.recipients.push("age1other".to_owned())),
        Err("the recipients of the manifest changed since it was made".to_owned())
    );
    let minutes = |count| SignedDuration::from_mins(count);
    let end = plan.expires;
    let late = |count| plan.check_times(end + minutes(count));
    assert_eq!(late(5), Ok(()));
    let now = end + minutes(6);
    assert_eq!(
        late(6).unwrap_err().why,
        format!(
            "it expired at {}, and the clock of this machine says {}",
            end.strftime("%Y-%m-%d %H:%M UTC"),
            now.strftime("%Y-%m-%d %H:%M UTC")
        )
    );
    let earlier = |count| plan.check_times(plan.created - minutes(count));
    assert_eq!(earlier(5), Ok(()));
    let future = format!(
        "it was made at {}, which is in the future by the clock of this machine",
        plan.created.strftime("%Y-%m-%d %H:%M UTC")
    );
    assert_eq!(earlier(6).unwrap_err().why, future);
}

#[test]
fn attempts_of_the_plan_itself_leave_it_open_until_they_succeed() {
    let plan = sample();
    let open = [
        SavedProgress::Open,
        SavedProgress::Open,
        SavedProgress::Open,
    ];
    assert_eq!(plan.progress(Some(&state())).unwrap(), open);
    let doubt = Settlement::InDoubt {
        why: Doubt::AnswerLost,
    };
    // It is told as a plan made now would tell it.
    let fields = vec![Field::Password];
    let code = Token::from_static("DRS.M00304");
    for (settlement, reason) in [
        (None, Reason::InDoubt),
        (Some(&refused()), Reason::LastRefused { code, fields }),
        (Some(&doubt), Reason::InDoubt),
    ] {
        let tried = [
            SavedProgress::Open,
            SavedProgress::Tried(reason),
            SavedProgress::Open,
        ];
        let once = after(state(), 1, settlement);
        assert_eq!(plan.progress(Some(&once)).unwrap(), tried, "{settlement:?}");
        let twice = after(once, 1, settlement);
        assert_eq!(
            plan.progress(Some(&twice)).unwrap(),
            tried,
            "{settlement:?}"
        );
    }
    let half = after(state(), 1, Some(&Settlement::Applied));
    let progress = plan.progress(Some(&half)).unwrap();
    assert_eq!(
        progress,
        [
            SavedProgress::Open,
            SavedProgress::Done,
            SavedProgress::Open
        ]
    );
    let whole = after(half, 0, Some(&Settlement::Applied));
    assert_eq!(
        plan.progress(Some(&whole)).unwrap_err().why,
        "all of it is already applied (state serial 7 then, 11 now)"
    );
}

#[test]
fn a_wrong_password_that_the_plan_itself_met_is_held() {
    let plan = sample();
    let wrong = SavedProgress::Tried(Reason::WrongPassword {
        code: Token::from_static("DRS.KE0002"),
        credential: None,
    });
    // What somebody else met before, and what the plan was made to change, is open.
    assert_eq!(
        plan.progress(Some(&state())).unwrap(),
        [
            SavedProgress::Open,
            SavedProgress::Open,
            SavedProgress::Open
        ]
    );
    let met = after(state(), 1, Some(&wrong_password()));
    let progress = plan.progress(Some(&met)).unwrap();
    assert_eq!(
        progress,
        [SavedProgress::Open, wrong.clone(), SavedProgress::Open]
    );
    // A later doubt does not make it right.
    let doubt = Settlement::InDoubt {
        why: Doubt::AnswerLost,
    };
    let progress = plan.progress(Some(&after(met, 1, Some(&doubt)))).unwrap();
    assert_eq!(progress[1], wrong);
    let left = plan.entries[1].left(7, &wrong).unwrap();
    assert_eq!((left.index, left.action), (7, Action::Hold));
    assert!(plan.entries[1].left(7, &SavedProgress::Done).is_none());
}

#[test]
fn whatever_somebody_else_did_to_its_entries_makes_it_stale_by_name() {
    let plan = sample();
    let entry = &plan.entries[1];
    let other = plan.entries[0].wanted.clone();
    let is_moved = |state: &State| {
        let why = plan.progress(Some(state)).unwrap_err().why;
        why.starts_with("the state of orders-cdc/destination changed since (serial ")
    };
    let run = RunId::new("other".to_owned());
    let begun = |settlement: Option<Settlement>| {
        let mut state = state();
        state.begin([record(&entry.key, &other)], during(), &run);
        if let Some(settlement) = settlement {
            state.settle(&entry.key, &settlement, during());
        }
        state
    };
    for state in [
        begun(None),
        begun(Some(refused())),
        begun(Some(Settlement::Applied)),
    ] {
        assert!(is_moved(&state));
    }
    let mut gone = state();
    gone.entries.remove(&entry.key);
    assert!(is_moved(&gone));
    // Another entry of the state may move.
    let mut state = state();
    let key = "7413270e-269e-0d37-f2a7-4de452e6jbb5/source"
        .parse()
        .unwrap();
    state.adopt(record(&key, &other), during(), &run);
    assert!(plan.progress(Some(&state)).is_ok());
}

#[test]
fn another_state_or_none_is_not_taken_for_the_one_it_was_made_for() {
    let plan = sample();
    assert_eq!(
        plan.progress(None).unwrap_err().why,
        "the state that it was made with is missing"
    );
    let mut other = state();
    other.lineage = Lineage::new("other".to_owned());
    assert_eq!(
        plan.progress(Some(&other)).unwrap_err().why,
        "it was made with another state"
    );

    let mut first = sample();
    first.entries.truncate(1);
    first.state = PlanBase::Absent {
        lineage: Lineage::new("first".to_owned()),
    };
    assert_eq!(first.progress(None).unwrap(), [SavedProgress::Open]);
    assert_eq!(
        first.progress(Some(&other)).unwrap_err().why,
        "it was made without a state, and now there is one with serial 7"
    );
    let mut begun = State::new(
        first.scope.clone(),
        Lineage::new("first".to_owned()),
        first.key_id.clone(),
    );
    assert_eq!(first.progress(Some(&begun)).unwrap(), [SavedProgress::Open]);
    let entry = &first.entries[0];
    let run = RunId::new("run".to_owned());
    begun.begin([record(&entry.key, &entry.wanted)], during(), &run);
    begun.settle(&entry.key, &Settlement::Applied, during());
    let finished = first.progress(Some(&begun)).unwrap_err().why;
    assert!(finished.starts_with("all of it is already applied (state serial "));
}

#[test]
fn a_label_that_a_runner_would_obey_is_not_read() {
    let text = serde_json::to_string(&sample()).unwrap();
    let label = format!("\"address\":\"{}\"", sample().entries[0].address);
    assert!(text.contains(&label));
    for forged in ["", "##[add-mask]a", "a##vso[task]/source", "::error::a"] {
        let forged = text.replace(&label, &format!("\"address\":\"{forged}\""));
        assert!(
            serde_json::from_str::<SavedPlan>(&forged).is_err(),
            "{forged}"
        );
    }
}
