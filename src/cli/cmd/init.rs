//! `init`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::service;
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login::{self, LoginFlags};
use crate::core::config::{Config, TargetConfig, bare_endpoint};
use crate::core::target::{self, Target, TargetError};
use crate::ops::OpError;
use crate::ops::git::{self, DiffDriver};
use crate::ops::init::{self, InitRequest};

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The region, from which the addresses follow (such as eu-de)
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The project's id
    #[arg(long, value_name = "ID")]
    pub project_id: Option<String>,
    /// The address of the DRS service, where no region gives it; else the catalogue
    /// is asked
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The address of the identity service, ending in /v3
    #[arg(long, value_name = "URL")]
    pub auth_url: Option<String>,
    /// Encrypt to this public key (repeatable); a file named with -i is made if
    /// it does not exist, and its key is a recipient too
    #[arg(long, value_name = "KEY")]
    pub recipient: Vec<String>,
    /// List every job of the project in the manifest, to be filled in; logs in and
    /// asks the service
    #[arg(long)]
    pub from_jobs: bool,
    /// Have git show changes of the manifest value by value, in this clone; also
    /// where there is a manifest already, and then nothing else is done
    #[arg(long)]
    pub git: bool,
    #[command(flatten)]
    pub login: LoginFlags,
}

pub fn run(context: &Context<'_>, args: InitArgs) -> Result<u8, OpError> {
    context.sweep();
    // What git refuses, it refuses before anything is written.
    let driver = if args.git {
        let env = context.env.for_children();
        Some(DiffDriver::look(&context.folder, env)?)
    } else {
        None
    };
    let target = target(context, &args)?;
    let is_told = target.is_some() || !args.recipient.is_empty() || args.from_jobs;
    let driver = match driver {
        Some(driver) if !is_told => {
            match git::complete(&context.folder, &context.identity_files)? {
                Some(files) => return git_only(context, driver, &files),
                None => Some(driver),
            }
        }
        driver => driver,
    };
    let list = |target: &Target, config: Option<&Config>| {
        service::listed(context, target, config, &args.login)
    };
    let mut wanted = InitRequest {
        target,
        recipients: args.recipient,
        identities: context.identity_files.clone(),
        default_identity: context.env.default_identity(),
        now: env::now().to_string(),
        plugins: context.plugins(),
    };
    // Where neither an address nor the region of a known cloud gives the endpoint, the
    // catalogue does, and what it says is written down.
    init::check(&context.folder, &wanted, &context.guards())?;
    if let Some(config) = &mut wanted.target
        && is_only_catalogued(config)
    {
        config.endpoint = Some(service::catalogued(context, config, &args.login)?);
    }
    let made = init::init(
        &context.folder,
        wanted,
        &context.guards(),
        env::random::<32>,
        args.from_jobs.then_some(&list),
    )?;
    let mut text = wrote(&made.files);
    let Target { scope, auth_url } = &made.target;
    let _ = writeln!(text, "project: {}", scope.project_id);
    let _ = writeln!(text, "endpoint: {}", scope.endpoint);
    let _ = writeln!(text, "identity: {auth_url}");
    let _ = writeln!(text, "key id: {}", made.key_id);
    let mut arrived = context.shell.result(&text);
    // After the key id was told: git may still be unable to write its settings.
    if let Some(driver) = driver {
        arrived &= context.shell.result(&set(driver)?);
    }
    context.shell.message(
        "Next: 'drspass edit' opens the manifest in your editor, to be filled in.\n\
         In CI, keep the key id in a protected variable DRSPASS_EXPECT_KEY_ID.\n",
    );
    Ok(context.stands(arrived, exit::DONE))
}

fn target(context: &Context<'_>, args: &InitArgs) -> Result<Option<TargetConfig>, OpError> {
    let Some(project_id) = &args.project_id else {
        if args.region.is_some() || args.endpoint.is_some() || args.auth_url.is_some() {
            return Err(OpError::unfit(
                "the project is not named",
                "Give --project-id.",
            ));
        }
        return Ok(None);
    };
    let has_addresses = args.endpoint.is_some() && args.auth_url.is_some();
    let region = match &args.region {
        None if !has_addresses => login::region(context.env)?,
        region => region.clone(),
    };
    let endpoint = args.endpoint.as_ref();
    Ok(Some(TargetConfig {
        region,
        endpoint: endpoint.map(|url| bare(context, url, project_id)),
        auth_url: args.auth_url.clone(),
        project_id: project_id.clone(),
    }))
}

/// The address without version and project, which `openstack catalog list` shows.
fn bare(context: &Context<'_>, url: &str, project_id: &str) -> String {
    match bare_endpoint(url, project_id) {
        Some(bare) if bare != url.trim_end_matches('/') => {
            context.shell.message(
                "note: --endpoint ends in the version or the project, which is not used\n",
            );
            bare.to_owned()
        }
        _ => url.to_owned(),
    }
}

/// Whether neither the region nor a known cloud gives the endpoint.
fn is_only_catalogued(config: &TargetConfig) -> bool {
    let is_elsewhere = |url: &str| target::check_host(url, &[]).is_err() || target::is_here(url);
    match Target::resolve(config) {
        Err(error) => error == TargetError::NoEndpoint,
        Ok(_) => config.endpoint.is_none() && config.auth_url.as_deref().is_some_and(is_elsewhere),
    }
}

fn git_only(context: &Context<'_>, driver: DiffDriver, files: &[PathBuf]) -> Result<u8, OpError> {
    let mut text = wrote(files);
    text.push_str(&set(driver)?);
    if text.is_empty() {
        text.push_str("nothing to do: git knows the manifest already\n");
    }
    let arrived = context.shell.result(&text);
    context.shell.message(
        "Only git was told; the manifest is as it was.\n\
         Each clone needs 'drspass init --git' once, since settings of git are not cloned.\n",
    );
    Ok(context.stands(arrived, exit::DONE))
}

fn wrote(files: &[PathBuf]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "wrote {}", file.display());
    }
    text
}

fn set(driver: DiffDriver) -> Result<String, OpError> {
    let mut text = String::new();
    for name in driver.set()? {
        let _ = writeln!(text, "set {name} in the configuration of git");
    }
    Ok(text)
}
