//! What can be wrong before anything is sent: the settings of the client and
//! the login. Nothing here holds a secret or the query of an address.

use miette::Diagnostic;
use thiserror::Error;

/// Why no client could be made. Nothing was sent.
#[derive(Debug, Error, Diagnostic)]
pub enum ApiError {
    /// The address of the service is no address.
    #[error("the endpoint is not an address of a service")]
    #[diagnostic(
        code(drspass::api::endpoint),
        help(
            "Write the endpoint as https://HOST, with a port or a path where needed, and without user, query and fragment."
        )
    )]
    Endpoint,

    /// The address is not protected and not local.
    #[error("the endpoint is not https")]
    #[diagnostic(
        code(drspass::api::insecure_endpoint),
        help(
            "Use https; http is only taken for a literal loopback address such as http://127.0.0.1:8080."
        )
    )]
    InsecureEndpoint,

    /// The project id could change the address of a request.
    #[error("the project id is not 1 to 64 letters, digits, dashes or underscores")]
    #[diagnostic(
        code(drspass::api::project_id),
        help("Copy the project id from the console, My Credentials, Projects.")
    )]
    ProjectId,

    /// The given certificates cannot be read.
    #[error("the CA file holds no certificate in PEM form")]
    #[diagnostic(
        code(drspass::api::ca_file),
        help("Name a file with one or more BEGIN CERTIFICATE blocks.")
    )]
    CaFile,

    /// The client could not be set up: system certificates or proxy settings.
    #[error("the connection to the service could not be set up")]
    #[diagnostic(
        code(drspass::api::setup),
        help("Check the certificate store of the system and the proxy variables.")
    )]
    Setup(#[source] reqwest::Error),

    /// The token is empty.
    #[error("the token is empty")]
    #[diagnostic(
        code(drspass::api::token),
        help("Check where the token comes from; get a new one if it has expired.")
    )]
    TokenEmpty,

    /// The token holds a character that would end or split a header.
    #[error("the token holds a control character at position {position}")]
    #[diagnostic(
        code(drspass::api::token),
        help("Store the token on one line; a single line end after it does no harm.")
    )]
    TokenControl {
        /// Place of the character, counted in characters from 1.
        position: usize,
    },

    /// The token holds a character that no token has.
    #[error("the token holds a blank or a character outside ASCII at position {position}")]
    #[diagnostic(
        code(drspass::api::token),
        help("Store the token alone, without quotation marks or other text around it.")
    )]
    TokenForeign {
        /// Place of the character, counted in characters from 1.
        position: usize,
    },
}
