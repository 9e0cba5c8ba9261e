//! What tests make of the files of a root folder.

use std::fs;
use std::path::PathBuf;

use super::{LOCKED, LOCKED_PUBLIC, Lab};

impl Lab {
    /// Makes a root folder `sub`, whose manifest nobody opens but an identity behind a
    /// passphrase, which is in the file `locked`.
    pub(crate) fn make_locked_folder(&self) {
        self.write("locked", LOCKED);
        fs::create_dir(self.path("sub")).expect("a folder");
        let (endpoint, auth_url) = self.addresses();
        let init = ["-C", "sub", "init", "--recipient", LOCKED_PUBLIC.trim()];
        let target = ["--project-id", "p", "--endpoint", &endpoint];
        let mut command = self.command(&[&init[..], &target, &["--auth-url", &auth_url]].concat());
        command.env_remove("DRSPASS_IDENTITY");
        self.run_command(command).exits(0);
    }

    /// Puts the manifest elsewhere, where its group may read it, and a link in its place.
    /// Returns both paths, that of the link first.
    pub(crate) fn link_manifest(&self) -> (PathBuf, PathBuf) {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (link, real) = (self.path("passwords.yaml.age"), self.path("real.age"));
        fs::rename(&link, &real).expect("a manifest");
        symlink("real.age", &link).expect("a link");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("a file");
        (link, real)
    }

    /// Puts a manifest in place with the index that belongs to it, as git does.
    pub(crate) fn put_manifest(&self, content: impl AsRef<[u8]>) {
        self.write("passwords.yaml.age", content);
        self.run(&["index", "--write"]).exits(0);
    }

    /// Takes the manifest and its index away.
    pub(crate) fn remove_manifest(&self) {
        for name in ["passwords.yaml.age", "passwords.index.yaml"] {
            fs::remove_file(self.path(name)).expect(name);
        }
    }

    /// The public key of an identity file.
    pub(crate) fn recipient_of(&self, name: &str) -> String {
        let text = self.read(name);
        let mut lines = text.lines();
        let public = lines.find_map(|line| line.strip_prefix("# public key: "));
        public.expect("a public key").to_owned()
    }

    /// Makes these the recipients of drspass.yaml.
    pub(crate) fn list_recipients(&self, recipients: &[&str]) {
        let config = self.read("drspass.yaml");
        let (before, after) = config.split_once("recipients:\n").expect("a list");
        let rest = after.lines().skip_while(|line| line.starts_with("  - "));
        let rest: Vec<&str> = rest.collect();
        let items: String = recipients
            .iter()
            .map(|recipient| format!("  - \"{recipient}\"\n"))
            .collect();
        let rest = rest.join("\n");
        self.write(
            "drspass.yaml",
            format!("{before}recipients:\n{items}{rest}\n"),
        );
    }
}
