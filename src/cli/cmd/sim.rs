//! `sim`.

use std::path::PathBuf;
use std::sync::mpsc;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::ops::OpError;
use crate::sim::{SimConfig, Simulator, scenario};
use crate::sys::files;

#[derive(Debug, Args)]
pub struct SimArgs {
    /// Listen on this port of the loopback address; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Jobs, passwords and faults to simulate
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
}

const MAX_SCENARIO_BYTES: u64 = 1 << 20;

pub fn run(context: &Context<'_>, args: &SimArgs) -> Result<u8, OpError> {
    let unfit = |what: String, help| OpError::unfit(what, help);
    let mut config = match &args.scenario {
        None => SimConfig {
            accept_any_job: true,
            ..SimConfig::default()
        },
        Some(path) => {
            let full = context.folder.join(path);
            let bytes =
                files::read_limited(&full, MAX_SCENARIO_BYTES).map_err(OpError::read(&path))?;
            scenario::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
                unfit(
                    format!("{}: {error}", path.display()),
                    "See examples/scenarios for valid files.",
                )
            })?
        }
    };
    config.port = args.port;
    let (log, requests) = mpsc::channel();
    config.request_log = Some(log);
    let sim = Simulator::start(config).map_err(|error| {
        unfit(
            format!("cannot start the simulator: {error}"),
            "Pass another --port, or 0 for a free one.",
        )
    })?;
    let text = format!(
        "A simulated DRS service listens at {url}\n\
         \n\
         export OS_TOKEN={token}\n\
         export DRSPASS_IDENTITY=key.txt\n\
         drspass init -i key.txt --project-id {project} \\\n\
         \x20 --endpoint {url} --auth-url {url}/v3\n\
         \n\
         admin token: {admin}\n\
         Press Ctrl-C to stop it; it forgets everything.\n",
        url = sim.url(),
        token = sim.token(),
        project = sim.project_id(),
        admin = sim.admin_token(),
    );
    context.shell.document(&text);
    // The simulator works on its own thread, and a signal ends the process.
    for line in requests {
        context.shell.message(&line);
    }
    Ok(exit::DONE)
}
