//! The steps of the quickstart, which a test walks as well.
//!
//! It starts a simulator on a free port, makes a root folder in a temporary
//! place, and runs the commands that a user would type there: init, encrypt,
//! plan, an apply in which the service refuses one entry, the rerun that sends
//! only that entry, and a last plan with nothing to do. It fails if anything
//! ends otherwise than it says.
#![expect(
    clippy::print_stdout,
    reason = "an example shows what it does on standard output"
)]

use std::error::Error;
use std::fs;
use std::path::Path;

use drspass::cli::{self, Env};
use drspass::sim::{
    EndPointType, Fault, FaultKind, JobSpec, MessageKey, Rejection, SimConfig, Simulator,
};

const ORDERS: &str = "25df459d-a37c-41b9-bc2b-8c00ba32jb52";
const BILLING: &str = "6513270e-269e-0d37-f2a7-4de452e6jbb4";

/// Passwords made up for this example.
const WANTED: [(&str, &str, &str); 3] = [
    (ORDERS, "source", "made-up Orders #1"),
    (ORDERS, "destination", "made-up Orders #2"),
    (BILLING, "source", "made-up Billing #3"),
];

/// Runs the whole loop. Fails if any step ends otherwise than expected.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let sim = Simulator::start(SimConfig {
        jobs: [ORDERS, BILLING].map(JobSpec::new).to_vec(),
        ..SimConfig::default()
    })?;
    let folder = tempfile::tempdir()?;
    let shell = Shell {
        folder: folder.path(),
        env: Env::empty()
            .with_var("DRSPASS_IDENTITY", "key.txt")
            .with_var("OS_TOKEN", sim.token()),
    };
    println!(
        "# A simulated DRS service listens at {}; its jobs run.",
        sim.url()
    );
    println!("# DRSPASS_IDENTITY=key.txt and OS_TOKEN=<its token> are set.");

    let (endpoint, auth_url) = (sim.url(), format!("{}/v3", sim.url()));
    shell.run(
        0,
        &[
            "init",
            "-i",
            "key.txt",
            "--project-id",
            sim.project_id(),
            "--endpoint",
            &endpoint,
            "--auth-url",
            &auth_url,
        ],
    )?;

    println!("\n# The wanted passwords, in plain text for a moment:");
    let plain = folder.path().join("plain.yaml");
    fs::write(&plain, plaintext())?;
    print!("{}", plaintext());
    shell.run(0, &["encrypt", "plain.yaml"])?;
    println!("\n$ rm plain.yaml");
    fs::remove_file(plain)?;

    shell.run(0, &["show"])?;
    shell.run(2, &["plan", "--detailed-exitcode"])?;

    println!("\n# The service refuses one of the three this time:");
    sim.inject(Fault::next(FaultKind::RejectEntry(Rejection {
        job: BILLING.to_owned(),
        endpoint: EndPointType::Source,
        code: "DRS.M00304".to_owned(),
        message: "The task status does not allow this operation.".to_owned(),
        message_key: MessageKey::ErrorMsg,
    })));
    shell.run(3, &["apply", "--auto-approve"])?;
    expect_sent(&sim, 3)?;

    println!("\n# What was applied is recorded, so the rerun sends only the other:");
    shell.run(0, &["plan"])?;
    shell.run(0, &["apply", "--auto-approve"])?;
    expect_sent(&sim, 1)?;

    println!("\n# Nothing is left to do:");
    shell.run(0, &["plan", "--detailed-exitcode"])?;
    shell.run(0, &["state", "list"])?;
    for (job, endpoint, password) in WANTED {
        if !sim.holds(job, endpoint, password) {
            return Err(
                format!("the simulator does not hold the password of {job}/{endpoint}").into(),
            );
        }
    }
    println!("\n# The simulator holds every wanted password.");
    Ok(())
}

fn plaintext() -> String {
    let [(_, _, first), (_, _, second), (_, _, third)] = WANTED;
    format!(
        "version: 1\n\
         jobs:\n\
         \x20 {ORDERS}:\n\
         \x20   name: orders-cdc\n\
         \x20   source: {{ password: \"{first}\" }}\n\
         \x20   destination: {{ password: \"{second}\" }}\n\
         \x20 {BILLING}:\n\
         \x20   name: billing\n\
         \x20   source: {{ password: \"{third}\" }}\n"
    )
}

/// The last request must have held exactly this many entries.
fn expect_sent(sim: &Simulator, entries: usize) -> Result<(), Box<dyn Error>> {
    let sent = sim
        .requests()
        .last()
        .map_or(0, |request| request.entries().len());
    if sent == entries {
        Ok(())
    } else {
        Err(format!("the last request held {sent} entries instead of {entries}").into())
    }
}

/// Types commands in a folder.
struct Shell<'a> {
    folder: &'a Path,
    env: Env,
}

impl Shell<'_> {
    /// Runs drspass and shows the command as a user would type it.
    fn run(&self, expected: u8, args: &[&str]) -> Result<(), Box<dyn Error>> {
        println!("\n$ drspass {}", args.join(" "));
        let folder = self.folder.to_string_lossy();
        let all = [&["drspass", "-C", &folder], args].concat();
        let code = cli::run(all, &self.env);
        if code != 0 {
            println!("(exit code {code})");
        }
        if code == expected {
            Ok(())
        } else {
            Err(format!(
                "'drspass {}' ended with {code} instead of {expected}",
                args.join(" ")
            )
            .into())
        }
    }
}
