//! `init`.

use std::fmt::Write as _;

use super::{service, written};
use crate::cli::args::Init;
use crate::cli::env;
use crate::cli::exit;
use crate::cli::run::Context;
use crate::core::config::{Config, TargetConfig};
use crate::core::target::{Target, TargetError};
use crate::ops::OpError;
use crate::ops::init::{self, CommandLine, Wanted};

pub(in crate::cli) fn run(context: &Context<'_>, args: Init) -> Result<u8, OpError> {
    let names_target = args.region.is_some() || args.endpoint.is_some() || args.auth_url.is_some();
    let mut target = match args.project_id {
        Some(project_id) => Some(TargetConfig {
            region: args.region,
            project_id,
            endpoint: args.endpoint,
            auth_url: args.auth_url,
        }),
        None if names_target => {
            return Err(OpError::Unfit {
                what: "the project is not named".to_owned(),
                help: "Give --project-id.",
            });
        }
        None => None,
    };
    // Where neither an address nor the region gives the endpoint, the catalogue does,
    // and what it says is written down.
    if let Some(config) = &mut target
        && Target::resolve(config) == Err(TargetError::NoEndpoint)
    {
        init::refuse_initialised(&context.folder, CommandLine::NamesTargetOrRecipients)?;
        config.endpoint = Some(service::catalogued(context, config, &args.login)?);
    }
    let list = |target: &Target, config: Option<&Config>| {
        service::listed(context, target, config, &args.login)
    };
    let wanted = Wanted {
        target,
        recipients: args.recipient,
        identities: context.identity_files.clone(),
        now: env::now().to_string(),
    };
    let made = init::init(
        &context.folder,
        wanted,
        &context.guards(),
        env::random::<32>,
        args.from_jobs.then_some(&list),
    )?;
    let mut text = String::new();
    for file in &made.files {
        let _ = writeln!(text, "wrote {}", file.display());
    }
    let _ = writeln!(text, "key id: {}", made.key_id);
    let arrived = context.shell.result(&text);
    context.shell.message(
        "Next: 'drspass decrypt -o plain.yaml', fill it in, 'drspass encrypt plain.yaml', remove it.\n\
         In CI, keep the key id in a protected variable DRSPASS_EXPECT_KEY_ID.\n",
    );
    Ok(written(arrived, exit::DONE))
}
