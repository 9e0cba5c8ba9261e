//! clouds.yaml and secure.yaml: no message holds a value of them, and what cannot be a
//! value of a login is refused.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use drspass::cli::login::LoginFlags;
use drspass::cli::{Env, login};
use drspass_fuzz::{assert_error_quiet, assert_quiet, in_time, part, parts};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static HOME: LazyLock<TempDir> = LazyLock::new(|| {
    let home = TempDir::new().expect("a folder");
    for folder in ["root", ".config/openstack"] {
        fs::create_dir_all(home.path().join(folder)).expect("a folder");
    }
    home
});

fuzz_target!(|data: &[u8]| {
    let Some(parts) = parts(data) else { return };
    let home = HOME.path();
    let clouds = home.join(".config/openstack");
    for (number, name) in ["clouds.yaml", "secure.yaml"].iter().enumerate() {
        match part(&parts, number) {
            [] => drop(fs::remove_file(clouds.join(name))),
            bytes => fs::write(clouds.join(name), bytes).expect("written"),
        }
    }
    let env = Env::default().with_var("HOME", home.to_str().expect("text"));
    let folder = home.join("root");
    let place = login::LoginContext {
        env: &env,
        system: Path::new(login::SYSTEM),
        folder: &folder,
        project_id: "054ba152d480d55b2f5dc0069e7ddef0",
        auth_url: "https://iam.eu-de.otc.t-systems.com/v3",
        credentials_from: None,
    };
    in_time(|| {
        // An entry that is named, so that no name of the file comes into a message.
        let flags = LoginFlags {
            cloud: Some("a".to_owned()),
            token_file: None,
        };
        match login::find(&flags, &place) {
            Ok(found) => {
                assert_quiet(&found.source);
                found.notes.iter().for_each(assert_quiet);
            }
            Err(error) => assert_error_quiet(&error),
        }
        let _ = login::find(&LoginFlags::default(), &place);
    });
});
