//! What happened on the way to a reply, as data that is ready to be shown: all
//! foreign text in it is cleaned and searched for secrets.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::redact::{ForeignText, ToldName};

/// How [`Note::ClockOff`] begins.
pub const CLOCK_OFF: &str = "the clock of this machine says";

/// One thing that a person should know about how a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The answer was a redirect, which is never followed: it would carry the
    /// passwords elsewhere.
    Redirected {
        /// The answer's status.
        status: u16,
        /// The host it points to, if it names one.
        host: Option<ForeignText>,
    },
    /// The answer is not in the service's format.
    NotJson {
        /// The answer's status.
        status: u16,
        /// Where it came from.
        host: String,
        /// The content type it claims.
        content_type: Option<ForeignText>,
        /// One line of it.
        line: Option<ForeignText>,
        /// The id of the request, for the support of whoever answered.
        request_id: Option<ToldName>,
    },
    /// The answer is an error, or nothing known, in the service's format.
    Unexpected {
        /// The answer's status.
        status: u16,
        /// Where it came from.
        host: String,
        /// The error code in it.
        code: Option<ToldName>,
        /// The text in it.
        text: Option<ForeignText>,
        /// The service's id of the request, for its support.
        request_id: Option<ToldName>,
        /// What to do about it, as a sentence, where the code is a known one.
        advice: Option<&'static str>,
    },
    /// The answer is packed although nobody asked for that.
    CodedBody {
        /// The answer's status.
        status: u16,
        /// How it is packed.
        coding: ForeignText,
    },
    /// The answer is larger than any real one.
    TooLong {
        /// The answer's status.
        status: u16,
    },
    /// No connection could be made.
    NoConnection {
        /// Where to.
        host: String,
        /// Why.
        cause: ConnectCause,
        /// Which certificates were trusted.
        trust: Trust,
        /// Host and port of the proxy that is to be used, if one is.
        proxy: Option<String>,
        /// The setting that names the host.
        setting: &'static str,
    },
    /// No complete answer came; the request may have been acted on.
    AnswerLost {
        /// Where from.
        host: String,
        /// How it was lost.
        cause: LossCause,
    },
    /// The service asked to come again later, and that was done.
    Throttled {
        /// How often it was waited for in this run.
        waits: u32,
        /// How long, in sum.
        waited: Duration,
    },
    /// The time for waiting was over.
    GaveUp {
        /// The status of the last answer.
        status: u16,
        /// How the service put it.
        code: ToldName,
        /// The wait it asked for last, if that was too long.
        asked: Option<Duration>,
    },
    /// The run was stopped while waiting; nothing was pending then.
    StoppedWaiting,
    /// An answer about jobs is in no known format.
    OddAnswer,
    /// The identity service could not give a token, so nothing was sent.
    NoLogin {
        /// Who was asked.
        host: String,
        /// How it put it.
        code: ToldName,
    },
    /// The code of the second factor was used for the first login.
    PasscodeUsed,
    /// A list of jobs brings new ones on every page.
    EndlessList {
        /// The pages that were read.
        pages: usize,
    },
    /// The answer to a login holds no token.
    NoToken,
    /// A token was refused, and a new one was fetched.
    Renewed {
        /// How often.
        times: u32,
    },
    /// A new token turned out to be for another project than the sealed one.
    OtherProject,
    /// The clocks differ by minutes.
    ClockOff {
        /// The clock here.
        local: Timestamp,
        /// The clock there.
        server: Timestamp,
    },
}

/// Which certificates were trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system.
    System,
    /// Those of the system and of the given CA file.
    SystemAndFile,
}

/// Why no connection could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectCause {
    /// The host's name is not known.
    NameNotFound,
    /// Nothing listens there.
    Refused,
    /// There is no way there.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// The certificate was issued by somebody who is not trusted.
    IssuerNotTrusted,
    /// The certificate is for another host.
    WrongName {
        /// The names that it is for, in one line.
        names: String,
    },
    /// The certificate is not valid at this time.
    OutOfDate,
    /// The certificate cannot be accepted for another reason.
    BadCertificate,
    /// No protected connection could be agreed on.
    Tls,
    /// The proxy asks for a login.
    ProxyLogin,
    /// The proxy did not make the connection.
    Proxy,
    /// Something else.
    Other,
}

/// How an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// It did not come in time.
    TimedOut,
    /// The connection broke before it began.
    Broken,
    /// The connection broke in the middle of it.
    Cut,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirected { status, host } => {
                write!(f, "answer {status} is a redirect")?;
                if let Some(host) = host {
                    write!(f, " to {host}")?;
                }
                f.write_str(" and was not followed")
            }
            Self::NotJson {
                status,
                host,
                content_type,
                line,
                request_id,
            } => {
                write!(
                    f,
                    "answer {status} from {host} is not in the service's format"
                )?;
                if let Some(content_type) = content_type {
                    write!(f, ", content type {content_type}")?;
                }
                if let Some(id) = request_id {
                    write!(f, ", request {id}")?;
                }
                line.as_ref().map_or(Ok(()), |line| write!(f, ": {line}"))
            }
            Self::Unexpected {
                status,
                host,
                code,
                text,
                request_id,
                advice,
            } => {
                write!(
                    f,
                    "answer {status} from {host} says nothing that can be used"
                )?;
                if let Some(code) = code {
                    write!(f, ", code {code}")?;
                }
                if let Some(id) = request_id {
                    write!(f, ", request {id}")?;
                }
                if let Some(text) = text {
                    write!(f, ": {text}")?;
                }
                advice.map_or(Ok(()), |advice| write!(f, ". {advice}"))
            }
            Self::CodedBody { status, coding } => {
                write!(
                    f,
                    "answer {status} cannot be read: its content coding {coding} is not supported"
                )
            }
            Self::TooLong { status } => {
                write!(f, "answer {status} cannot be read: it is over 8 MiB")
            }
            Self::NoConnection {
                host,
                cause,
                trust,
                proxy,
                setting,
            } => {
                write!(f, "no connection to {host}: {cause}")?;
                if let (ConnectCause::ProxyLogin | ConnectCause::Proxy, Some(proxy)) =
                    (cause, proxy)
                {
                    write!(f, " (proxy {proxy})")?;
                }
                let trusted = match trust {
                    Trust::System => "the certificates of the system",
                    Trust::SystemAndFile => "the certificates of the system and of the CA file",
                };
                if *cause == ConnectCause::IssuerNotTrusted {
                    write!(f, " (checked against {trusted})")?;
                }
                if cause.is_about_host() {
                    write!(f, "; the host is that of {setting}")?;
                }
                f.write_str("; nothing was sent")
            }
            Self::AnswerLost { host, cause } => write!(f, "answer from {host} lost: {cause}"),
            Self::Throttled { waits, waited } => write!(
                f,
                "the service asked to come again later; waits: {waits}, {:.1} s in all",
                waited.as_secs_f64()
            ),
            Self::GaveUp {
                status,
                code,
                asked: None,
            } => write!(
                f,
                "throttled: gave up after answer {status} {code}, the time to retry was over"
            ),
            Self::GaveUp {
                status,
                code,
                asked: Some(asked),
            } => write!(
                f,
                "throttled: gave up after answer {status} {code}, the service asked to wait {} s, \
                 more than is left",
                asked.as_secs()
            ),
            Self::StoppedWaiting => f.write_str("stopped while the service asked to wait"),
            Self::OddAnswer => f.write_str("the answer is in an unknown format"),
            Self::NoLogin { host, code } => {
                write!(f, "no token from {host} ({code}); nothing was sent")
            }
            Self::PasscodeUsed => f.write_str(
                "a second login needs a new code of the second factor: run the command again",
            ),
            Self::EndlessList { pages } => {
                write!(f, "the list does not end: {pages} pages were read")
            }
            Self::NoToken => f.write_str("the answer holds no token"),
            Self::Renewed { times: 1 } => {
                f.write_str("the token was refused; a new one was fetched")
            }
            Self::Renewed { times } => {
                write!(
                    f,
                    "the token was refused and a new one fetched {times} times"
                )
            }
            Self::OtherProject => {
                f.write_str("a new token is for another project than the sealed one")
            }
            Self::ClockOff { local, server } => {
                let minutes = local.duration_since(*server).unsigned_abs().as_secs() / 60;
                let apart = match minutes / 60 {
                    0 | 1 => format!("{minutes} minutes"),
                    hours => format!("{hours} hours"),
                };
                write!(
                    f,
                    "{CLOCK_OFF} {local:.0}, the service's {server:.0}: they \
                     differ by {apart}; check the clock of this machine"
                )
            }
        }
    }
}

impl ConnectCause {
    /// Whether another host may be what was meant.
    const fn is_about_host(&self) -> bool {
        matches!(
            self,
            Self::NameNotFound
                | Self::IssuerNotTrusted
                | Self::WrongName { .. }
                | Self::OutOfDate
                | Self::BadCertificate
        )
    }
}

impl fmt::Display for ConnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongName { names } => {
                return write!(f, "certificate is for another host: it is for {names}");
            }
            Self::NameNotFound => "host name not found",
            Self::Refused => "connection refused",
            Self::Unreachable => "host or network unreachable",
            Self::TimedOut => "timed out",
            Self::IssuerNotTrusted => "certificate issuer not trusted",
            Self::OutOfDate => "certificate expired or not valid yet",
            Self::BadCertificate => "certificate not acceptable",
            Self::Tls => "no TLS connection could be agreed on",
            Self::ProxyLogin => "the proxy asks for another login (HTTP 407)",
            Self::Proxy => "the proxy did not make the connection",
            Self::Other => "it could not be made",
        })
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "it did not come in time",
            Self::Broken => "the connection broke",
            Self::Cut => "the connection broke in the middle of it",
        })
    }
}
