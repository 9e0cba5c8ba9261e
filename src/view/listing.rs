//! Lists for people: manifests, states, the login and the jobs of a project, without passwords
//! and fingerprints. The rules of [`super::text`] apply here as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::entry::{counted, distrusted_words, field_list, numbers, set_word, set_words};
use super::text::width;
use crate::core::fingerprint::Field;
use crate::core::inventory::{JobDatabase, JobFilter, ListedJob};
use crate::core::job::Endpoint;
use crate::core::report::{
    JobsReport, LedgerReport, LoginReport, ManifestEntry, ManifestReport, PlanNote,
};
use crate::core::rotation::{PasswordAge, RotationEntry, RotationReport};
use crate::core::state::{FailureClass, State, StateEntry};
use crate::core::status::{JobStatus, StatusKind};

pub fn manifest(shown: &ManifestReport) -> String {
    let mut text = String::new();
    let environment = shown.environment.as_ref();
    let environment = environment.map_or_else(String::new, |name| format!(" ({})", name.as_str()));
    let entries = counted(shown.entries.len(), "entry", "entries");
    let _ = match &shown.seal {
        Some(seal) => writeln!(
            text,
            "Manifest: {entries}, revision {}, {}.\n\
             sealed for project {} at {}{environment}\nkey id: {}",
            seal.revision,
            counted(seal.recipients, "recipient", "recipients"),
            seal.scope.project_id,
            seal.scope.endpoint,
            seal.key_id
        ),
        None => writeln!(text, "Manifest{environment}: {entries}, not sealed."),
    };
    let fields: Vec<String> = shown.entries.iter().map(field_words).collect();
    let label_width = width(shown.entries.iter().map(|entry| &entry.label));
    let field_width = width(fields.iter());
    for (entry, fields) in shown.entries.iter().zip(&fields) {
        let job = entry.key.job.as_str();
        let label = &entry.label;
        let _ = match label.starts_with(job) {
            true => writeln!(text, "  {label:label_width$}   {fields}"),
            false => writeln!(
                text,
                "  {label:label_width$}   {fields:field_width$}   {job}"
            ),
        };
    }
    text
}

fn field_words(entry: &ManifestEntry) -> String {
    let words = entry.fields.iter().map(|field| match &entry.credential {
        Some(name) if *field == Field::Password => format!("password via @{name}"),
        _ => field.to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Lists the entries of an unauthenticated state. `is_lost` means a backup of one, `has_more` that
/// there are answers not included.
pub fn state_list(
    state: Option<&State>,
    is_lost: bool,
    has_more: bool,
    notes: &[PlanNote],
) -> String {
    let Some(state) = state else {
        let why = if is_lost {
            ""
        } else {
            " yet: nothing was applied from here"
        };
        return with_notes(format!("No state{why}.\n"), notes);
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "State of project {}: {}, serial {}, revision {}.\nRead without a key: not authenticated, and with ids in place of names;\n'drspass state show' checks it and shows the names.",
        state.scope.project_id,
        counted(state.entries.len(), "entry", "entries"),
        state.serial,
        state.revision,
    );
    for (key, entry) in &state.entries {
        let (mark, words) = entry_words(entry);
        let key = key.to_string();
        let _ = writeln!(text, "  {mark} {key:48}   {words}");
    }
    if has_more {
        text.push_str(
            "note: an apply was cut off; what it recorded next to the state is not listed here\n",
        );
    }
    with_notes(text, notes)
}

fn with_notes(mut text: String, notes: &[PlanNote]) -> String {
    for note in notes {
        let _ = writeln!(text, "note: {}", note.text);
    }
    text
}

pub fn state_show(report: &LedgerReport) -> String {
    let known = report.state.as_ref();
    let entries = known.map(|state| &state.entries);
    let [serial, revision, highest] = known.map_or([0; 3], State::numbers);
    let more = if highest > revision {
        format!(" (the highest applied is {highest})")
    } else {
        String::new()
    };
    let mut text = format!(
        "State of serial {serial}, revision {revision}{more}: {}, authenticated.\n",
        counted(entries.map_or(0, BTreeMap::len), "entry", "entries"),
    );
    for (key, entry) in entries.into_iter().flatten() {
        let (mark, _) = entry_words(entry);
        let _ = writeln!(text, "{mark} {key}");
        match report.labels.get(key) {
            Some(label) if *label != key.to_string() => {
                let _ = writeln!(text, "    listed as     {label}");
            }
            Some(_) => {}
            None => text.push_str("    listed as     (no longer listed)\n"),
        }
        push_known(&mut text, entry);
    }
    with_notes(text, &report.notes)
}

/// Lists since when passwords are set: counts, then each, the oldest first.
pub fn rotation(report: &RotationReport) -> String {
    let older = report.max_days.map_or_else(String::new, |days| {
        let days = counted(days as usize, "day", "days");
        format!("{} older than {days}, ", report.older)
    });
    let mut text = format!(
        "{}: {older}{} of unknown age\n",
        counted(report.total, "password", "passwords"),
        report.unknown
    );
    let label_width = width(report.entries.iter().map(|entry| &entry.label));
    for RotationEntry {
        label,
        credential,
        age,
        is_older,
        ..
    } in &report.entries
    {
        let words = age_words(age);
        let mark = match age.known() {
            None => '?',
            Some(_) if *is_older => '!',
            Some(_) => ' ',
        };
        let via = credential.as_ref();
        let via = via.map_or_else(String::new, |name| format!("   @{name}"));
        let _ = writeln!(text, "  {mark} {label:label_width$}   {words}{via}");
    }
    with_notes(text, &report.notes)
}

fn age_words(age: &PasswordAge) -> String {
    match *age {
        PasswordAge::Since { at, .. } => {
            let days = age.known().map_or(0, |(_, days)| days);
            let unit = if days == 1 { "day " } else { "days" };
            format!("{days:>4} {unit}   {}", at.strftime("%Y-%m-%d"))
        }
        PasswordAge::NeverSet => "never set".to_owned(),
        PasswordAge::InDoubt { since } => doubt_words(since),
        PasswordAge::Distrusted { at } => distrusted_words(at),
        PasswordAge::Unrecorded { at, origin } => set_words(at, origin),
    }
}

fn doubt_words(since: Timestamp) -> String {
    format!("outcome unknown since {}", since.strftime("%Y-%m-%d"))
}

fn push_known(text: &mut String, entry: &StateEntry) {
    if let Some(applied) = &entry.applied {
        let word = set_word(applied.origin);
        let fields: Vec<Field> = std::iter::once(Field::Password)
            .chain(applied.prints.kerberos.keys().copied())
            .collect();
        let _ = writeln!(
            text,
            "    {word:<13} {} by {} ({})",
            applied.at,
            applied.run_id,
            field_list(&fields)
        );
    }
    if let Some(pending) = &entry.pending {
        let word = if pending.distrusted {
            "distrusted"
        } else {
            "unknown since"
        };
        let _ = writeln!(
            text,
            "    {word:<13} {} by {}",
            pending.since, pending.run_id
        );
    }
    if let Some(last) = &entry.last_outcome {
        let _ = writeln!(
            text,
            "    last attempt  {} {} at {}, {} without success",
            last.class.as_str(),
            last.code,
            last.at,
            counted(last.attempts as usize, "attempt", "attempts"),
        );
    }
}

fn entry_words(entry: &StateEntry) -> (char, String) {
    if let Some(pending) = &entry.pending {
        if pending.distrusted {
            return ('?', distrusted_words(pending.since));
        }
        return ('?', doubt_words(pending.since));
    }
    if let Some(last) = &entry.last_outcome {
        let is_wrong = usize::from(last.class == FailureClass::WrongPassword);
        let kind = ["", " (wrong password)"][is_wrong];
        return ('!', format!("refused: {}{kind}", last.code));
    }
    match &entry.applied {
        Some(applied) => ('=', set_words(applied.at, applied.origin)),
        None => (' ', "nothing known".to_owned()),
    }
}

/// Shown if the service does not say.
const UNKNOWN: &str = "unknown";

pub fn whoami(login: &LoginReport) -> String {
    let caller = &login.caller;
    let user = match (&caller.user, &caller.domain) {
        (Some(user), Some(domain)) => format!("{user} of {domain}"),
        (Some(user), None) => user.to_string(),
        (None, _) if caller.is_key => "the owner of the access key".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
    };
    let project = match &caller.project_name {
        Some(name) => format!("{} ({name})", login.scope.project_id),
        None => login.scope.project_id.clone(),
    };
    let end = match (caller.token_end, caller.is_key) {
        (Some(end), _) => format!("{end:.0}"),
        (None, true) => "none: each request is signed".to_owned(),
        (None, false) => UNKNOWN.to_owned(),
    };
    let region = login.region.as_deref().unwrap_or("not named");
    format!(
        "login:            {}\n\
         user:             {user}\n\
         project:          {project}\n\
         region:           {region}\n\
         endpoint:         {}\n\
         identity service: {}\n\
         token ends:       {end}\n",
        login.source, login.scope.endpoint, login.auth_url
    )
}

/// Lists the jobs of a project, each with its databases; then counts.
pub fn jobs(report: &JobsReport) -> String {
    let mut text = String::new();
    let what = match report.wanted {
        JobFilter::All => "Jobs",
        JobFilter::Failed => "Failed jobs",
    };
    if report.wanted == JobFilter::All || !report.jobs.is_empty() {
        let _ = writeln!(text, "{what} of project {}.", report.project_id);
    }
    for listed in &report.jobs {
        text.push_str(&job(report, listed));
    }
    for key in &report.absent {
        let _ = writeln!(text, "note: {key}: the project has no such job");
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if !report.absent.is_empty() {
        let absent = counted(report.absent.len(), "entry has", "entries have");
        let _ = writeln!(text, "note: {absent} no job in this project");
    }
    let _ = writeln!(text, "{}.", jobs_counts(report));
    text
}

fn jobs_counts(report: &JobsReport) -> String {
    let (jobs, listed) = (report.jobs.iter(), report.jobs.len());
    let both = |job| Endpoint::ALL.map(|endpoint| report.is_managed(job, endpoint));
    let managed = jobs.clone().flat_map(both).filter(|it| *it).count();
    let (total, endpoints) = (counted(report.total, "job", "jobs"), 2 * listed);
    let have = if listed == 1 { "has" } else { "have" };
    let counts = match (report.wanted, listed) {
        (JobFilter::Failed, 0) => {
            return format!("No job is reported as failed; the project has {total}");
        }
        (JobFilter::Failed, _) => format!("{listed} of {total} {have} failed"),
        (JobFilter::All, _) => total + &states(report),
    };
    format!("{counts}; {managed} of {endpoints} endpoints managed")
}

/// Counts the jobs by what matters of their states.
fn states(report: &JobsReport) -> String {
    let kind = |job: &&ListedJob| job.status.as_ref()?.known().map(JobStatus::kind);
    let jobs = report.jobs.iter();
    let of = |wanted| jobs.clone().filter(|job| kind(job) == Some(wanted)).count();
    let failed = jobs.clone().filter(|job| job.has_failed()).count();
    let states = numbers(&[
        (of(StatusKind::Running), "running"),
        (failed, "failed"),
        (of(StatusKind::Paused), "paused"),
    ]);
    states.replacen(',', ":", 1)
}

fn job(report: &JobsReport, job: &ListedJob) -> String {
    let mut text = String::new();
    let status = job.status.as_ref();
    let status = status.map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
    let _ = writeln!(text, "  {}   {status}", job.id);
    let mut facts = Vec::new();
    facts.extend(job.name.as_ref().map(ToString::to_string));
    facts.push(job.use_type.as_str().to_owned());
    facts.extend(job.engine.as_ref().map(ToString::to_string));
    let _ = writeln!(text, "      {}", facts.join(", "));
    if let Some(parent) = &job.parent {
        let _ = writeln!(text, "      subtask of {parent}");
    }
    if job.is_dual_active_parent {
        text.push_str("      dual-active parent: its subtasks accept passwords, it does not\n");
    }
    for endpoint in Endpoint::ALL {
        let word = if report.is_managed(job, endpoint) {
            "managed"
        } else {
            "unmanaged"
        };
        let database = job.database(endpoint);
        let _ = writeln!(
            text,
            "      {:22}   {}",
            format!("{endpoint}, {word}"),
            described(database)
        );
    }
    text
}

fn described(database: &JobDatabase) -> String {
    let mut text = String::new();
    let parts = [
        ("", &database.db_type),
        ("at ", &database.address),
        ("port ", &database.port),
        ("user ", &database.user),
    ];
    for (word, part) in parts {
        if let Some(part) = part {
            let gap = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{gap}{word}{part}");
        }
    }
    text
}
