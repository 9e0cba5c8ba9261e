//! Whose certificates are trusted, and what is said of those that are not.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::*;

const AUTHORITY: &str = include_str!("../../data/tls/authority.pem");
/// A certificate of that authority for other.example, *.other.example and 192.0.2.7.
const OTHER_HOST: &str = include_str!("../../data/tls/other-host.pem");
const OTHER_HOST_KEY: &str = include_str!("../../data/tls/other-host.key");
/// One that signed itself and may sign others, as `openssl req -x509` makes them, by the issuer
/// "O=Made here, CN=##[error]proxy U+202E gpj.exe".
const SELF_SIGNED: &str = include_str!("../../data/tls/self-signed.pem");
const SELF_SIGNED_KEY: &str = include_str!("../../data/tls/self-signed.key");
const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

/// A server with a certificate on this machine, which nobody gets to speak to.
fn server(certificate: &str, key: &str) -> String {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut socket = socket.unwrap();
            let read = Stream::new(&mut connection, &mut socket).read(&mut [0; 1]);
            assert!(!read.is_ok_and(|count| count > 0), "a request came");
        }
    });
    url
}

/// A root folder for a server with the certificate for other hosts, below that of `lab`.
fn far(lab: &Lab) {
    far_at(lab, &server(OTHER_HOST, OTHER_HOST_KEY));
}

fn far_at(lab: &Lab, url: &str) {
    fs::create_dir(lab.path("far")).unwrap();
    let target = ["--project-id", "p1", "--endpoint", url, "--auth-url", url];
    whoami_or(lab, &[&["init"][..], &target].concat(), &[]).exits(0);
}

fn whoami_or(lab: &Lab, args: &[&str], vars: &[(&str, &str)]) -> Run {
    let key = lab.path("key.txt");
    let here = ["-C", "far", "-i", key.to_str().unwrap()];
    let mut command = lab.command(&[&here[..], args].concat());
    command.envs(vars.iter().copied());
    lab.run_command(command)
}

#[test]
fn a_certificate_for_another_host_is_told_with_both_names_and_the_setting() {
    let lab = lab();
    far(&lab);
    lab.write("far/ca.pem", AUTHORITY);
    for run in [
        whoami_or(&lab, &["whoami", "--ca-file", "ca.pem"], &[]),
        whoami_or(&lab, &["whoami"], &[("OS_CACERT", "ca.pem")]),
    ] {
        run.exits(1)
            .says("no connection to 127.0.0.1:")
            .says(r#"certificate is for another host: it is for "other.example", "*.other.example", "192.0.2.7""#)
            .says("the host is that of target.auth_url of drspass.yaml");
    }
    whoami_or(&lab, &["jobs", "--ca-file", "ca.pem"], &[])
        .exits(1)
        .says("the host is that of target.endpoint of drspass.yaml");
}

#[test]
fn a_certificate_of_an_unknown_issuer_names_the_issuer_and_the_setting() {
    let lab = lab();
    far(&lab);
    whoami_or(&lab, &["whoami"], &[])
        .exits(1)
        .says(r#"certificate issuer not trusted: "CN=drspass test authority" (checked against the"#)
        .says("the host is that of target.auth_url of drspass.yaml");
    lab.write("far/ca.pem", SELF_SIGNED);
    whoami_or(&lab, &["whoami", "--ca-file", "ca.pem"], &[])
        .exits(1)
        .says(r#""CN=drspass test authority" (checked against the certificates of the system and of the CA file)"#);
}

#[test]
fn the_issuer_of_a_certificate_that_signed_itself_is_named_as_foreign_text() {
    let lab = lab();
    far_at(&lab, &server(SELF_SIGNED, SELF_SIGNED_KEY));
    whoami_or(&lab, &["whoami"], &[])
        .exits(1)
        .says("certificate rejected; its issuer is \"")
        .says(r"[error]proxy \u{202e} gpj.exe")
        .says_not("##[error]");
}

#[test]
fn one_broken_certificate_of_a_bundle_does_not_spoil_the_others() {
    let lab = lab();
    far(&lab);
    lab.write("far/mixed.pem", format!("# a comment\n{BROKEN}{AUTHORITY}"));
    lab.write("far/broken.pem", format!("{BROKEN}{BROKEN}"));
    lab.write("far/none.pem", "no certificate\n");
    whoami_or(&lab, &["whoami", "--ca-file", "mixed.pem"], &[])
        .exits(1)
        .says("note: --ca-file mixed.pem: certificate 1 is unreadable; the others are used")
        .says("certificate is for another host");
    for (file, why) in [
        ("broken.pem", "certificates 1, 2 are unreadable"),
        ("none.pem", "it contains no PEM certificate"),
    ] {
        let told = format!("--ca-file {file} is not a valid certificate file: {why}");
        whoami_or(&lab, &["whoami", "--ca-file", file], &[])
            .exits(1)
            .says(&told);
        whoami_or(&lab, &["whoami"], &[("OS_CACERT", file)])
            .exits(1)
            .says("OS_CACERT, ")
            .says(why);
    }
}

#[test]
fn a_machine_without_authorities_talks_to_itself_and_to_those_that_are_named() {
    let lab = lab();
    far(&lab);
    lab.write("far/ca.pem", AUTHORITY);
    lab.write("nobody.pem", "");
    let nobody = lab.path("nobody.pem").display().to_string();
    let folder = lab.path("no-such-folder").display().to_string();
    let none = [
        ("SSL_CERT_FILE", nobody.as_str()),
        ("SSL_CERT_DIR", folder.as_str()),
    ];
    let mut command = command(&lab, &["apply", "--auto-approve"], &by_name());
    command.envs(none);
    lab.run_command(command).exits(0);
    whoami_or(&lab, &["whoami"], &none)
        .exits(1)
        .says("the system has no certificate authorities")
        .says("--ca-file");
    whoami_or(&lab, &["whoami", "--ca-file", "ca.pem"], &none)
        .exits(1)
        .says("certificate is for another host");
}
