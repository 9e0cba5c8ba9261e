//! `rekey` and `recipients`: who can read, who could, and what becomes of the state.

mod cut_off;
mod recipients;
mod refused;
mod target;

use std::collections::BTreeMap;
use std::fs;

use drspass::age_file::generate_identity;
use drspass::core::fingerprint::FingerprintKey;
use drspass::core::secret::Secret;
use drspass::core::state::State;
use drspass::sim::{EndPointType, Fault, FaultKind};
use drspass::store::{LockInfo, Store, StoreKeys, StoredState};

use crate::cli::approval;
use crate::looped::refuse;
use crate::outputs::lab_with_everything;
use crate::support::terminal::{APPROVAL, Terminal};
use crate::support::{J1, J2, J3, LOCKED, LOCKED_PUBLIC, Lab, PASSPHRASE, Run, mode};

pub(crate) const STATE: &str = "drspass.state.json";
pub(crate) const MANIFEST: &str = "passwords.yaml.age";

/// Somebody with an identity of their own in the file `name`; their public key.
pub(crate) fn person(lab: &Lab, name: &str) -> String {
    let (file, public) = generate_identity("2026-01-02T03:04:05Z");
    lab.write(name, file.as_bytes());
    public
}

/// The public key of `key.txt`.
pub(crate) fn own(lab: &Lab) -> String {
    lab.recipient_of("key.txt")
}

/// Adds somebody as a recipient; their identity is in `other.txt`.
pub(crate) fn add_somebody(lab: &Lab) -> String {
    let other = person(lab, "other.txt");
    lab.list_recipients(&[&own(lab), &other]);
    lab.run(&["rekey", "--yes"]).exits(0);
    other
}

/// Whether the identity in `name` opens the manifest.
pub(crate) fn opens(lab: &Lab, name: &str) -> bool {
    lab.run(&["-i", name, "validate"]).code == Some(0)
}

/// The id of the manifest's key.
pub(crate) fn key_id(lab: &Lab) -> String {
    let text = lab.run(&["show"]).exits(0).stdout;
    let id = text.lines().find_map(|line| line.strip_prefix("key id: "));
    id.unwrap().to_owned()
}

/// Every file of the root folder.
pub(crate) fn contents(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(lab.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect()
}

/// As [`contents`], without the lock, which says nothing.
pub(crate) fn told(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    let mut files = contents(lab);
    files.remove("drspass.state.json.lock");
    files
}

/// The entries of a plan: in sync ones are not among them.
pub(crate) fn planned(lab: &Lab) -> Vec<String> {
    let plan = lab.plan();
    let lines = plan.lines().skip(1);
    let lines = lines.filter(|line| !line.starts_with("note: "));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    // The counts come first.
    lines.rotate_right(1);
    lines
}

/// An entry of every kind: in sync, changed, held for its wrong password, in doubt,
/// refused, and one that is no longer listed.
fn lab_of_every_kind() -> Lab {
    let lab = lab_with_everything();
    lab.sim
        .inject(refuse(J3, EndPointType::Source, "DRS.M00304"));
    lab.apply(&["--only", &format!("{J3}/source")]).exits(1);
    let plan = lab.plan();
    for line in [
        "~ orders/destination ",
        &format!("! {J2}/source"),
        &format!("? {J2}/destination"),
        &format!("! {J3}/source"),
        "1 in sync, 1 no longer listed",
        "skipped: DRS.KE0002",
    ] {
        assert!(plan.contains(line), "{line} is not in\n{plan}");
    }
    lab
}

#[test]
fn somebody_who_is_added_can_read_and_nothing_else_changes() {
    let lab = lab_of_every_kind();
    let (before, id) = (planned(&lab), key_id(&lab));
    let state = lab.read(STATE);
    let other = person(&lab, "other.txt");
    assert!(!opens(&lab, "other.txt"));
    lab.list_recipients(&[&own(&lab), &other]);
    let run = lab.run(&["rekey", "--yes"]).exits(0);
    assert!(
        run.stdout
            .starts_with("wrote passwords.yaml.age and passwords.index.yaml, revision ")
    );
    assert!(!run.stdout.contains("key id"), "{}", run.stdout);
    let project = format!("Rekey for project {} at 127.0.0.1:", lab.sim.project_id());
    let folder = lab.dir.path().file_name().unwrap().to_str().unwrap();
    run.says(&project)
        .says(&format!("({folder}) passwords.yaml.age will be"))
        .says(&format!("+ {other}"));
    assert!(opens(&lab, "other.txt") && opens(&lab, "key.txt"));
    assert_eq!(key_id(&lab), id);
    assert_eq!(lab.read(STATE), state);
    assert_eq!(planned(&lab), before);
}

#[test]
fn somebody_who_is_removed_reads_nothing_new_and_every_entry_stays_what_it_was() {
    let lab = lab_of_every_kind();
    let other = add_somebody(&lab);
    lab.run(&["plan", "--out", "plan.json"]).exits(0);
    let (before, id, state) = (planned(&lab), key_id(&lab), lab.read(STATE));
    let manifest = fs::read(lab.path(MANIFEST)).unwrap();
    lab.list_recipients(&[&own(&lab)]);
    let whole = format!("- {other}");
    let run = lab
        .run(&["rekey", "--yes", "--expect-key-id", &id])
        .exits(0)
        .says(&whole)
        .says("Removed recipients can still read older commits of passwords.yaml.age.")
        .says("change the passwords themselves")
        .says("DRSPASS_EXPECT_KEY_ID")
        .says("Next: commit drspass.yaml and what was written, then run 'drspass apply'.");
    let new_id = key_id(&lab);
    assert_ne!(new_id, id);
    assert!(run.stdout.ends_with(&format!("key id: {new_id}\n")));
    lab.run(&["-i", "other.txt", "decrypt"])
        .exits(1)
        .says("no identity matches")
        .says("encrypted to 1 recipient,");

    assert_eq!(planned(&lab), before);
    assert_eq!(
        lab.read(STATE),
        state,
        "nothing that others read is touched"
    );
    lab.run(&["state", "rm", "--unlisted"]).exits(0);
    assert_eq!(lab.state()["body"]["key_id"], new_id.as_str());
    let (old, new) = (applied(&state), applied(&lab.read(STATE)));
    let still_listed = old.iter().filter(|line| new.contains(line)).count();
    assert_eq!(
        still_listed,
        new.len(),
        "when, how and by which run stays known"
    );
    lab.run(&["apply", "plan.json"])
        .exits(5)
        .says("another key");

    // What is wrong stays held, what is sent is what was not in sync.
    let sent = lab.sent().len();
    lab.apply(&[]).exits(3);
    let sent: Vec<String> = lab.sent()[sent..]
        .concat()
        .iter()
        .map(|(job, _)| job.clone())
        .collect();
    assert_eq!(sent, [J1, J2, J3]);
    let plan = lab.plan();
    assert!(
        plan.contains("skipped: DRS.KE0002") && plan.contains("4 in sync"),
        "{plan}"
    );

    // The removed person still has the old file, and nobody takes it.
    lab.put_manifest(manifest);
    lab.run(&["apply", "--auto-approve", "--expect-key-id", &new_id])
        .exits(1)
        .says("is expected");
    lab.apply(&[])
        .exits(1)
        .says("the state was made with the key");
}

/// What a state says of its applied entries, but for their fingerprints.
fn applied(state: &str) -> Vec<String> {
    let state: serde_json::Value = serde_json::from_str(state).unwrap();
    let entries = state["body"]["entries"].as_object().unwrap();
    let known = entries
        .iter()
        .filter(|(_, entry)| entry["applied"].is_object());
    known
        .map(|(key, entry)| {
            let applied = &entry["applied"];
            format!(
                "{key} {} {} {}",
                applied["at"], applied["origin"], applied["plan_id"]
            )
        })
        .collect()
}

#[test]
fn a_new_key_is_made_when_it_is_asked_for() {
    let lab = lab_of_every_kind();
    let (before, id) = (planned(&lab), key_id(&lab));
    lab.run(&["rekey", "--yes", "--new-key"])
        .exits(0)
        .says("There will be a new fingerprint key, as asked.");
    assert_ne!(key_id(&lab), id);
    assert_eq!(planned(&lab), before);
    // Once more, from a state that was carried over.
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    assert_eq!(planned(&lab), before);
}

#[test]
fn the_former_key_is_sealed_until_the_state_has_gone_over() {
    let lab = Lab::with_a_change();
    let former = |lab: &Lab| lab.run(&["decrypt"]).exits(0).stdout.contains("  former:");
    assert!(!former(&lab));
    let first = key_id(&lab);
    lab.run(&["rekey", "--yes", "--new-key"])
        .exits(0)
        .says(&format!(",{first}, and to "));
    assert!(former(&lab));
    // Two rekeys in a row: the state is still that of the first key.
    lab.run(&["rekey", "--yes", "--new-key"])
        .exits(0)
        .says(&format!(",{first}, and to "));
    let source = format!("{J1}/source");
    lab.run(&["set", &source, "--generate"]).exits(0);
    assert!(former(&lab), "the state is still made with it");
    lab.apply(&[]).exits(0);
    assert!(former(&lab), "an apply writes no manifest");
    lab.run(&["set", &source, "--generate"]).exits(0);
    assert!(!former(&lab));
    lab.run(&["plan"]).exits(0).says("1 to change");
}

#[test]
fn an_apply_with_nothing_to_send_writes_the_state_with_the_new_key() {
    let lab = Lab::with_a_change();
    lab.apply(&[]).exits(0);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let (id, sent) = (key_id(&lab), lab.sent().len());
    lab.run(&["plan", "--detailed-exitcode"])
        .exits(0)
        .says("the state still has the key from before");
    lab.run(&["apply"]).exits(0).says("Nothing to send.");
    assert_eq!(lab.sent().len(), sent);
    assert_eq!(lab.state()["body"]["key_id"], id.as_str());
    lab.run(&["plan", "--detailed-exitcode", "--expect-key-id", &id])
        .exits(0)
        .says_not("the state still has the key");
}

#[test]
fn an_editor_cannot_change_the_former_key() {
    let lab = Lab::with_a_change();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    for change in ["s/serial: [0-9]*$/serial: 9/", "/former:/,/state_sha256:/d"] {
        let mut command = lab.command(&["edit"]);
        command.env("EDITOR", format!("sed -i -e '{change}'"));
        lab.run_command(command).exits(1).says("sealed.former");
    }
}

#[test]
fn the_former_manifest_goes_on_until_the_new_one_is_merged() {
    let lab = Lab::with_a_change();
    let former = fs::read(lab.path(MANIFEST)).unwrap();
    let first = key_id(&lab);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let rekeyed = fs::read(lab.path(MANIFEST)).unwrap();
    let expected = format!("{},{first}", key_id(&lab));
    // Others work with the former manifest, and the state moves.
    lab.put_manifest(former);
    lab.apply(&[]).exits(0);
    let source = format!("{J1}/source");
    lab.write("new", "canary-3");
    lab.run(&["set", &source, "--from-file", "new"]).exits(0);
    fs::remove_file(lab.path("new")).unwrap();
    lab.apply(&[]).exits(0);
    lab.put_manifest(rekeyed);
    let files = told(&lab);
    for command in [
        &["plan"][..],
        &["apply", "--auto-approve"],
        &["state", "show"],
        &["state", "adopt", &source, "--yes"],
        &["rekey", "--yes", "--new-key"],
    ] {
        lab.run(command)
            .exits(1)
            .says("the state moved after this rekey: serial ")
            .says("drspass rekey --again");
    }
    lab.run(&["rekey", "--again"])
        .exits(7)
        .says("The state moved after this rekey")
        .says("Everyone who knows the former key could have written it");
    lab.run(&["rekey", "--again", "--yes", "--expect-key-id", &first])
        .exits(1)
        .says("is expected");
    assert_eq!(told(&lab), files);
    lab.run(&["rekey", "--again", "--yes", "--expect-key-id", &expected])
        .exits(0)
        .says("written with the manifest's key");
    assert_eq!(lab.state()["body"]["key_id"], key_id(&lab).as_str());
    lab.run(&["rekey", "--again", "--yes"])
        .exits(1)
        .says("was not written with the former key");
    // The others used this revision too; and DRS has what they set.
    lab.run(&["plan"])
        .exits(1)
        .says("another manifest with revision ");
    lab.run(&["rekey", "--yes"]).exits(0);
    lab.run(&["plan"]).exits(0).says("1 to change");
    lab.apply(&[]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-2"));
}

/// The state as someone with the former key can write it.
fn forged(lab: &Lab, former: &str, change: impl FnOnce(&mut State)) {
    let key = former
        .lines()
        .find_map(|line| line.trim().strip_prefix("fingerprint_key: \""));
    let key = Secret::new(key.unwrap().trim_end_matches('"').to_owned());
    let keys = StoreKeys::from(&FingerprintKey::from_base64(&key).unwrap());
    let store = Store::at(lab.path(STATE));
    let snapshot = store.read(&keys).unwrap();
    let StoredState::Ours(mut state) = snapshot.known else {
        panic!("it is of another key");
    };
    change(&mut state);
    let guard = store
        .lock(&LockInfo {
            pid: 1,
            host: "elsewhere".to_owned(),
            command: "apply".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        })
        .unwrap();
    store
        .commit(&guard, &keys, &mut state, &snapshot.version)
        .unwrap();
}

#[test]
fn a_removed_reader_who_writes_the_state_uses_up_no_revision_and_is_seen() {
    let lab = Lab::with_a_change();
    let former = lab.run(&["decrypt"]).exits(0).stdout;
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    forged(&lab, &former, |state| {
        state.highest = u64::MAX - 1;
        state.serial = u64::MAX;
    });
    lab.run(&["plan"])
        .exits(1)
        .says("the state moved after this rekey");
    let source = format!("{J1}/source");
    lab.run(&["set", &source, "--generate"])
        .exits(0)
        .says("revision 5");
    // Every entry that would not be sent is named, whatever times the state has.
    forged(&lab, &former, |state| {
        state.highest = 0;
        state.serial = 1;
    });
    lab.run(&["rekey", "--again"])
        .exits(7)
        .says("0 entries would not be sent");
    lab.run(&["rekey", "--again", "--yes"]).exits(0);
    assert_eq!(lab.state()["body"]["highest"], 4);
    lab.run(&["rekey", "--again", "--yes"]).exits(1);
}

#[test]
fn where_the_state_did_not_move_there_is_nothing_to_carry_over_again() {
    let lab = Lab::with_a_change();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let files = told(&lab);
    lab.run(&["rekey", "--again", "--yes"])
        .exits(1)
        .says("the state has not moved since the rekey");
    let id = key_id(&lab);
    lab.run(&["rekey", "--again", "--yes", "--expect-key-id", &id])
        .exits(1)
        .says("the state still has the former key");
    assert_eq!(told(&lab), files);
}

#[test]
fn a_former_state_whose_line_ends_git_changed_is_said_to_be_so() {
    let lab = Lab::with_a_change();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let state = lab.read(STATE);
    lab.write(STATE, state.replace('\n', "\r\n"));
    lab.run(&["plan"])
        .exits(1)
        .says("only the line ends differ");
    lab.write(STATE, state.replacen("\"sent\"", "\"adopted\"", 1));
    lab.run(&["plan"])
        .exits(1)
        .says("state was changed outside drspass");
}

#[test]
fn a_plan_of_after_the_rekey_is_applied_though_the_state_goes_over_with_it() {
    let lab = lab_of_every_kind();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    lab.run(&["plan", "--out", "plan.json"]).exits(0);
    lab.run(&["apply", "plan.json"]).exits(3);
    lab.run(&["apply", "plan.json"])
        .exits(5)
        .says("already applied");
}

#[test]
fn where_one_key_is_expected_a_state_of_the_former_one_is_refused() {
    let lab = Lab::with_a_change();
    let first = key_id(&lab);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let second = key_id(&lab);
    lab.run(&["plan", "--expect-key-id", &second])
        .exits(1)
        .says(&format!("the state still has the former key {first}"));
    let both = format!("{second},{first}");
    lab.run(&["plan", "--expect-key-id", &both]).exits(0);
    lab.run(&["apply", "--auto-approve", "--expect-key-id", &both])
        .exits(0);
    lab.run(&["plan", "--expect-key-id", &second]).exits(0);
    for malformed in ["", ",", &second[1..], &format!("{both},{first}")] {
        lab.run(&["plan", "--expect-key-id", malformed]).exits(1);
    }
}

#[test]
fn the_same_recipients_make_another_file_and_that_is_said() {
    let lab = Lab::with_a_change();
    let (before, state) = (fs::read(lab.path(MANIFEST)).unwrap(), lab.read(STATE));
    lab.run(&["rekey", "--yes"])
        .exits(0)
        .says("recipients and target are unchanged")
        .says("The file has changed although no recipient was added or removed.");
    assert_ne!(fs::read(lab.path(MANIFEST)).unwrap(), before);
    assert_eq!(lab.read(STATE), state);
    assert_eq!(planned(&lab).len(), 2);
}

#[test]
fn only_the_whole_word_on_a_terminal_approves() {
    let lab = Lab::with_a_change();
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    let before = told(&lab);
    lab.run(&["rekey"])
        .exits(7)
        .says("cannot ask for approval without a terminal");
    assert_eq!(told(&lab), before);
    for answer in ["y\n", "no\n", "\u{4}"] {
        approval(&lab, &["rekey"], answer)
            .exits(7)
            .says("not approved: the answer was not 'yes'");
        assert_eq!(told(&lab), before);
    }
    approval(&lab, &["rekey"], "yes\n").exits(0);
    assert!(!opens(&lab, "other.txt"));
}

#[test]
fn a_passphrase_is_asked_for_once_although_two_files_are_opened() {
    let mut lab = Lab::with_a_change();
    lab.plant(&[PASSPHRASE]);
    let locked = LOCKED_PUBLIC.trim();
    lab.list_recipients(&[&own(&lab), locked]);
    lab.run(&["rekey", "--yes"]).exits(0);
    lab.list_recipients(&[locked]);
    lab.write("locked", LOCKED);
    let mut terminal = Terminal::start(lab.command(&["-i", "locked", "rekey"]));
    terminal.sees("Passphrase for locked: ");
    terminal.types(&format!("{PASSPHRASE}\n"));
    terminal.sees(APPROVAL);
    terminal.types("yes\n");
    let run = lab.ended(terminal).exits(0).says("key id: ");
    assert_eq!(run.stdout.matches("Passphrase").count(), 1);
    assert!(!opens(&lab, "key.txt"));
}

#[test]
fn comments_stay_and_the_next_writer_goes_on_from_there() {
    let mut lab = Lab::new();
    let text = format!(
        "# who: canary-comment\nversion: 1\njobs:\n  {J1}: # here\n    source: {{ password: 'canary-1' }}\n"
    );
    lab.plant(&["canary-1", "canary-comment"]);
    lab.document(&text).exits(0);
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab.run(&["rekey", "--yes"]).exits(0);
    let plain = lab.run(&["decrypt"]).exits(0).stdout;
    assert!(plain.contains("# who: canary-comment\n") && plain.contains(": # here\n"));
    lab.document(&plain).exits(0);
    lab.apply(&[]).exits(0);
}

#[test]
fn without_a_state_it_is_said_what_becomes_of_one_elsewhere() {
    let mut lab = Lab::new();
    lab.passwords(&[(J1, "source", "canary-1")]);
    add_somebody(&lab);
    lab.list_recipients(&[&own(&lab)]);
    lab.run(&["rekey", "--yes"])
        .exits(0)
        .says("no state at drspass.state.json")
        .says("--accept-new-key");
    assert!(!lab.exists(STATE));
    lab.apply(&[]).exits(0);
}

#[test]
fn a_link_stays_a_link_and_the_file_keeps_its_mode() {
    let lab = Lab::with_a_change();
    let (link, real) = lab.link_manifest();
    let before = fs::read(&real).unwrap();
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    assert!(link.is_symlink());
    assert_eq!(mode(&real), 0o640);
    assert_ne!(fs::read(&real).unwrap(), before);
    lab.apply(&[]).exits(0);
    fs::remove_file(real).unwrap();
    lab.run(&["rekey", "--yes"]).exits(1).says(MANIFEST);
}

/// What a person sees, in one piece.
pub(crate) fn seen(run: &Run) -> String {
    run.all().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_doubt_that_a_rekey_met_is_sent_again() {
    let lab = Lab::with_a_change();
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    lab.apply(&[]).exits(4);
    lab.run(&["rekey", "--yes", "--new-key"]).exits(0);
    let run = lab.run(&["plan"]).exits(0);
    assert!(seen(&run).contains(&format!("? {J1}/source")));
    lab.apply(&[]).exits(0);
    lab.run(&["plan", "--detailed-exitcode"]).exits(0);
    assert!(lab.sim.holds(J1, "source", "canary-2"));
}
