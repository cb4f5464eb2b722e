//! TLS settings, loaded no earlier than they are needed.
//!
//! Reading the system's certificates takes milliseconds, so they are read when the first server certificate has to be
//! judged: a client for an `http://` gateway never does. The files that a person named are read when the client is built,
//! because a wrong name should be said by its name and not as a failed handshake.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::SetupError;
use crate::regular_file;

/// A larger file holds no certificates: those of all authorities take 0.3 MB.
const LARGEST_FILE: u64 = 16 << 20;

/// How a gateway is reached over `https`; without effect for `http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of certificate authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that jobmon shows to the gateway.
    pub client_certificate: Option<ClientCertificate>,
    /// Accept any server certificate: no protection against a stranger in between.
    pub insecure: bool,
}

impl Tls {
    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let client = self.client_certificate.iter().flat_map(|files| [&files.certificate, &files.key]);
        self.ca_file.iter().chain(client).map(PathBuf::as_path)
    }
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file of the certificate, intermediate ones after it.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// The configuration for a client of an `https` gateway.
pub fn for_https(tls: &Tls) -> Result<ClientConfig, SetupError> {
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = if tls.insecure {
        Arc::new(AnyCertificate(Arc::clone(&provider)))
    } else {
        let extra = tls.ca_file.as_deref().map_or(Ok(Vec::new()), read_certificates)?;
        Arc::new(LazyRoots { provider: Arc::clone(&provider), extra, verifier: OnceLock::new() })
    };
    let builder = versions(provider).dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &tls.client_certificate {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = read_certificates(&files.certificate)?;
            let key = read_key(&files.key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                SetupError::new(format!("client certificate {certificate} and key {key} do not work together: {error}"))
            })?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The configuration for a client of an `http` gateway, which needs one only if the proxy on the way speaks TLS.
pub fn for_http() -> ClientConfig {
    let provider = provider();
    let verifier = LazyRoots { provider: Arc::clone(&provider), extra: Vec::new(), verifier: OnceLock::new() };
    versions(provider).dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn versions(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let wrong = |reason: String| SetupError::new(format!("certificate file {}: {reason}", path.display()));
    let pem = regular_file::read(path, LARGEST_FILE);
    let pem = pem.map_err(|error| SetupError::new(format!("certificate file {error}")))?.bytes;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| wrong(format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong("no \"BEGIN CERTIFICATE\" in it: it must be in PEM form".to_owned()));
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, SetupError> {
    let pem = regular_file::read(path, LARGEST_FILE);
    let pem = pem.map_err(|error| SetupError::new(format!("private key file {error}")))?.bytes;
    // The parser's own error could quote what it read.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let path = path.display();
        SetupError::new(format!("private key file {path}: no private key in PEM form (without a password) in it"))
    })
}

/// The certificates that this machine trusts, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; one that does not
/// parse is skipped, as OpenSSL does.
///
/// The library reads whatever those variables lead to, so this looks first.
fn system_certificates() -> Result<Vec<CertificateDer<'static>>, String> {
    let check = |variable: &str, path: &Path| {
        regular_file::check(path, LARGEST_FILE).map_err(|error| format!("{variable}: {error}"))
    };
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        check("SSL_CERT_FILE", Path::new(&file))?;
    }
    let directories = std::env::var_os("SSL_CERT_DIR").unwrap_or_default();
    for directory in std::env::split_paths(&directories) {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        // Of a directory it reads regular files only.
        for path in entries.map(|entry| entry.path()).filter(|path| path.is_file()) {
            check("SSL_CERT_DIR", &path)?;
        }
    }
    Ok(rustls_native_certs::load_native_certs().certs)
}

/// Verifies as usual, against the system's certificates and `extra`, which it puts together on first use.
#[derive(Debug)]
struct LazyRoots {
    provider: Arc<CryptoProvider>,
    extra: Vec<CertificateDer<'static>>,
    verifier: OnceLock<Result<Arc<WebPkiServerVerifier>, rustls::Error>>,
}

impl LazyRoots {
    fn verifier(&self) -> Result<&Arc<WebPkiServerVerifier>, rustls::Error> {
        self.verifier.get_or_init(|| self.load()).as_ref().map_err(Clone::clone)
    }

    fn load(&self) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(system_certificates().map_err(rustls::Error::General)?);
        let (_, unusable) = roots.add_parsable_certificates(self.extra.iter().cloned());
        if unusable > 0 && unusable == self.extra.len() {
            return Err(rustls::Error::General("no certificate of the CA file can be used".to_owned()));
        }
        if roots.is_empty() {
            let reason = "this machine trusts no certificate authority: install ca-certificates or name a CA file";
            return Err(rustls::Error::General(reason.to_owned()));
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for LazyRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts whatever certificate there is, but still demands that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
