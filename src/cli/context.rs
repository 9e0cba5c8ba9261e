//! What every command gets: options, environment, terminal and identities.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::args::GlobalOptions;
use super::env::Env;
use super::exit;
use super::progress;
use super::prompt;
use super::shell::Shell;
use crate::age_file::Plugins;
use crate::core::fingerprint::KeyId;
use crate::core::place::Place;
use crate::core::problem::Problem;
use crate::core::report::Progress;
use crate::editor::private;
use crate::ops::OpError;
use crate::ops::root::{CONFIG_FILE, IdentitySource, Root, Unlock, UserRules};
use crate::store::branch::PlaceAccess;
use crate::sys::children::ChildEnv;
use crate::sys::wiped;

pub struct Context<'a> {
    pub env: &'a Env,
    pub shell: Shell,
    pub folder: PathBuf,
    pub state: Option<Place>,
    pub access: PlaceAccess,
    pub identity_files: Vec<PathBuf>,
    pub identities: IdentitySource,
    pub ca_file: Option<PathBuf>,
    pub children: ChildEnv,
    rules: UserRules,
}

/// Variables that must not be empty.
const SETTINGS: [&str; 7] = [
    "DRSPASS_EXPECT_KEY_ID",
    "DRSPASS_MAX_CHANGES",
    "DRSPASS_STATE",
    "DRSPASS_STATE_PASSWORD",
    "DRSPASS_STATE_USERNAME",
    "DRSPASS_TRUSTED_HOSTS",
    "DRSPASS_WHO",
];

impl<'a> Context<'a> {
    pub fn new(global: &GlobalOptions, env: &'a Env, shell: Shell) -> Result<Self, OpError> {
        // A pipeline that lost a setting would run without a guard, or with another state
        // or key, unnoticed.
        if let Some(name) = SETTINGS.iter().find(|name| env.is_empty(name)) {
            return Err(OpError::empty(name));
        }
        let by_flag = global.expect_key_id.as_deref();
        let by_variable = || {
            let text = env.exact("DRSPASS_EXPECT_KEY_ID")?;
            Some(("DRSPASS_EXPECT_KEY_ID", text.unwrap_or_default()))
        };
        let expected = by_flag.map(|text| ("--expect-key-id", text));
        let expected = expected.or_else(by_variable);
        let key_ids = |(name, text): (&str, &str)| {
            let what = match text {
                "" => "is empty",
                _ => "is not 32 lower-case hexadecimal digits, or two such ids with a comma",
            };
            let help = "Nothing was sent. Set it to the key id that init printed. Without it, 'drspass validate' shows the id of the present manifest.";
            let ids = text
                .split(',')
                .map(KeyId::parse)
                .collect::<Option<Vec<_>>>();
            let ids = ids.filter(|ids| ids.len() <= 2);
            ids.ok_or_else(|| OpError::unfit(format!("{name} {what}"), help))
        };
        let number = |text: String| {
            text.parse().map_err(|_| {
                OpError::unfit(
                    "DRSPASS_MAX_CHANGES is not a whole number",
                    "Set it to the largest number of entries that one apply may change.",
                )
            })
        };
        let expect_key_ids = expected.map(key_ids).transpose()?.unwrap_or_default();
        let max_changes = env.var("DRSPASS_MAX_CHANGES").map(number).transpose()?;
        let mut trusted_hosts = global.trust_host.clone();
        if let Some(list) = env.var("DRSPASS_TRUSTED_HOSTS") {
            trusted_hosts.extend(list.split(',').map(|host| host.trim().to_owned()));
        }
        let is_host = |host: &String| {
            let has_port = host.contains(':') && !host.starts_with('[');
            !has_port && !host.contains(['/', '@', ' '])
        };
        if !trusted_hosts.iter().all(is_host) {
            return Err(OpError::unfit(
                "a trusted host is not a host name",
                "Nothing was sent. Pass the name alone to --trust-host, such as drs.example.com, without scheme and port; separate those in DRSPASS_TRUSTED_HOSTS with commas.",
            ));
        }
        let state = global.state.clone();
        let state = state.or_else(|| env.path_var("DRSPASS_STATE"));
        let state = state.map(Place::named).transpose().map_err(|what| {
            let help = "Name a branch as git:REMOTE/BRANCH, or a file.";
            OpError::unfit(format!("the state {what}"), help)
        })?;
        Ok(Self {
            env,
            shell,
            folder: global.directory.clone().unwrap_or_default(),
            state,
            access: env.place_access(prompt::can_ask()),
            identity_files: env.identity_files(&global.identity),
            identities: env.identities(&global.identity),
            ca_file: global.ca_file.clone(),
            children: env.for_children(),
            rules: UserRules {
                trusted_hosts,
                expect_key_ids,
                allow_rollback: false,
                accept_new_key: None,
                max_changes,
                override_limits: None,
            },
        })
    }

    /// Returns the root directory, and removes what killed edits left.
    pub fn root(&self) -> Result<Root, OpError> {
        let root = self.root_for_hooks()?;
        self.sweep();
        Ok(root)
    }

    /// As [`Context::root`], and shows the warnings about drspass.yaml.
    pub fn root_with_warnings(&self) -> Result<Root, OpError> {
        let root = self.root()?;
        self.warn(Path::new(CONFIG_FILE), &root.warnings);
        Ok(root)
    }

    /// As [`Context::root`], but silent and without cleaning up, for runs of git and hooks.
    pub fn root_for_hooks(&self) -> Result<Root, OpError> {
        Root::locate(&self.folder, self.state.as_ref(), &self.access)
    }

    pub fn sweep(&self) {
        for (path, removed) in private::sweep(&self.env.private_places()) {
            let path = path.display();
            self.shell.message(&match removed {
                Ok(()) => format!("note: removed {path}, left by an edit that was killed\n"),
                Err(error) => format!(
                    "warning: cannot remove {path}, plain text left by an edit that was killed: {error}\n"
                ),
            });
        }
    }

    pub fn rules(&self) -> UserRules {
        self.rules.clone()
    }

    /// Begins the work on a manifest, which ends with the result.
    pub fn unlock(&self) -> Unlock<'_> {
        progress::note(Progress::at(["working on the manifest", "", ""], 0, &[]));
        Unlock {
            source: &self.identities,
            ask: &prompt::ask_passphrase,
            plugins: self.plugins(),
        }
    }

    pub const fn plugins(&self) -> Plugins<'_> {
        Plugins::Allowed {
            env: &self.children,
            talk: &prompt::TALK,
        }
    }

    pub fn warn(&self, document: &Path, problems: &[Problem]) {
        if !problems.is_empty() {
            let document = document.display().to_string();
            self.shell.problems(&document, problems);
        }
    }

    pub fn show(
        &self,
        json: bool,
        document: impl FnOnce() -> String,
        text: impl FnOnce() -> String,
    ) -> u8 {
        let arrived = if json {
            self.shell.document(document())
        } else {
            self.shell.result(&text())
        };
        exit::written(arrived, exit::DONE)
    }

    /// Reminds of a file that passwords were read from; a stream leaves nothing behind.
    pub fn remind_to_remove(&self, file: &Path) {
        if !is_stream(file) && self.folder.join(file).is_file() {
            let path = self.folder.join(file);
            self.shell.message(&format!(
                "{} contains passwords in plain text: remove it when you no longer need it.\n",
                path.display()
            ));
        }
    }

    pub fn next_step(&self, has_unused_credential: bool) {
        self.shell.message(match has_unused_credential {
            true => "Next: run 'drspass edit' and add or uncomment endpoints that use the credentials.\n",
            false => "Next: run 'drspass plan' to see what apply would send.\n",
        });
    }

    /// Returns the code after a change, and says that it was made if its result was lost.
    pub fn changed(&self, arrived: bool, code: u8) -> u8 {
        if !arrived {
            self.shell
                .message("The change was made; only printing the result failed.\n");
        }
        exit::written(arrived, code)
    }

    /// Prints the result of a change and what to do next, and returns as [`Context::changed`].
    pub fn done(&self, result: &str, next: &str) -> u8 {
        let arrived = self.shell.result(result);
        self.shell.message(next);
        self.changed(arrived, exit::DONE)
    }

    /// Reports a conflict of options that the parser cannot see.
    pub fn conflict(&self, what: &str) -> u8 {
        self.shell.message(&format!("error: {what}\n"));
        exit::USAGE
    }
}

pub fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// Returns the content of a file, relative to the root directory, or of standard input,
/// and its name for messages.
pub fn read_named(
    root: &Root,
    path: &Path,
    limit: usize,
) -> Result<(PathBuf, Zeroizing<Vec<u8>>), OpError> {
    if !is_stream(path) {
        return Ok((path.to_owned(), root.read_named(path, limit)?));
    }
    let name = PathBuf::from("standard input");
    match wiped::read(std::io::stdin().lock(), limit as u64) {
        Ok(bytes) => Ok((name, bytes)),
        Err(source) => Err(OpError::read(name)(source)),
    }
}
