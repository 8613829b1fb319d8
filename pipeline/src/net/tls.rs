//! TLS by rustls with ring: configs for clients and servers from the collector's `tls:` blocks. Certificates are read
//! through the doors, at start and then as often as `reload_interval` says: new connections get the new ones, and those
//! that are open stay open. What has become unreadable changes nothing.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use tokio::time::Instant;

use super::config::{TlsClientConfig, TlsCommon, TlsServerConfig};
use crate::component::Error;
use crate::doors::Files;

/// The TLS 1.2 cipher suites there are.
pub(crate) const CIPHER_SUITES: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// The key exchange groups there are, by their names in the collector.
pub(crate) const CURVES: &[&str] = &["X25519", "P256", "P384"];

/// No certificate file is larger than this.
const MOST_PEM_BYTES: usize = 4 * 1024 * 1024;

/// The protocols a side offers in the handshake.
const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// How often the file of `client_ca_file_reload` is read, at most.
const CLIENT_CA_EVERY: Duration = Duration::from_secs(1);

/// Something made of certificates in files, made anew from time to time.
pub(crate) struct Renewed<T> {
    now: Mutex<(Arc<T>, Instant)>,
    /// How long it is good for; `None` is for ever.
    every: Option<Duration>,
    make: Make<T>,
}

type Make<T> = Arc<dyn Fn() -> Result<Arc<T>, Error> + Send + Sync>;

impl<T: Send + Sync + 'static> Renewed<T> {
    /// # Errors
    /// What is wrong with the certificates now.
    fn new(every: Option<Duration>, make: Make<T>) -> Result<Renewed<T>, Error> {
        let now = Mutex::new((make()?, Instant::now()));
        Ok(Renewed { now, every, make })
    }

    /// It, made of what the files hold now if it is older than it may be.
    pub(crate) async fn get(&self) -> Arc<T> {
        let before = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            if self.every.is_none_or(|every| now.1.elapsed() < every) {
                return now.0.clone();
            }
            now.1 = Instant::now();
            now.0.clone()
        };
        let make = self.make.clone();
        match tokio::task::spawn_blocking(move || make()).await {
            Ok(Ok(made)) => {
                self.now.lock().unwrap_or_else(PoisonError::into_inner).0 = made.clone();
                made
            }
            Ok(Err(error)) => {
                tracing::error!("certificates cannot be read again, those before hold: {error}");
                before
            }
            Err(_) => before,
        }
    }
}

impl<T> fmt::Debug for Renewed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewed(every {:?})", self.every)
    }
}

fn interval(config: &TlsCommon) -> Option<Duration> {
    Some(config.reload_interval.get()).filter(|interval| !interval.is_zero())
}

/// The server side of TLS, its certificates as fresh as the config wants them.
#[derive(Debug)]
pub struct ServerTls(Renewed<ServerConfig>);

impl ServerTls {
    /// What the next handshake is done with.
    pub(crate) async fn now(&self) -> Arc<ServerConfig> {
        self.0.get().await
    }
}

/// Which HTTP versions a client offers in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, as gRPC needs.
    Http2,
    /// Either, HTTP/2 rather.
    Both,
}

/// The client side of TLS as the config asks for it, its certificates as fresh as the config wants them.
///
/// # Errors
/// Names the file or key that is missing or wrong.
pub(crate) fn renewed_client(
    config: &TlsClientConfig,
    files: &Arc<dyn Files>,
    offer: Offer,
) -> Result<Renewed<ClientConfig>, Error> {
    let (config, files) = (config.clone(), files.clone());
    Renewed::new(interval(&config.common), Arc::new(move || client(&config, &*files, offer)))
}

/// The client side of TLS as the config asks for it. Reads files, and the system's certificates where the config names
/// no others.
///
/// # Errors
/// Names the file or key that is missing or wrong.
pub fn client(config: &TlsClientConfig, files: &dyn Files, offer: Offer) -> Result<Arc<ClientConfig>, Error> {
    let provider = provider(&config.common);
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions(&config.common))?;
    let builder = if config.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&provider))))
    } else {
        let roots = Arc::new(roots(&config.common, files)?);
        builder.with_webpki_verifier(WebPkiServerVerifier::builder_with_provider(roots, provider).build()?)
    };
    let mut tls = match identity(&config.common, files)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = match offer {
        Offer::Http1 => vec![ALPN_HTTP1.to_vec()],
        Offer::Http2 => vec![ALPN_H2.to_vec()],
        Offer::Both => vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()],
    };
    Ok(Arc::new(tls))
}

/// The server side of TLS as the config asks for it. Reads files.
///
/// # Errors
/// Names the file or key that is missing or wrong.
pub fn server(config: &TlsServerConfig, files: &Arc<dyn Files>) -> Result<Arc<ServerTls>, Error> {
    let client_ca = config.client_ca_file_reload && !config.client_ca_file.is_empty();
    let every = interval(&config.common).into_iter().chain(client_ca.then_some(CLIENT_CA_EVERY)).min();
    let (config, files) = (config.clone(), files.clone());
    let renewed = Renewed::new(every, Arc::new(move || server_config(&config, &*files)))?;
    Ok(Arc::new(ServerTls(renewed)))
}

fn server_config(config: &TlsServerConfig, files: &dyn Files) -> Result<Arc<ServerConfig>, Error> {
    let provider = provider(&config.common);
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions(&config.common))?;
    let builder = if config.client_ca_file.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        add_certificates(&mut roots, &read(&config.client_ca_file, files)?, &config.client_ca_file)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        builder.with_client_cert_verifier(verifier)
    };
    let (chain, key) = identity(&config.common, files)?.ok_or("a TLS server needs cert_file and key_file")?;
    let mut tls = builder.with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(Arc::new(tls))
}

/// Whether the handshake chose HTTP/2.
pub(crate) fn chose_http2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(ALPN_H2)
}

fn provider(config: &TlsCommon) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !config.cipher_suites.is_empty() {
        provider.cipher_suites.retain(|suite| {
            suite.version() == &TLS13
                || suite.suite().as_str().is_some_and(|name| config.cipher_suites.iter().any(|wanted| wanted == name))
        });
    }
    if !config.curve_preferences.is_empty() {
        let wanted: Vec<_> = config.curve_preferences.iter().filter_map(|name| group(name)).collect();
        provider.kx_groups.retain(|g| wanted.contains(&g.name()));
        provider.kx_groups.sort_by_key(|g| wanted.iter().position(|w| *w == g.name()));
    }
    Arc::new(provider)
}

fn group(name: &str) -> Option<rustls::NamedGroup> {
    match name {
        "X25519" => Some(rustls::NamedGroup::X25519),
        "P256" => Some(rustls::NamedGroup::secp256r1),
        "P384" => Some(rustls::NamedGroup::secp384r1),
        _ => None,
    }
}

fn versions(config: &TlsCommon) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::with_capacity(2);
    if config.max_version != "1.2" {
        versions.push(&TLS13);
    }
    if config.min_version != "1.3" {
        versions.push(&TLS12);
    }
    versions
}

fn roots(config: &TlsCommon, files: &dyn Files) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some((pem, name)) = material(&config.ca_file, &config.ca_pem.0, "ca_pem", files)? {
        add_certificates(&mut roots, &pem, &name)?;
    }
    if roots.is_empty() || config.include_system_ca_certs_pool {
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        if added == 0 {
            return Err("the system has no certificates to trust, set tls.ca_file".into());
        }
    }
    Ok(roots)
}

fn add_certificates(roots: &mut RootCertStore, pem: &[u8], name: &str) -> Result<(), Error> {
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| format!("{name} is not PEM: {e}"))?;
        roots.add(certificate).map_err(|e| format!("{name} has a certificate that cannot be trusted: {e}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{name} has no certificate in it").into());
    }
    Ok(())
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(config: &TlsCommon, files: &dyn Files) -> Result<Option<Identity>, Error> {
    let Some((cert, cert_name)) = material(&config.cert_file, &config.cert_pem.0, "cert_pem", files)? else {
        return Ok(None);
    };
    let (key, key_name) = material(&config.key_file, &config.key_pem.0, "key_pem", files)?
        .ok_or("a certificate needs its key: set key_file or key_pem")?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{cert_name} is not PEM: {e}"))?;
    if chain.is_empty() {
        return Err(format!("{cert_name} has no certificate in it").into());
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| format!("{key_name} has no private key in it: {e}"))?;
    Ok(Some((chain, key)))
}

/// The bytes of a file or of an inline value, with the name to speak of it; `None` where neither is given.
fn material(file: &str, pem: &str, key: &str, files: &dyn Files) -> Result<Option<(Vec<u8>, String)>, Error> {
    if !pem.is_empty() {
        return Ok(Some((pem.as_bytes().to_vec(), key.to_owned())));
    }
    if file.is_empty() {
        return Ok(None);
    }
    Ok(Some((read(file, files)?, file.to_owned())))
}

fn read(file: &str, files: &dyn Files) -> Result<Vec<u8>, Error> {
    files.read_small(Path::new(file), MOST_PEM_BYTES).map_err(|e| format!("cannot read {file}: {e}").into())
}

/// `insecure_skip_verify`: any certificate is believed, but its key must still sign the handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
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
