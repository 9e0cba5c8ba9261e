//! The words of `init`.

use clap::Args;

use super::Login;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
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
    /// The login.
    #[command(flatten)]
    pub login: Login,
}
