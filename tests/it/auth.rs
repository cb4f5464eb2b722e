//! Who may push: basic authentication, tokens, headers and certificates, against nginx and the gateway's own web
//! configuration. Each mistake is one clear line without a secret in it.

use std::path::Path;

use jobmon::config::{Secret, SecretSource};
use jobmon::sinks::pushgateway::{Answer, Client, ClientCertificate, Credentials, Endpoint, Outage, Remedy, Tls};

use crate::harness::certificates::Pair;
use crate::harness::client::{Caller, gateway, key};
use crate::harness::faults::{self, Faults};
use crate::harness::{Certificates, Nginx, Pushgateway, Sandbox};

const BODY: &str = "# TYPE script_x gauge\nscript_x 1\n";
const DELIVERED: Answer = Answer::Delivered { checked: true };
const PASSWORD: &str = "correct horse";
/// bcrypt of [`PASSWORD`] at the lowest cost.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

fn basic(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::Basic { user: user.to_owned(), password: Secret::new(password) })
}

fn push(gateway: &Endpoint) -> Answer {
    Caller::with(gateway).put(&key("j", &[]), BODY)
}

/// The outage of a push that only a setting can cure.
fn mistake(gateway: &Endpoint) -> Outage {
    match push(gateway) {
        Answer::Unavailable(outage) => {
            assert_eq!(outage.remedy, Remedy::Setting, "{outage}");
            assert!(!outage.perhaps_applied, "{outage}");
            assert!(!outage.reason.contains('\n'));
            outage
        }
        other => panic!("not a mistake: {other:?}"),
    }
}

fn trusting(url: &str, ca: &Path) -> Endpoint {
    Endpoint { tls: Tls { ca_file: Some(ca.to_owned()), ..Tls::default() }, ..gateway(url) }
}

/// A gateway with its own TLS and passwords.
fn own_web_config(pair: &Pair, client_ca: Option<&Path>) -> (Pushgateway, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("web.yml");
    let clients = client_ca
        .map(|ca| format!("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {}\n", ca.display()));
    let config = format!(
        "tls_server_config:\n  cert_file: {}\n  key_file: {}\n{}basic_auth_users:\n  alice: {BCRYPT}\n",
        pair.certificate.display(),
        pair.key.display(),
        clients.unwrap_or_default(),
    );
    std::fs::write(&file, config).unwrap();
    (Pushgateway::start_with(&[&format!("--web.config.file={}", file.display())]), directory)
}

const WRONG: &str = "401, the gateway wants other credentials: check user and password, or the token: ";

#[test]
fn basic_auth_by_nginx_from_value_file_and_url() {
    let upstream = Pushgateway::start();
    let nginx = Nginx::in_front_of(&upstream.url()).basic_auth("alice", PASSWORD).start();
    let plain = gateway(&nginx.url());

    assert_eq!(push(&Endpoint { auth: basic("alice", PASSWORD), ..plain.clone() }), DELIVERED);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let source = SecretSource::File(file.clone());
    let auth = Credentials::Basic { user: "alice".to_owned(), password: source.read().unwrap().secret };
    assert_eq!(push(&Endpoint { auth: Some(auth), ..plain.clone() }), DELIVERED);
    let with_url = nginx.url().replace("http://", "http://alice:correct%20horse@");
    assert_eq!(push(&gateway(&with_url)), DELIVERED);
    // What is configured wins over what stands in the URL.
    let wrong = Endpoint { auth: basic("alice", "wrong"), ..gateway(&with_url) };
    let page = "an HTML page \"401 Authorization Required\"";
    for gateway in [plain, wrong] {
        assert_eq!(mistake(&gateway).reason, format!("{WRONG}{page}"));
    }
    std::fs::remove_file(&file).unwrap();
    let error = source.read().unwrap_err();
    assert_eq!(error, format!("{}: No such file or directory (os error 2)", file.display()));
}

#[test]
fn a_bearer_token_and_extra_headers_go_with_every_request() {
    let upstream = Pushgateway::start();
    let nginx = Nginx::in_front_of(&upstream.url())
        .demand_header("authorization", "Bearer t0k3n-t0k3n")
        .demand_header("x-scope-orgid", "tenant ä")
        .start();
    let right = Endpoint {
        auth: Some(Credentials::Bearer(Secret::new("t0k3n-t0k3n"))),
        headers: vec![("X-Scope-OrgID".to_owned(), Secret::new("tenant ä"))],
        ..gateway(&nginx.url())
    };
    assert_eq!(push(&right), DELIVERED);
    assert!(Caller::with(&right).status().is_ok());
    assert_eq!(Caller::with(&right).delete(&key("j", &[])), Answer::Delivered { checked: false });
    let wrong = Endpoint { auth: Some(Credentials::Bearer(Secret::new("t0k3n-wrong"))), ..right.clone() };
    assert!(mistake(&wrong).reason.starts_with(WRONG));
    assert!(mistake(&Endpoint { headers: Vec::new(), ..right }).reason.starts_with(WRONG));
}

#[test]
fn tls_by_nginx_with_every_way_to_get_it_wrong() {
    let upstream = Pushgateway::start();
    let ours = Certificates::new();
    let nginx = Nginx::in_front_of(&upstream.url()).tls(&ours.server()).start();
    assert_eq!(push(&trusting(&nginx.url(), &ours.ca())), DELIVERED);
    assert_eq!(push(&trusting(&nginx.url().replace("127.0.0.1", "localhost"), &ours.ca())), DELIVERED);
    let insecure = Endpoint { tls: Tls { insecure: true, ..Tls::default() }, ..gateway(&nginx.url()) };
    assert_eq!(push(&insecure), DELIVERED);

    let unknown =
        "the certificate comes from an authority that is not trusted: name its CA file in the gateway's settings";
    for stranger in [Certificates::new(), Certificates::named("another authority")] {
        assert_eq!(mistake(&trusting(&nginx.url(), &stranger.ca())).reason, unknown);
    }
    assert_eq!(mistake(&gateway(&nginx.url())).reason, unknown);

    let plain = gateway(&nginx.url().replace("https://", "http://"));
    let speaks_tls = "the port speaks TLS: write https:// instead of http:// in the gateway's URL";
    assert_eq!(mistake(&plain).reason, speaks_tls);
    let speaks_none = "the port does not speak TLS: write http:// instead of https:// in the gateway's URL";
    assert_eq!(mistake(&trusting(&upstream.url().replace("http://", "https://"), &ours.ca())).reason, speaks_none);

    let expired = Nginx::in_front_of(&upstream.url()).tls(&ours.server_expired()).start();
    let reason = mistake(&trusting(&expired.url(), &ours.ca())).reason;
    assert_eq!(reason, "the certificate has expired: renew it, or check this machine's clock");
    let elsewhere = Nginx::in_front_of(&upstream.url()).tls(&ours.server_elsewhere()).start();
    let reason = mistake(&trusting(&elsewhere.url(), &ours.ca())).reason;
    assert_eq!(reason, "the certificate is not for 127.0.0.1: use the name that it is for in the gateway's URL");
}

#[test]
fn client_certificates_by_nginx() {
    let upstream = Pushgateway::start();
    let ours = Certificates::new();
    let nginx = Nginx::in_front_of(&upstream.url()).tls(&ours.server()).client_ca(&ours.ca()).start();
    let client_certificate = |pair: Pair| Some(ClientCertificate { certificate: pair.certificate, key: pair.key });
    let without = trusting(&nginx.url(), &ours.ca());
    let with =
        |client_certificate| Endpoint { tls: Tls { client_certificate, ..without.tls.clone() }, ..without.clone() };
    assert_eq!(push(&with(client_certificate(ours.client()))), DELIVERED);
    let wanted = "the gateway wants a client certificate: name one in the gateway's settings";
    assert_eq!(mistake(&without).reason, wanted);
    let stranger = Certificates::new();
    let reason = mistake(&with(client_certificate(stranger.client()))).reason;
    assert_eq!(reason, "the gateway does not accept the client certificate: check it in the gateway's settings");
}

#[test]
fn the_gateways_own_tls_passwords_and_client_certificates() {
    let ours = Certificates::new();
    let (server, _directory) = own_web_config(&ours.server(), None);
    let url = server.url().replace("http://", "https://");
    let without = trusting(&url, &ours.ca());
    assert_eq!(push(&Endpoint { auth: basic("alice", PASSWORD), ..without.clone() }), DELIVERED);
    for auth in [None, basic("alice", "wrong"), basic("bob", PASSWORD)] {
        assert_eq!(mistake(&Endpoint { auth, ..without.clone() }).reason, format!("{WRONG}Unauthorized"));
    }
    let speaks_tls = "the port speaks TLS: write https:// instead of http:// in the gateway's URL";
    assert_eq!(mistake(&gateway(&server.url())).reason, speaks_tls);

    let (server, _directory) = own_web_config(&ours.server(), Some(&ours.ca()));
    let url = server.url().replace("http://", "https://");
    let pair = ours.client();
    let client_certificate = Some(ClientCertificate { certificate: pair.certificate, key: pair.key });
    let without = Endpoint { auth: basic("alice", PASSWORD), ..trusting(&url, &ours.ca()) };
    let with = Endpoint { tls: Tls { client_certificate, ..without.tls.clone() }, ..without.clone() };
    assert_eq!(push(&with), DELIVERED);
    // With TLS 1.3 the alert comes after the handshake, when the request may be on its way.
    let Answer::Unavailable(outage) = push(&without) else { panic!("pushed without a certificate") };
    assert_eq!(outage.remedy, Remedy::Setting, "{outage}");
    assert!(outage.reason.contains("client certificate"), "{outage}");
}

/// "Wrong password, wrong CA, plain HTTP to a TLS port: each one clear line, and the job's exit status untouched."
#[test]
fn a_run_pushes_to_the_gateways_own_tls_and_passwords_or_says_what_is_wrong() {
    let ours = Certificates::new();
    let (server, _directory) = own_web_config(&ours.server(), None);
    let https = server.url().replace("http://", "https://");
    let run = |url: &str, ca: &Path, password: &str, expected: &str| {
        let sandbox = Sandbox::new();
        let ca = ca.to_str().unwrap();
        let options = ["run", "-n", "x", "-g", url, "--basic-auth-user", "alice", "--ca-file", ca];
        let command = ["--", "sh", "-c", "exit 3"];
        let run = sandbox.jobmon(options.iter().chain(&command)).env("JOBMON_BASIC_AUTH_PASSWORD", password).code(3);
        let said = if expected.is_empty() { run.run() } else { run.stderr_contains(expected).run() }.stderr;
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said.lines().count(), usize::from(!expected.is_empty()), "{said}");
        assert!(!said.contains(password), "{said}");
    };
    run(&https, &ours.ca(), PASSWORD, "");
    run(&https, &ours.ca(), "wrong-password", WRONG);
    run(&https, &Certificates::new().ca(), PASSWORD, "from an authority that is not trusted");
    run(&server.url(), &ours.ca(), PASSWORD, "the port speaks TLS: write https:// instead of http://");
}

#[test]
fn files_that_are_wrong_are_named_when_the_client_is_built() {
    let ours = Certificates::new();
    let pair = ours.client();
    let directory = tempfile::tempdir().unwrap();
    let junk = directory.path().join("junk.pem");
    std::fs::write(&junk, "s3cret junk\n").unwrap();
    let missing = directory.path().join("missing.pem");
    let client_certificate = |certificate: &Path, key: &Path| {
        Some(ClientCertificate { certificate: certificate.to_owned(), key: key.to_owned() })
    };
    let check =
        |url: &str, tls: Tls| Client::new(&Endpoint { tls, ..gateway(url) }).err().map(|error| error.to_string());
    let error = |tls: Tls| check("https://127.0.0.1:1", tls).unwrap();
    let ca = |path: &Path| Tls { ca_file: Some(path.to_owned()), ..Tls::default() };
    let client = |client_certificate| Tls { client_certificate, ..Tls::default() };

    let (junk_name, missing_name) = (junk.display(), missing.display());
    assert_eq!(error(ca(&missing)), format!("certificate file {missing_name}: No such file or directory (os error 2)"));
    let no_pem = "no \"BEGIN CERTIFICATE\" in it: it must be in PEM form";
    assert_eq!(error(ca(&junk)), format!("certificate file {junk_name}: {no_pem}"));
    assert_eq!(
        error(client(client_certificate(&pair.certificate, &junk))),
        format!("private key file {junk_name}: no private key in PEM form (without a password) in it")
    );
    let foreign = error(client(client_certificate(&pair.certificate, &Certificates::new().client().key)));
    assert!(foreign.contains("do not work together"), "{foreign}");
    // Nothing of all that is looked at where no TLS is spoken.
    assert_eq!(check("http://127.0.0.1:1", ca(&missing)), None);
    assert_eq!(check("http://127.0.0.1:1", client(client_certificate(&junk, &missing))), None);
}

#[test]
fn headers_that_cannot_be_sent_are_refused_without_showing_them() {
    let error = |gateway: &Endpoint| Client::new(gateway).err().unwrap().to_string();
    let plain = gateway("http://127.0.0.1:1");
    let header =
        |name: &str, text: &str| Endpoint { headers: vec![(name.to_owned(), Secret::new(text))], ..plain.clone() };
    assert_eq!(error(&header("bad name", "x")), "header name \"bad name\" cannot be sent");
    assert_eq!(error(&header("x-a", "s3cret\n")), "the value of header x-a holds a line end or control character");
    let auth = Some(Credentials::Bearer(Secret::new("s3cret\0")));
    assert_eq!(error(&Endpoint { auth, ..plain.clone() }), "the bearer token holds a line end or control character");
    assert_eq!(
        error(&Endpoint { auth: basic("a:b", "s3cret"), ..plain.clone() }),
        "user \"a:b\" holds a colon, which basic authentication cannot carry"
    );
}

/// Some servers send a request's headers back in an error.
#[test]
fn a_server_that_repeats_our_secrets_does_not_get_them_into_a_message() {
    let echo = "you sent Basic YWxpY2U6Y29ycmVjdCBob3JzZQ== which is correct horse, and t3nant-s3cret";
    for status in ["400 Bad Request", "401 Unauthorized", "500 Oops", "413 Too Large", "200 OK"] {
        let headers = [("Location", "http://alice:correct%20horse@h/correct horse")];
        let server = Faults::start(faults::answer(status, &headers, echo));
        let gateway = Endpoint {
            auth: basic("alice", PASSWORD),
            headers: vec![("x-tenant".to_owned(), Secret::new("t3nant-s3cret"))],
            ..gateway(&server.url())
        };
        let answer = push(&gateway);
        let text = format!("{answer} {answer:?}");
        assert!(text.contains("you sent ***"), "{text}");
        for secret in ["YWxpY2U6", "horse", "s3cret"] {
            assert!(!text.contains(secret), "{text}");
        }
        let request = &server.requests()[0];
        assert_eq!(request.header("authorization"), Some("Basic YWxpY2U6Y29ycmVjdCBob3JzZQ=="));
    }
}

#[test]
fn nothing_that_can_be_printed_shows_a_secret() {
    let gateway = Endpoint {
        auth: basic("alice", "hunter2"),
        headers: vec![("x-token".to_owned(), Secret::new("hunter2"))],
        ..gateway("http://alice:hunter2@127.0.0.1:1/p")
    };
    let text = format!("{gateway:?} {}", gateway.address);
    assert!(!text.contains("hunter2"), "{text}");
    let answer = push(&gateway);
    assert!(!format!("{answer} {answer:?}").contains("hunter2"), "{answer:?}");
}
