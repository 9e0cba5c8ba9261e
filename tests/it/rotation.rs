//! Since when each password is set, by a clock that the test chooses.

use std::fs;

use drspass::sim::{EndPointType, Fault, FaultKind};
use serde_json::Value;

use crate::looped::refuse;
use crate::recover::recovery_file;
use crate::support::schema::{assert_closed, assert_fits, schema};
use crate::support::{J1, J2, J3, Lab, Run};

const FIRST: &str = "2026-12-01";
const NEXT: &str = "2026-12-31";
/// Ninety days after the first.
const LAST: &str = "2027-03-01";

/// Runs a command at noon of a day.
#[track_caller]
fn on(lab: &Lab, day: &str, args: &[&str]) -> Run {
    let mut command = lab.command(args);
    command.env("DRSPASS_TEST_NOW", format!("{day}T12:00:00Z"));
    lab.run_command(command)
}

#[track_caller]
fn apply_on(lab: &Lab, day: &str, more: &[&str]) -> Run {
    on(lab, day, &[&["apply", "--auto-approve"], more].concat())
}

fn one(lab: &mut Lab, password: &str) {
    lab.passwords(&[(J1, "source", password)]);
}

/// A password that was applied on the first day.
fn applied() -> Lab {
    let mut lab = Lab::new();
    one(&mut lab, "canary-1");
    apply_on(&lab, FIRST, &[]).exits(0);
    lab
}

/// The day since when the one password is set as it is told on a day, or why it is unknown.
#[track_caller]
fn since(lab: &Lab, day: &str) -> String {
    let run = on(lab, day, &["rotation", "--json"]).exits(0);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_fits(&schema("rotation-output"), &document);
    let entry = &document["entries"][0];
    let told = entry["since"].as_str().or(entry["unknown"].as_str());
    told.unwrap().split('T').next().unwrap().to_owned()
}

#[test]
fn a_password_that_is_sent_again_is_as_old_as_before() {
    let lab = applied();
    apply_on(&lab, NEXT, &["--resend", J1]).exits(0);
    let at = lab.entry(J1, "source")["applied"]["at"].clone();
    assert_eq!(at, "2026-12-31T12:00:00Z");
    assert_eq!(since(&lab, LAST), FIRST);
    on(&lab, NEXT, &["plan", "--resend", J1, "--out", "plan.json"]).exits(0);
    apply_on(&lab, NEXT, &["plan.json"]).exits(0);
    assert_eq!(since(&lab, LAST), FIRST);
    // Lost or refused, the attempt leaves no doubt about the password.
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    apply_on(&lab, NEXT, &["--resend", J1]).exits(4);
    assert_eq!(since(&lab, LAST), FIRST);
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    apply_on(&lab, NEXT, &["--resend", J1]).exits(1);
    assert_eq!(since(&lab, LAST), FIRST);
}

#[test]
fn a_change_and_a_change_back_make_a_new_age() {
    let mut lab = applied();
    one(&mut lab, "canary-2");
    assert_eq!(since(&lab, LAST), FIRST, "a wish changes nothing");
    apply_on(&lab, NEXT, &[]).exits(0);
    assert_eq!(since(&lab, LAST), NEXT);
    one(&mut lab, "canary-1");
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), LAST);
}

#[test]
fn only_the_password_counts() {
    let lab = Lab::new();
    let kerberos = |domain: &str| {
        format!(
            "  {J1}:\n    source:\n      password: 'canary-1'\n      kerberos: {{ domain_name: '{domain}' }}\n"
        )
    };
    lab.manifest(&kerberos("canary-a")).exits(0);
    apply_on(&lab, FIRST, &[]).exits(0);
    lab.manifest(&kerberos("canary-b")).exits(0);
    apply_on(&lab, NEXT, &[]).exits(0);
    assert_eq!(since(&lab, LAST), FIRST);
}

#[test]
fn a_lost_answer_that_is_confirmed_later_counts_from_its_attempt() {
    let mut lab = applied();
    one(&mut lab, "canary-2");
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    apply_on(&lab, NEXT, &[]).exits(4);
    assert_eq!(since(&lab, LAST), "in_doubt");
    on(&lab, LAST, &["rotation"])
        .exits(0)
        .says("outcome unknown since 2026-12-31");
    // A refusal in between proves nothing about the first attempt.
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    apply_on(&lab, "2027-02-01", &[]).exits(1);
    assert_eq!(since(&lab, LAST), FIRST);
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), NEXT);
}

#[test]
fn a_killed_apply_counts_from_its_marks() {
    for place in ["apply.before_first_send", "journal.after_append"] {
        let mut lab = applied();
        one(&mut lab, "canary-2");
        let mut command = lab.command(&["apply", "--auto-approve"]);
        command.env("DRSPASS_TEST_NOW", "2026-12-31T12:00:00Z");
        lab.killed(command, place, 1);
        let told = match place {
            "journal.after_append" => NEXT,
            _ => "in_doubt",
        };
        assert_eq!(since(&lab, LAST), told, "{place}");
        apply_on(&lab, LAST, &["--resend", J1]).exits(0);
        assert_eq!(since(&lab, LAST), NEXT, "{place}");
    }
}

#[test]
fn a_recovered_state_says_what_the_lost_one_would_have() {
    let mut lab = applied();
    one(&mut lab, "canary-2");
    let mut command = lab.command(&["apply", "--auto-approve"]);
    command
        .env("DRSPASS_TEST_NOW", "2026-12-31T12:00:00Z")
        .env("DRSPASS_TEST_FAIL_AT", "replace:3");
    lab.run_command(command).exits(8);
    let file = recovery_file(&lab);
    let marked = lab.read("drspass.state.json");
    on(&lab, LAST, &["state", "recover", &file]).exits(0);
    assert_eq!(since(&lab, LAST), NEXT);
    // Without its state, what the file says is in doubt, but not since when.
    assert_ne!(lab.read("drspass.state.json"), marked);
    fs::remove_file(lab.path("drspass.state.json")).unwrap();
    on(&lab, LAST, &["state", "recover", &file]).exits(0);
    assert_eq!(since(&lab, LAST), "in_doubt");
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), NEXT);
}

#[test]
fn an_adopted_password_has_an_age_only_if_it_was_the_applied_one() {
    let mut lab = applied();
    on(&lab, NEXT, &["state", "adopt", J1, "--yes"]).exits(0);
    assert_eq!(since(&lab, LAST), FIRST);
    one(&mut lab, "canary-2");
    on(&lab, NEXT, &["state", "adopt", J1, "--yes"]).exits(0);
    assert_eq!(since(&lab, LAST), "adopted");
    on(&lab, LAST, &["rotation"])
        .exits(0)
        .says("adopted 2026-12-31");
    apply_on(&lab, LAST, &["--resend", J1]).exits(0);
    assert_eq!(since(&lab, LAST), "sent", "sending it again shows no age");
    one(&mut lab, "canary-3");
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), LAST);
}

#[test]
fn distrust_keeps_the_age_that_an_authentic_state_says() {
    let mut lab = applied();
    on(&lab, NEXT, &["state", "distrust"]).exits(0);
    assert_eq!(since(&lab, LAST), "distrusted");
    on(&lab, LAST, &["rotation"])
        .exits(0)
        .says("to be sent again (state distrust, 2026-12-31)");
    on(&lab, NEXT, &["state", "distrust"]).exits(0);
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), FIRST);
    // A password that the state does not know may have been set by a state that was lost.
    one(&mut lab, "canary-2");
    on(&lab, NEXT, &["state", "distrust"]).exits(0);
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), "sent");
}

#[test]
fn a_changed_state_is_refused_and_its_ages_are_forgotten() {
    let lab = applied();
    let forged = lab.read("drspass.state.json").replace(FIRST, "2027-02-20");
    lab.write("drspass.state.json", forged);
    on(&lab, LAST, &["rotation", "--max-age", "90d"])
        .exits(1)
        .says("state was changed outside drspass");
    on(&lab, LAST, &["state", "distrust"]).exits(0);
    // Also if DRS takes it only at the second attempt.
    lab.sim
        .inject(refuse(J1, EndPointType::Source, "DRS.M00304"));
    apply_on(&lab, LAST, &[]).exits(1);
    assert_eq!(since(&lab, LAST), "never_set");
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), "sent");
}

#[test]
fn a_rekey_carries_ages_also_of_what_is_in_doubt() {
    let mut lab = applied();
    on(&lab, NEXT, &["rekey", "--yes", "--new-key"]).exits(0);
    assert_eq!(since(&lab, LAST), FIRST);
    one(&mut lab, "canary-2");
    lab.sim.inject(Fault::next(FaultKind::NotJson));
    apply_on(&lab, NEXT, &[]).exits(4);
    on(&lab, LAST, &["rekey", "--yes", "--new-key"]).exits(0);
    apply_on(&lab, LAST, &[]).exits(0);
    assert_eq!(since(&lab, LAST), NEXT);
}

#[test]
fn a_time_of_a_wrong_clock_is_unknown() {
    for day in ["1970-01-01", "2026-10-31", "2031-05-01"] {
        let mut lab = Lab::new();
        one(&mut lab, "canary-1");
        apply_on(&lab, day, &[]).exits(0);
        assert_eq!(since(&lab, LAST), "sent");
        on(&lab, LAST, &["rotation"])
            .exits(0)
            .says(&format!("set {day}"));
        apply_on(&lab, LAST, &["--resend", J1]).exits(0);
        assert_eq!(since(&lab, LAST), "sent", "right clocks do not know better");
    }
    let lab = applied();
    assert_eq!(since(&lab, "1970-01-01"), "sent");
    assert_eq!(since(&lab, "2031-05-01"), FIRST);
}

/// Four passwords: set on the first and on the last day, adopted, and never set.
fn mixed() -> Lab {
    let mut lab = Lab::new();
    lab.plant(&["canary-1", "canary-2", "canary-3", "canary-4"]);
    let document = |first: &str| {
        format!(
            "version: 1\ncredentials:\n  orders-db: {{ password: 'canary-1' }}\njobs:\n  {J1}:\n    \
             name: orders-cdc\n    source: {{ credential: orders-db }}\n    destination: {{ password: \
             '{first}' }}\n  {J2}:\n    source: {{ password: 'canary-3' }}\n"
        )
    };
    lab.document(document("canary-4")).exits(0);
    apply_on(&lab, FIRST, &["--only", J1]).exits(0);
    on(&lab, NEXT, &["state", "adopt", J2, "--yes"]).exits(0);
    let more = format!("  {J3}:\n    source: {{ password: 'canary-5' }}\n");
    lab.document(document("canary-2") + &more).exits(0);
    apply_on(&lab, LAST, &["--only", "orders-cdc"]).exits(0);
    lab
}

#[test]
fn the_oldest_passwords_come_first_and_a_limit_shows_only_what_is_due() {
    let lab = mixed();
    let day = "2027-03-02";
    let all = on(&lab, day, &["rotation"]).exits(0);
    let expected = format!(
        "4 passwords: 2 of unknown age\n    \
         orders-cdc/source{pad}     91 days   2026-12-01   @orders-db\n    \
         orders-cdc/destination{less}      1 day    2027-03-01\n  \
         ? {J2}/source   adopted 2026-12-31\n  ? {J3}/source   never set\n",
        pad = " ".repeat(26),
        less = " ".repeat(21),
    );
    assert_eq!(all.stdout, expected);
    let due = on(&lab, day, &["rotation", "--max-age", "90d"]).exits(7);
    let expected = format!(
        "4 passwords: 1 older than 90 days, 2 of unknown age\n  \
         ! orders-cdc/source{pad}     91 days   2026-12-01   @orders-db\n  \
         ? {J2}/source   adopted 2026-12-31\n  ? {J3}/source   never set\n",
        pad = " ".repeat(26),
    );
    assert_eq!(due.stdout, expected);
    on(&lab, day, &["rotation", "--max-age", "91d"])
        .exits(7)
        .says("0 older than 91 days, 2 of unknown age");
    lab.document(format!(
        "version: 1\njobs:\n  {J1}:\n    destination: {{ password: 'canary-2' }}\n"
    ))
    .exits(0);
    let well = on(&lab, day, &["rotation", "--max-age", "1d"]).exits(0);
    assert_eq!(
        well.stdout,
        "1 password: 0 older than 1 day, 0 of unknown age\n"
    );
}

#[test]
fn a_report_for_programs_says_what_the_text_says() {
    let lab = mixed();
    for (args, code, listed) in [
        (&["rotation", "--json"][..], 0, 4),
        (&["rotation", "--json", "--max-age", "90d"], 7, 3),
    ] {
        let run = on(&lab, "2027-03-02", args).exits(code);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_fits(&schema("rotation-output"), &document);
        assert_closed(&schema("rotation-output"), &document);
        let entries = document["entries"].as_array().unwrap();
        assert_eq!((entries.len(), &document["passwords"]), (listed, &4.into()));
        assert_eq!(document["unknown"], 2);
        assert_eq!(document["older"], u8::from(code == 7));
        assert_eq!(entries[0]["since"], "2026-12-01T12:00:00Z");
        assert_eq!(entries[0]["days"], 91);
        assert_eq!(entries[0]["credential"], "orders-db");
        assert_eq!(entries[0]["older"], code == 7);
        assert_eq!(entries[listed - 1]["unknown"], "never_set");
    }
}

#[test]
fn it_needs_the_key_and_takes_whole_days() {
    let lab = applied();
    let mut command = lab.command(&["rotation"]);
    command.env_remove("DRSPASS_IDENTITY");
    lab.run_command(command).exits(1).says("no identity");
    for wrong in ["90", "0d", "36h", "-1d", "d", "99999999999999999999d"] {
        lab.run(&["rotation", &format!("--max-age={wrong}")])
            .exits(64)
            .says("a whole number of days, such as 90d");
    }
    on(&lab, LAST, &["rotation", "--max-age", "48h"]).exits(7);
    assert_eq!(
        lab.sim
            .requests()
            .iter()
            .filter(|r| r.method() == "PUT")
            .count(),
        1
    );
}

#[test]
fn the_state_is_read_as_for_a_plan() {
    let mut lab = Lab::new();
    one(&mut lab, "canary-1");
    on(&lab, FIRST, &["rotation"])
        .exits(0)
        .says("1 password: 1 of unknown age")
        .says("never set")
        .says("no state at");
    apply_on(&lab, FIRST, &[]).exits(0);
    let older = fs::read(lab.path("passwords.yaml.age")).unwrap();
    one(&mut lab, "canary-2");
    apply_on(&lab, NEXT, &[]).exits(0);
    lab.write("passwords.yaml.age", older);
    on(&lab, NEXT, &["rotation"])
        .exits(1)
        .says("the manifest has revision");
}
