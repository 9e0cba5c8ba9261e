//! The words of the commands about who can read the manifest.

use clap::Args;

/// Arguments of `recipients`.
#[derive(Debug, Args)]
pub struct Recipients {
    /// Tell only what needs no key, and look for no identity
    #[arg(long, conflicts_with = "identity")]
    pub no_identity: bool,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `rekey`.
#[derive(Debug, Args)]
pub struct Rekey {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Make a new fingerprint key although nobody is removed
    #[arg(long)]
    pub new_key: bool,
    /// Go on although none of the identities at hand could read the new file
    #[arg(long)]
    pub allow_lockout: bool,
}
