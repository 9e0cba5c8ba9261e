//! Since when passwords are set, as far as a state knows: when DRS was given them, not when the
//! database took them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::job::EntryKey;
use super::manifest::Manifest;
use super::report::PlanNote;
use super::saved::MAX_CLOCK_SKEW;
use super::state::{State, StateEntry, UNKNOWN, ValueOrigin};

/// 2026-11-01, before the first version: only a wrong clock gave an earlier time.
const FIRST_SECOND: i64 = 1_793_491_200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAge {
    Since {
        at: Timestamp,
        age: SignedDuration,
    },
    NeverSet,
    InDoubt {
        since: Timestamp,
    },
    Distrusted {
        at: Timestamp,
    },
    /// Set or adopted, and no time, or an impossible one, is recorded for the password.
    Unrecorded {
        at: Timestamp,
        origin: ValueOrigin,
    },
}

impl PasswordAge {
    fn of(entry: Option<&StateEntry>, now: Timestamp) -> Self {
        let Some(entry) = entry else {
            return Self::NeverSet;
        };
        let applied = entry.applied.as_ref();
        let known = applied.map_or(UNKNOWN, |applied| applied.value_since);
        match (&entry.pending, applied) {
            (Some(mark), _) if mark.distrusted => Self::Distrusted { at: mark.since },
            // Of the applied password it is known since when it is set; whether DRS has it is for a plan
            // to say.
            (Some(mark), _) if known == UNKNOWN || mark.value_since != known => {
                Self::InDoubt { since: mark.since }
            }
            (_, None) => Self::NeverSet,
            (_, Some(_)) if is_possible(known, now) => Self::Since {
                at: known,
                age: now.duration_since(known).max(SignedDuration::ZERO),
            },
            (_, Some(applied)) => Self::Unrecorded {
                at: applied.at,
                origin: applied.origin,
            },
        }
    }

    /// Returns the time and the whole days since, if they are known.
    pub const fn known(&self) -> Option<(Timestamp, i64)> {
        match self {
            Self::Since { at, age } => Some((*at, age.as_hours() / 24)),
            _ => None,
        }
    }

    fn is_over(&self, days: u32) -> bool {
        let most = SignedDuration::from_hours(i64::from(days) * 24);
        matches!(self, Self::Since { age, .. } if *age > most)
    }
}

fn is_possible(at: Timestamp, now: Timestamp) -> bool {
    at.as_second() >= FIRST_SECOND && at.duration_since(now) <= MAX_CLOCK_SKEW
}

#[derive(Clone, Debug)]
pub struct RotationEntry {
    pub label: String,
    pub key: EntryKey,
    pub credential: Option<Arc<str>>,
    pub age: PasswordAge,
    pub is_older: bool,
}

#[derive(Clone, Debug)]
pub struct RotationReport {
    /// The most days that a password may be set, if given.
    pub max_days: Option<u32>,
    /// All passwords of the manifest, those older than `max_days`, and those of unknown age.
    pub total: usize,
    pub older: usize,
    pub unknown: usize,
    /// The oldest first, those of unknown age last; with `max_days`, only these and older ones.
    pub entries: Vec<RotationEntry>,
    pub notes: Vec<PlanNote>,
}

impl RotationReport {
    pub fn of(
        manifest: &Manifest,
        state: Option<&State>,
        now: Timestamp,
        max_days: Option<u32>,
        notes: Vec<PlanNote>,
    ) -> Self {
        let aged = manifest.assignments().iter().map(|assignment| {
            let known = state.and_then(|state| state.entries.get(&assignment.key));
            let age = PasswordAge::of(known, now);
            RotationEntry {
                label: assignment.label.clone(),
                key: assignment.key.clone(),
                credential: assignment.credential.clone(),
                age,
                is_older: max_days.is_some_and(|days| age.is_over(days)),
            }
        });
        let mut entries: Vec<RotationEntry> = aged.collect();
        let total = entries.len();
        let is_unknown = |entry: &RotationEntry| entry.age.known().is_none();
        if max_days.is_some() {
            entries.retain(|entry| entry.is_older || is_unknown(entry));
        }
        entries.sort_by_key(|entry| (is_unknown(entry), entry.age.known()));
        Self {
            max_days,
            total,
            older: entries.iter().filter(|entry| entry.is_older).count(),
            unknown: entries.iter().filter(|entry| is_unknown(entry)).count(),
            entries,
            notes,
        }
    }

    /// Returns whether a password is older than it may be, or may be so.
    pub const fn is_due(&self) -> bool {
        self.max_days.is_some() && self.older + self.unknown > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fingerprint::{FingerprintKey, Scope};
    use crate::core::manifest::{Sealing, parse};
    use crate::core::plan::{prints_of, to_record};
    use crate::core::state::{Lineage, RunId, Settlement};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_time_is_taken_from_the_first_version_on_and_up_to_five_minutes_ahead() {
        let now = at("2027-01-30T12:00:00Z");
        for (since, days) in [
            ("1970-01-01T00:00:00Z", None),
            ("2026-10-31T23:59:59Z", None),
            ("2026-11-01T00:00:00Z", Some(90)),
            ("2027-01-29T12:00:01Z", Some(0)),
            ("2027-01-29T12:00:00Z", Some(1)),
            ("2027-01-30T12:05:00Z", Some(0)),
            ("2027-01-30T12:05:01Z", None),
            ("2031-01-01T00:00:00Z", None),
        ] {
            assert_eq!(
                aged(since, now, None).known().map(|(_, days)| days),
                days,
                "{since}"
            );
        }
    }

    #[test]
    fn a_password_is_older_only_after_the_last_second_of_its_time() {
        let since = "2026-12-01T12:00:00Z";
        for (now, older) in [("2027-03-01T12:00:00Z", 0), ("2027-03-01T12:00:01Z", 1)] {
            let report = report(since, at(now), Some(90));
            assert_eq!(
                (report.older, report.is_due()),
                (older, older == 1),
                "{now}"
            );
        }
        assert!(!report(since, at("2031-01-01T00:00:00Z"), None).is_due());
    }

    fn aged(since: &str, now: Timestamp, max_days: Option<u32>) -> PasswordAge {
        report(since, now, max_days).entries[0].age
    }

    /// The report on one password, set at `since`.
    fn report(since: &str, now: Timestamp, max_days: Option<u32>) -> RotationReport {
        let text = "version: 1\njobs:\n  j1:\n    source: { password: 'canary-1' }\n";
        let manifest = parse(text, Sealing::Optional).value.expect("a manifest");
        let key = FingerprintKey::new([1; 32]);
        let scope = Scope {
            endpoint: "https://drs.example.com".to_owned(),
            project_id: "p".to_owned(),
        };
        let prints = key.fingerprinter(&scope);
        let mut state = State::new(scope, Lineage::new("l".to_owned()), key.id());
        let wanted = &manifest.assignments()[0];
        let mark = to_record(&prints, wanted, prints_of(&prints, wanted, || [1; 16]));
        state.begin([mark], at(since), &RunId::new("run".to_owned()));
        state.settle(&wanted.key, &Settlement::Applied, now);
        RotationReport::of(&manifest, Some(&state), now, max_days, Vec::new())
    }
}
