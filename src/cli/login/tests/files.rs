//! Where files of a login are found, and where they may not lie.

use super::*;

const CLOUDS: &str = "clouds: {x: {token: canary-HERE}}";

fn clouds(here: &str) -> String {
    CLOUDS.replace("HERE", here)
}

#[test]
fn the_first_place_and_the_first_name_win() {
    let machine = Machine::new().file(
        "etc/clouds.json",
        r#"{"clouds": {"x": {"token": "canary-etc"}}}"#,
    );
    assert_eq!(token(&machine.login()), "canary-etc");
    for (path, here) in [
        ("home/.config/openstack/clouds.json", "json"),
        ("home/.config/openstack/clouds.yml", "yml"),
        ("home/.config/openstack/clouds.yaml", "yaml"),
    ] {
        let machine = Machine::new()
            .file("etc/clouds.yaml", clouds("etc"))
            .file("home/.config/openstack/clouds.json", clouds("json"));
        let machine = machine.file(path, clouds(here));
        assert_eq!(token(&machine.login()), format!("canary-{here}"));
    }
    let machine = Machine::new()
        .file("home/.config/openstack/clouds.yaml", clouds("home"))
        .file("xdg/openstack/clouds.yml", clouds("xdg"))
        .path_var("XDG_CONFIG_HOME", "xdg");
    assert_eq!(token(&machine.login()), "canary-xdg");
    let machine = machine
        .file("named.txt", clouds("named"))
        .path_var("OS_CLIENT_CONFIG_FILE", "named.txt");
    assert_eq!(token(&machine.login()), "canary-named");
    // A file that is named must be there.
    machine
        .path_var("OS_CLIENT_CONFIG_FILE", "missing.yaml")
        .refuses(&["cannot read", "missing.yaml"]);
    Machine::new()
        .path_var("OS_CLIENT_SECURE_FILE", "missing.yaml")
        .refuses(&["cannot read", "missing.yaml"]);
    // So must what a link leads to.
    Machine::new()
        .link("home/.config/openstack/clouds.yaml", "nowhere")
        .refuses(&["cannot read", "clouds.yaml"]);
}

#[test]
fn nothing_is_read_from_the_current_folder() {
    let machine = Machine::new()
        .file("repo/prod/clouds.yaml", clouds("cwd"))
        .file("repo/clouds.yaml", clouds("top"))
        .file("repo/prod/openstack/clouds.yaml", clouds("xdg"))
        .file("repo/prod/.config/openstack/clouds.yaml", clouds("home"));
    machine.refuses(&["no login found"]);
    // Folders that are not given in full would lead there.
    for name in ["XDG_CONFIG_HOME", "HOME"] {
        let machine = Machine::new()
            .file("repo/prod/openstack/clouds.yaml", clouds("xdg"))
            .var(name, ".");
        machine.refuses(&["no login found"]);
    }
}

#[test]
fn no_file_of_the_work_tree_gives_a_login() {
    let inside = |path: &str| Machine::new().file(path, clouds("tree"));
    for path in ["repo/prod/c.yaml", "repo/c.yaml", "repo/sub/c.yaml"] {
        inside(path)
            .path_var("OS_CLIENT_CONFIG_FILE", path)
            .refuses(&["is inside the work tree repo", "commit"]);
        inside(path)
            .path_var("OS_CLIENT_SECURE_FILE", path)
            .refuses(&["is inside the work tree repo"]);
        // A link from outside leads there as well.
        inside(path)
            .link("home/.config/openstack/clouds.yaml", path)
            .refuses(&["is inside the work tree repo"]);
        let machine = inside(path);
        let named = machine.path(path);
        machine
            .token_file(named.to_str().expect("UTF-8"))
            .refuses(&["the token file", "is inside the work tree repo"]);
    }
    // As seen from the root folder, by a way around, or through a link to a folder.
    inside("repo/prod/c.yaml")
        .var("OS_CLIENT_CONFIG_FILE", "c.yaml")
        .refuses(&["is inside the work tree"]);
    inside("repo/prod/c.yaml")
        .path_var("OS_CLIENT_CONFIG_FILE", "home/../repo/prod/c.yaml")
        .refuses(&["is inside the work tree"]);
    inside("repo/prod/c.yaml")
        .link("around", "repo/prod")
        .path_var("OS_CLIENT_CONFIG_FILE", "around/c.yaml")
        .refuses(&["is inside the work tree"]);
    // A link of the work tree chooses the file, so it is refused too.
    Machine::new()
        .file("home/c.yaml", clouds("home"))
        .link("repo/prod/c.yaml", "home/c.yaml")
        .path_var("OS_CLIENT_CONFIG_FILE", "repo/prod/c.yaml")
        .refuses(&["is inside the work tree"]);
    // A folder whose name only begins like the work tree's is another one.
    let machine = inside("repo-2/c.yaml").path_var("OS_CLIENT_CONFIG_FILE", "repo-2/c.yaml");
    assert_eq!(token(&machine.login()), "canary-tree");
}

#[test]
fn the_users_own_configuration_is_read_where_the_home_folder_is_a_work_tree() {
    let path = "home/.config/openstack/clouds.yaml";
    let machine = || {
        let machine = Machine::with_clouds(&clouds("own")).file("home/infra/x", "");
        fs::create_dir(machine.path("home/.git")).expect("a folder");
        Machine {
            root: "home/infra",
            ..machine
        }
    };
    assert_eq!(token(&machine().login()), "canary-own");
    assert_eq!(
        token(&machine().path_var("OS_CLIENT_CONFIG_FILE", path).login()),
        "canary-own"
    );
    // Everything else in it is what others can change.
    machine()
        .file("home/c.yaml", clouds("tree"))
        .path_var("OS_CLIENT_CONFIG_FILE", "home/c.yaml")
        .refuses(&["is inside the work tree home"]);
    let linked = machine().file("home/infra/c.yaml", clouds("tree"));
    fs::remove_file(linked.path(path)).expect("removed");
    linked
        .link(path, "home/infra/c.yaml")
        .refuses(&["is inside the work tree home"]);
    // A home folder that lies in a work tree is not the user's own.
    Machine::new()
        .file("repo/home/openstack/clouds.yaml", clouds("tree"))
        .path_var("XDG_CONFIG_HOME", "repo/home")
        .refuses(&["is inside the work tree repo"]);
}

#[test]
fn the_work_tree_begins_at_the_nearest_git() {
    // In a linked work tree or a submodule it is a file; what is above is another one.
    let machine = Machine::new()
        .file("repo/prod/.git", "gitdir: elsewhere")
        .file("repo/c.yaml", clouds("above"))
        .path_var("OS_CLIENT_CONFIG_FILE", "repo/c.yaml");
    assert_eq!(token(&machine.login()), "canary-above");

    // Without git, the root folder is what others share.
    let machine = || {
        let machine = Machine::new();
        fs::remove_dir(machine.path("repo/.git")).expect("removed");
        machine
    };
    let above = machine()
        .file("repo/c.yaml", clouds("above"))
        .path_var("OS_CLIENT_CONFIG_FILE", "repo/c.yaml");
    // Only where the folder of the tests lies in no work tree itself.
    if !above
        .folder
        .path()
        .ancestors()
        .any(|folder| folder.join(".git").exists())
    {
        assert_eq!(token(&above.login()), "canary-above");
    }
    machine()
        .file("repo/prod/c.yaml", clouds("inside"))
        .path_var("OS_CLIENT_CONFIG_FILE", "repo/prod/c.yaml")
        .refuses(&["is inside the work tree"]);
}

#[test]
fn a_token_file_is_seen_from_the_root_folder_and_has_a_limit() {
    let machine = Machine::new()
        .file("token", "canary-t")
        .token_file("../../token");
    assert_eq!(token(&machine.login()), "canary-t");
    let limit = 64 << 10;
    let machine = |bytes: &[u8]| {
        Machine::new()
            .file("token", bytes)
            .token_file("../../token")
    };
    assert_eq!(token(&machine(&vec![b'x'; limit]).login()).len(), limit);
    machine(&vec![b'x'; limit + 1]).refuses(&["cannot read the token file", "too large"]);
    machine(b"canary\xff").refuses(&["token is invalid", "UTF-8"]);
    Machine::new()
        .token_file("../../nothing")
        .refuses(&["cannot read the token file"]);
    Machine::new()
        .token_file("../../home")
        .refuses(&["cannot read the token file"]);
    for empty in [&b""[..], b"\n"] {
        machine(empty).refuses(&["the token file ../../token is empty"]);
    }
    machine(b"X-Auth-Token: canary\n").refuses(&[
        "the token file ../../token contains a colon",
        "at position 13",
    ]);
}

#[test]
fn a_pipe_of_the_shell_can_give_a_token() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"canary-pipe\n").expect("written");
    drop(writer);
    let login = Machine::new()
        .token_file(&format!("/dev/fd/{}", reader.as_raw_fd()))
        .login();
    assert_eq!(token(&login), "canary-pipe\n");
    assert_eq!(login.notes, [""; 0]);
}

#[test]
fn a_secret_that_others_can_read_is_told() {
    let open = |machine: Machine, path: &str| {
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(machine.path(path), mode).expect("a mode");
        let notes = machine.login().notes.join("\n");
        machine.short(&notes)
    };
    let path = "home/.config/openstack/clouds.yaml";
    let notes = open(Machine::with_clouds(CLOUDS), path);
    assert!(
        notes.contains(&format!(
            "{path} contains a secret and other users can read it"
        )),
        "{notes}"
    );
    let notes = open(
        Machine::new().file("token", "t").token_file("../../token"),
        "token",
    );
    assert!(notes.contains("chmod 600"), "{notes}");
    // The usual pair: the open file holds no secret, the closed one does.
    let pair = Machine::with_clouds("clouds: {x: {auth: {user_id: u, project_name: p}}}").file(
        "home/.config/openstack/secure.yaml",
        "clouds: {x: {auth: {password: canary}}}",
    );
    assert_eq!(open(pair, path), "");
    assert_eq!(Machine::with_clouds(CLOUDS).login().notes, [""; 0]);
}
