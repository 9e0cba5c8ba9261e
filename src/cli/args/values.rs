//! The words of the commands that change single values of the manifest.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::readers::length;
use crate::authoring::generate::{self, Alphabet};
use crate::authoring::table::Format;
use crate::core::fingerprint::Field;

/// Arguments of `set`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").args(["from_file", "generate"]))]
#[command(after_help = "\
Without --from-file and --generate the value is typed twice on the terminal.
It is read from the terminal itself, never from standard input.")]
pub struct Set {
    /// A job's id or name with /source or /destination, or @CREDENTIAL
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Also add a job, named by its id, an endpoint or a credential that is not listed yet
    #[arg(long)]
    pub add: bool,
    /// What to set
    #[arg(long, value_name = "FIELD", default_value = "password")]
    pub field: FieldName,
    /// Take the value from this file, or from standard input for -. All of it counts
    /// but one line end at its end (a krb5_conf_file keeps that); a keytab is encoded
    /// as base64
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
    /// Make up a password and show it nowhere
    #[arg(long)]
    pub generate: bool,
    /// How many characters it has, 8 to 128; Oracle takes no more than 30
    #[arg(
        long,
        value_name = "N",
        default_value_t = generate::USUAL_LENGTH,
        value_parser = length,
        requires = "generate"
    )]
    pub length: usize,
    /// Which characters it has
    #[arg(
        long,
        value_name = "NAME",
        default_value = "alnum",
        requires = "generate"
    )]
    pub alphabet: AlphabetName,
}

/// Arguments of `unset`.
#[derive(Debug, Args)]
pub struct Unset {
    /// A job's id or name with /source or /destination, or a @CREDENTIAL that no
    /// endpoint uses
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// What to remove; for password the whole endpoint
    #[arg(long, value_name = "FIELD", default_value = "password")]
    pub field: FieldName,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
CSV begins with the line `address,password`; a third column `field` may name
kerberos fields, whose values stand in the column password. JSON is an object
of addresses, each with a password or with an object of fields:
  {\"orders/source\": \"…\", \"@orders-db\": {\"password\": \"…\"}}
Values are taken exactly as they stand there.")]
pub struct Import {
    /// The file, in plain text; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the manifest; without it only shows what would change
    #[arg(long)]
    pub write: bool,
    /// Also add jobs (by their id), endpoints and credentials that the manifest does not list
    #[arg(long)]
    pub add: bool,
    /// How the file is written, where neither its name nor its beginning tells
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatName>,
}

/// A field of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FieldName {
    /// The database password
    Password,
    /// The kerberos configuration file
    #[value(name = "kerberos.krb5_conf_file")]
    Krb5ConfFile,
    /// The keytab
    #[value(name = "kerberos.key_tab_file")]
    KeyTabFile,
    /// The kerberos domain
    #[value(name = "kerberos.domain_name")]
    DomainName,
    /// The kerberos user
    #[value(name = "kerberos.user_principal")]
    UserPrincipal,
}

impl From<FieldName> for Field {
    fn from(name: FieldName) -> Self {
        match name {
            FieldName::Password => Self::Password,
            FieldName::Krb5ConfFile => Self::Krb5ConfFile,
            FieldName::KeyTabFile => Self::KeyTabFile,
            FieldName::DomainName => Self::DomainName,
            FieldName::UserPrincipal => Self::UserPrincipal,
        }
    }
}

/// Characters of a made-up password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AlphabetName {
    /// Letters and digits, at least one upper-case, lower-case and digit each
    Alnum,
    /// The same and at least one of _-+=
    Symbols,
}

impl From<AlphabetName> for Alphabet {
    fn from(name: AlphabetName) -> Self {
        match name {
            AlphabetName::Alnum => Self::Alnum,
            AlphabetName::Symbols => Self::Symbols,
        }
    }
}

/// How a file of values is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Lines of fields with commas between
    Csv,
    /// An object of addresses
    Json,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Csv => Self::Csv,
            FormatName::Json => Self::Json,
        }
    }
}
