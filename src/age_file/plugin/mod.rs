//! Keys that are reached through a plugin: a program `age-plugin-NAME` that talks over its streams
//! (the specification age-plugin of C2SP).
//!
//! The library supports plugins as well, but gives them the whole environment of this process; here
//! they get only what a started program may see. A plugin is foreign: its messages are bounded,
//! cleaned, and never shown if they repeat a secret.

mod conversation;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use age::secrecy::{ExposeSecret as _, SecretString};
use age_core::format::{FileKey, Stanza};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::{AgeError, PluginFault};
use super::identities::NoPassphrase;
use crate::core::mac::hex;
use crate::core::redact::ForeignText;
use crate::sys::children::ChildEnv;
use conversation::{Conversation, FAIL, OK, Process, UNSUPPORTED};

/// Whether plugins may be started.
#[derive(Clone, Copy)]
pub enum Plugins<'a> {
    /// A plugin may ask, wait for a device, or use the network.
    Never,
    Allowed {
        env: &'a ChildEnv,
        talk: &'a Talk<'a>,
    },
}

/// How a plugin asks the user. The first argument is the name of its program. Without an answer,
/// the error says why.
pub struct Talk<'a> {
    pub tell: &'a dyn Fn(&str, &ForeignText),
    /// Lets the user choose; returns whether it is the first.
    pub choose: &'a dyn Fn(&str, &Choice<'_>) -> Result<bool, NoPassphrase>,
    pub ask: &'a dyn Fn(&str, &ForeignText) -> Result<String, NoPassphrase>,
    pub ask_secret: &'a dyn Fn(&str, &ForeignText) -> Result<SecretString, NoPassphrase>,
}

pub struct Choice<'a> {
    pub question: &'a ForeignText,
    pub first: &'a ForeignText,
    pub second: Option<&'a ForeignText>,
}

const IDENTITY_MACHINE: &str = "--age-plugin=identity-v1";
const RECIPIENT_MACHINE: &str = "--age-plugin=recipient-v1";

/// How long a plugin may be silent. Each line restarts the wait, so a message that asks to touch a
/// device gives as long for the touch.
const PATIENCE: Duration = Duration::from_secs(60);

fn start<'a>(
    name: &str,
    machine: &str,
    plugins: Plugins<'a>,
) -> Result<Conversation<'a>, AgeError> {
    let program = format!("age-plugin-{name}");
    let Plugins::Allowed { env, talk } = plugins else {
        return Err(AgeError::PluginNotStarted { program });
    };
    let Some(path) = env.program(program.as_ref()) else {
        return Err(AgeError::NoPlugin { program });
    };
    match Process::start(&path, machine, env) {
        Ok(process) => Ok(Conversation {
            program,
            process,
            talk,
            patience: PATIENCE,
            said_bytes: 0,
            secrets: Vec::new(),
            reasons: Vec::new(),
            unanswered: None,
        }),
        Err(source) => Err(AgeError::Plugin {
            program,
            fault: PluginFault::Start(source),
        }),
    }
}

pub struct Identity<'a> {
    pub name: &'a str,
    pub lines: &'a [Zeroizing<String>],
    pub plugins: Plugins<'a>,
}

impl Identity<'_> {
    /// Returns the file key of these stanzas; `None` if no identity matches.
    fn unwrap(&self, stanzas: &[Stanza]) -> Result<Option<FileKey>, AgeError> {
        let mut talk = start(self.name, IDENTITY_MACHINE, self.plugins)?;
        for line in self.lines {
            talk.keep_secret(line);
            talk.send("add-identity", &[line], b"");
        }
        for stanza in stanzas {
            let mut args = vec!["0", &stanza.tag];
            args.extend(stanza.args.iter().map(String::as_str));
            talk.send("recipient-stanza", &args, &stanza.body);
        }
        talk.send("done", &[], b"");
        let mut found = None;
        talk.listen(&mut |stanza| {
            let is_ours = stanza.tag == "file-key" && stanza.args == ["0"];
            if !is_ours {
                return UNSUPPORTED;
            }
            match <Box<[u8; 16]>>::try_from(std::mem::take(&mut stanza.body)) {
                Ok(key) if found.is_none() => {
                    found = Some(FileKey::new(key));
                    return OK;
                }
                Ok(mut key) => key.zeroize(),
                Err(mut body) => body.zeroize(),
            }
            FAIL
        })?;
        talk.close(found)
    }
}

impl age::Identity for Identity<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap(stanzas)
            .map_err(|error| age::DecryptError::Io(io::Error::other(error)))
            .transpose()
    }
}

/// A recipient of a plugin. Each one gets a conversation of its own: with several at once, a
/// missing stanza would go unnoticed.
pub struct Recipient<'a> {
    pub name: String,
    pub text: String,
    pub plugins: Plugins<'a>,
}

impl Recipient<'_> {
    /// Returns at least one stanza for a file key, and labels: others must have the same.
    fn wrap(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), AgeError> {
        let mut talk = start(&self.name, RECIPIENT_MACHINE, self.plugins)?;
        talk.send("add-recipient", &[&self.text], b"");
        talk.send("extension-labels", &[], b"");
        let bytes = key.expose_secret();
        for text in [STANDARD_NO_PAD.encode(bytes), hex(bytes)].map(Zeroizing::new) {
            talk.keep_secret(&text);
        }
        talk.send("wrap-file-key", &[], bytes);
        talk.send("done", &[], b"");
        let mut stanzas = Vec::new();
        let mut labels = None;
        talk.listen(&mut |stanza| match stanza.tag.as_str() {
            "recipient-stanza" => {
                let mut args = std::mem::take(&mut stanza.args).into_iter();
                match (args.next().as_deref(), args.next()) {
                    (Some("0"), Some(tag)) => {
                        stanzas.push(Stanza {
                            tag,
                            args: args.collect(),
                            body: std::mem::take(&mut stanza.body),
                        });
                        OK
                    }
                    _ => FAIL,
                }
            }
            "labels" if labels.is_none() => {
                labels = Some(std::mem::take(&mut stanza.args).into_iter().collect());
                OK
            }
            "labels" => FAIL,
            _ => UNSUPPORTED,
        })?;
        let is_whole = !stanzas.is_empty() && talk.reasons.is_empty();
        let whole = is_whole.then(|| (stanzas, labels.unwrap_or_default()));
        let program = talk.program.clone();
        talk.close(whole)?.ok_or(AgeError::Plugin {
            program,
            fault: PluginFault::Mute,
        })
    }
}

impl age::Recipient for Recipient<'_> {
    fn wrap_file_key(
        &self,
        key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        self.wrap(key)
            .map_err(|error| age::EncryptError::Io(io::Error::other(error)))
    }
}
