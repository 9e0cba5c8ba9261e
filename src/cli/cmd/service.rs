//! `whoami` and `jobs`, and the client of all commands.

use std::fmt::Display;
use std::path::Path;

use clap::Args;

use crate::api::client::Client;
use crate::api::exchange::Ambient;
use crate::api::http::ClientOptions;
use crate::api::tls::usable_certificates;
use crate::cli::args::{JOBS, OUTPUT};
use crate::cli::context::Context;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::login::{self, LoginContext, LoginFlags};
use crate::cli::progress;
use crate::core::config::{Config, TargetConfig};
use crate::core::inventory::{JobFilter, ListedJob};
use crate::core::report::LoginReport;
use crate::core::target::{self, Target};
use crate::ops::OpError;
use crate::ops::online::{self, Online};
use crate::ops::root::{Opened, Root};
use crate::view::json_v1;
use crate::view::listing;

#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Print one JSON document instead of text
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    #[command(flatten)]
    pub login: LoginFlags,
}

#[derive(Debug, Args)]
pub struct JobsArgs {
    /// List only the jobs that have failed; the exit code is 0 either way
    #[arg(long, help_heading = JOBS)]
    pub failed: bool,
    #[command(flatten)]
    pub service: ServiceArgs,
}

pub struct Connected {
    pub client: Client,
    pub source: String,
}

pub fn connect(
    context: &Context<'_>,
    root: &Root,
    opened: &Opened,
    flags: &LoginFlags,
) -> Result<Connected, OpError> {
    let mut options = options_of(&opened.target, Some(&root.config));
    options.endpoint_from = opened.endpoint_from.clone();
    let name = root.config.credentials_from.as_deref();
    connect_with(context, options, name, flags)
}

fn named_by(address: &Option<String>, name: &'static str) -> &'static str {
    match address {
        Some(_) => name,
        None => "target.region of drspass.yaml",
    }
}

fn options_of(target: &Target, config: Option<&Config>) -> ClientOptions {
    let named_by = match config {
        None => ["--endpoint or --region", "--auth-url or --region"],
        Some(Config { target, .. }) => [
            named_by(&target.endpoint, "target.endpoint of drspass.yaml"),
            named_by(&target.auth_url, "target.auth_url of drspass.yaml"),
        ],
    };
    ClientOptions {
        named_by,
        sending: config
            .map(|config| config.apply.clone())
            .unwrap_or_default(),
        ..ClientOptions::new(target.clone())
    }
}

/// Prepares a client; nothing is sent.
fn connect_with(
    context: &Context<'_>,
    mut options: ClientOptions,
    credentials_from: Option<&str>,
    flags: &LoginFlags,
) -> Result<Connected, OpError> {
    let place = LoginContext {
        env: context.env,
        system: Path::new(login::SYSTEM),
        folder: &context.folder,
        project_id: &options.target.scope.project_id,
        auth_url: &options.target.auth_url,
        credentials_from,
    };
    // Shown first, since it may explain a missing login.
    if let Some(note) = login::empty(context.env) {
        context.shell.message(&format!("note: {note}\n"));
    }
    let found = login::find(flags, &place)?;
    note(context, &found.notes);
    let ca = match &context.ca_file {
        Some(path) => {
            let pem = login::read_ca(&context.folder.join(path));
            let pem = pem.map_err(OpError::read(&path))?;
            Some((format!("--ca-file {}", path.display()), pem))
        }
        None => found.ca,
    };
    options.ca_file = ca
        .map(|(place, pem)| usable(context, &place, &pem))
        .transpose()?;
    if !(target::is_here(&options.target.scope.endpoint)
        && target::is_here(&options.target.auth_url))
    {
        options.proxy = login::proxy(context.env)?;
    }
    let source = match found.project_source {
        Some(project) => format!("{}; project from {project}", found.source),
        None => found.source,
    };
    options.login_from.clone_from(&source);
    let ambient = Ambient {
        now: env::now,
        random: || u64::from_ne_bytes(env::random()),
        progress: progress::note,
    };
    Ok(Connected {
        client: Client::new(options, found.credentials, ambient)?,
        source,
    })
}

/// Returns the valid certificates of a bundle, with a note about the others.
fn usable(context: &Context<'_>, place: &str, pem: &[u8]) -> Result<Vec<u8>, OpError> {
    let (usable, broken) = usable_certificates(pem);
    let numbers: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let unreadable = match numbers.as_slice() {
        [] => None,
        [one] => Some(format!("certificate {one} is unreadable")),
        all => Some(format!("certificates {} are unreadable", all.join(", "))),
    };
    if usable.is_empty() {
        let why = unreadable.unwrap_or_else(|| "it contains no PEM certificate".to_owned());
        return Err(OpError::unfit(
            format!("{place} is not a valid certificate file: {why}"),
            "Nothing was sent. Pass a PEM file with BEGIN CERTIFICATE blocks.",
        ));
    }
    if let Some(why) = unreadable {
        let note = format!("note: {place}: {why}; the others are used\n");
        context.shell.message(&note);
    }
    Ok(usable)
}

fn note(context: &Context<'_>, notes: impl IntoIterator<Item = impl Display>) {
    for note in notes {
        context.shell.message(&format!("note: {note}\n"));
    }
}

fn open(context: &Context<'_>) -> Result<(Root, Opened), OpError> {
    let root = context.root_with_warnings()?;
    let opened = root.open(&context.unlock(), &context.rules())?;
    Ok((root, opened))
}

pub fn whoami(context: &Context<'_>, args: ServiceArgs) -> Result<u8, OpError> {
    let (root, opened) = open(context)?;
    let connected = connect(context, &root, &opened, &args.login)?;
    let mut online = Online::new(connected.client, env::hang_up())?;
    online.log_in()?;
    let login = LoginReport {
        source: connected.source,
        caller: online.ask(|client| async move { client.caller().await })??,
        scope: opened.sealed.scope,
        auth_url: opened.sealed.auth_url,
        region: root.config.target.region,
    };
    note(context, online.client.notes());
    exit::end_on_signal(exit::DONE);
    Ok(context.show(
        args.json,
        || json_v1::whoami(&login),
        || listing::whoami(&login),
    ))
}

pub fn jobs(context: &Context<'_>, args: JobsArgs) -> Result<u8, OpError> {
    let (root, opened) = open(context)?;
    let connected = connect(context, &root, &opened, &args.service.login)?;
    let wanted = match args.failed {
        true => JobFilter::Failed,
        false => JobFilter::All,
    };
    let report = online::jobs(connected.client, env::hang_up(), &opened, wanted)?;
    exit::end_on_signal(exit::DONE);
    Ok(context.show(
        args.service.json,
        || json_v1::jobs(&report),
        || listing::jobs(&report),
    ))
}

/// Returns the endpoint in the service catalogue, for a target without one.
pub fn catalogued(
    context: &Context<'_>,
    config: &TargetConfig,
    flags: &LoginFlags,
) -> Result<String, OpError> {
    let auth_url = config.auth_url.clone().unwrap_or_default();
    // Nothing is sent to the service itself here, so any address works.
    let origin = target::service_url(&auth_url).map(|url| url.origin().ascii_serialization());
    let target = Target::resolve_or(config, origin.ok().as_deref())?;
    target.check_hosts(context.rules().trusted_hosts.as_slice())?;
    let connected = connect_with(context, options_of(&target, None), None, flags)?;
    let mut online = Online::new(connected.client, env::hang_up())?;
    let region = config.region.as_deref();
    let found = online::catalogued(&mut online, region);
    note(context, online.client.notes());
    let found = found?;
    target::check_catalogued(&found, &auth_url, &context.rules().trusted_hosts)?;
    Ok(found)
}

pub fn listed(
    context: &Context<'_>,
    target: &Target,
    config: Option<&Config>,
    flags: &LoginFlags,
) -> Result<Vec<ListedJob>, OpError> {
    let name = config.and_then(|config| config.credentials_from.as_deref());
    let connected = connect_with(context, options_of(target, config), name, flags)?;
    let inventory = online::inventory(connected.client, env::hang_up(), JobFilter::All)?;
    note(context, &inventory.notes);
    if let Some(error) = &inventory.details_failed {
        let text = format!("warning: cannot read the databases of the jobs: {error}\n");
        context.shell.message(&text);
    }
    Ok(inventory.jobs)
}
