//! The certificate authority of one run. It signs for the hosts whose TLS the gate ends, is trusted inside this sandbox
//! and nowhere else, and its key never leaves this process's memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use claw_policy::PermitHost;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

/// Makes certificates for hosts.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    hosts: RefCell<HashMap<PermitHost, Host>>,
}

/// What the gate shows for one host.
type Host = Arc<ServerConfig>;

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// By the library that makes them.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// By the library that serves them.
    #[error("cannot serve a certificate")]
    Serve(#[from] rustls::Error),
}

impl Authority {
    /// Makes a new key and a certificate for it.
    pub fn new() -> Result<Authority, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut parameters = lasting(CertificateParams::default());
        parameters.distinguished_name = named("Claw sandbox authority of this run");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Ok(Authority {
            issuer: Issuer::new(parameters, key),
            certificate: der,
            pem,
            hosts: RefCell::default(),
        })
    }

    /// The certificate, for the trust stores inside.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What the gate shows for a host.
    pub(crate) fn serves(&self, host: &PermitHost) -> Result<Arc<ServerConfig>, AuthorityError> {
        if let Some(known) = self.hosts.borrow().get(host) {
            return Ok(Arc::clone(known));
        }
        let made = self.make(host)?;
        let mut hosts = self.hosts.borrow_mut();
        if hosts.len() >= MOST_HOSTS {
            hosts.clear();
        }
        hosts.insert(host.clone(), Arc::clone(&made));
        Ok(made)
    }

    fn make(&self, host: &PermitHost) -> Result<Host, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut parameters = lasting(CertificateParams::default());
        let (name, alternative) = match host {
            PermitHost::Name(name) => (name.to_string(), SanType::DnsName(name.as_str().try_into()?)),
            PermitHost::Address(address) => (address.to_string(), SanType::IpAddress(address.to_canonical())),
        };
        // RFC 5280, 4.1.2.6: a common name has at most 64 characters; the alternative name is the one that counts
        parameters.distinguished_name = named(name.get(..64).unwrap_or(&name));
        parameters.subject_alt_names = vec![alternative];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From yesterday, since clocks differ, for as long as clients accept (398 days, CA/Browser Forum ballot SC31).
fn lasting(mut parameters: CertificateParams) -> CertificateParams {
    const DAY: i64 = 24 * 60 * 60;
    let now = Timestamp::now().as_second();
    let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    parameters.not_before = at(now.saturating_sub(DAY));
    parameters.not_after = at(now.saturating_add(397 * DAY));
    parameters
}

/// Certificates that are kept ready.
const MOST_HOSTS: usize = 1_024;
