//! Whom the gate believes outside: the system's certificates, or those that the policy names.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use claw_policy::{Policy, Rule};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// How to speak to the destinations of a policy. Everything is read when it is made: what is wrong is known then, and
/// nothing that happens to the files later changes whom the gate believes.
#[derive(Debug, Default)]
pub struct Roots(HashMap<Key, Believed>);

/// The certificates that are believed for a rule's destination, and how it is spoken to.
#[derive(Debug)]
struct Believed {
    anchors: Arc<RootCertStore>,
    client: Arc<ClientConfig>,
}

/// The policy's own file, the rule's own file, and whether HTTP/2 may be spoken.
type Key = (Option<PathBuf>, Option<PathBuf>, bool);

/// Certificates that the policy names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read as certificates.
    #[error("`upstream_ca` names `{path}`, which cannot be read as PEM certificates")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file cannot be read.
    #[error("`upstream_ca` names `{path}`, which cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("`upstream_ca` names `{path}`, which holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system has no certificates that it trusts.
    #[error(
        "the system has no certificates to verify destinations by; install ca-certificates, or name a file with `upstream_ca`"
    )]
    System,
    /// The TLS library refuses.
    #[error("cannot set TLS up")]
    Tls(#[from] rustls::Error),
}

/// A Java key store (JKS, version 2) of these PEM certificates, in hexadecimal digits: what `cacerts` of a Java runtime is.
/// Its digest is the format's own (SHA-1 over the password `changeit`), and protects nothing.
pub fn java_store(pem: &str) -> String {
    let certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
        out.extend(text.as_bytes());
    };
    let number = |number: usize| u32::try_from(number).unwrap_or_default().to_be_bytes();
    let mut store = Vec::new();
    store.extend(0xfeed_feed_u32.to_be_bytes());
    store.extend(2u32.to_be_bytes());
    store.extend(number(certificates.len()));
    for (at, certificate) in certificates.iter().enumerate() {
        store.extend(2u32.to_be_bytes());
        text(&mut store, &format!("ca{at}"));
        store.extend(0u64.to_be_bytes());
        text(&mut store, "X.509");
        store.extend(number(certificate.len()));
        store.extend_from_slice(certificate);
    }
    let mut digest = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    let password: Vec<u8> = "changeit".encode_utf16().flat_map(u16::to_be_bytes).collect();
    digest.update(&password);
    digest.update(b"Mighty Aphrodite");
    digest.update(&store);
    store.extend_from_slice(digest.finish().as_ref());
    store.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`Roots`] are made of: files that a policy names, and the system's certificates if they are needed. Whoever may read
/// files gives it to whoever may not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Material {
    /// The files, as the policy names them.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The system's certificates (DER).
    pub system: Vec<Vec<u8>>,
}

impl Material {
    /// Reads what a policy needs.
    pub fn read(policy: &Policy) -> Result<Material, RootsError> {
        let mut material = Material::default();
        let ending: Vec<&Rule> =
            policy.rules().iter().map(AsRef::as_ref).filter(|rule| rule.ends_tls()).collect();
        let own = ending.iter().filter_map(|rule| rule.upstream_ca());
        for path in own.chain(policy.upstream_ca().filter(|_| !ending.is_empty())) {
            if !material.files.contains_key(path) {
                material.files.insert(path.to_owned(), read(path)?);
            }
        }
        if !ending.is_empty() && policy.upstream_ca().is_none() {
            let certificates = rustls_native_certs::load_native_certs().certs;
            material.system = certificates.iter().map(|certificate| certificate.to_vec()).collect();
        }
        Ok(material)
    }
}

impl Roots {
    /// Reads every certificate file that a policy names, and the system's if they are needed.
    pub fn of(policy: &Policy) -> Result<Roots, RootsError> {
        Roots::made(policy, &Material::read(policy)?)
    }

    /// Makes them of what was read before.
    pub fn made(policy: &Policy, material: &Material) -> Result<Roots, RootsError> {
        let mut roots = Roots::default();
        for rule in policy.rules().iter().filter(|rule| rule.ends_tls()) {
            if roots.0.contains_key(&key(policy, rule, false)) {
                continue;
            }
            let mut store = RootCertStore::empty();
            match policy.upstream_ca() {
                Some(path) => add(&mut store, path, material)?,
                None => {
                    let certificates =
                        material.system.iter().map(|bytes| CertificateDer::from(bytes.as_slice()));
                    // one bad certificate among the system's does not spoil the others
                    let (_, _) = store.add_parsable_certificates(certificates);
                }
            }
            if let Some(path) = rule.upstream_ca() {
                add(&mut store, path, material)?;
            }
            if store.is_empty() {
                return Err(RootsError::System);
            }
            let anchors = Arc::new(store);
            for http2 in [false, true] {
                let client = Arc::new(client(&anchors, http2)?);
                roots.0.insert(key(policy, rule, http2), Believed { anchors: Arc::clone(&anchors), client });
            }
        }
        Ok(roots)
    }

    /// How to speak to the destination of a rule of this policy.
    pub(crate) fn client(&self, policy: &Policy, rule: &Rule, http2: bool) -> Option<Arc<ClientConfig>> {
        self.0.get(&key(policy, rule, http2)).map(|believed| Arc::clone(&believed.client))
    }

    /// Whether the same certificates are believed for a rule of this policy as for one of another policy under its roots.
    /// What they are is compared, not where they were read.
    pub(crate) fn believe_as(
        &self,
        (policy, rule): (&Policy, &Rule),
        other: &Roots,
        (others, its): (&Policy, &Rule),
    ) -> bool {
        match (self.0.get(&key(policy, rule, false)), other.0.get(&key(others, its, false))) {
            (Some(one), Some(other)) => {
                Arc::ptr_eq(&one.anchors, &other.anchors) || sorted(&one.anchors) == sorted(&other.anchors)
            }
            (None, None) => true,
            _ => false,
        }
    }
}

/// What makes a certificate believed (RFC 5280, section 6.1.1), in an order of its own.
fn sorted(store: &RootCertStore) -> Vec<[&[u8]; 3]> {
    let parts = store.roots.iter().map(|anchor| {
        let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
        [&*anchor.subject, &*anchor.subject_public_key_info, constraints]
    });
    let mut parts: Vec<[&[u8]; 3]> = parts.collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

fn key(policy: &Policy, rule: &Rule, http2: bool) -> Key {
    let own = |path: Option<&Path>| path.map(Path::to_owned);
    (own(policy.upstream_ca()), own(rule.upstream_ca()), http2)
}

fn client(anchors: &Arc<RootCertStore>, http2: bool) -> Result<ClientConfig, RootsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(anchors))
        .with_no_client_auth();
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(config)
}

/// Only a regular file is read, and nothing is waited for: the path may be the agent's to change.
fn read(path: &Path) -> Result<Vec<u8>, RootsError> {
    let fail = |source| RootsError::Read { path: path.to_owned(), source };
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(fail(io::ErrorKind::InvalidInput.into()));
    }
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).map_err(fail)?;
    Ok(text)
}

fn add(store: &mut RootCertStore, path: &Path, material: &Material) -> Result<(), RootsError> {
    let missing = || RootsError::Read { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    let text = material.files.get(path).ok_or_else(missing)?;
    let mut found = 0usize;
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|source| RootsError::File { path: path.to_owned(), source })?;
        if store.add(certificate).is_ok() {
            found = found.saturating_add(1);
        }
    }
    if found == 0 {
        return Err(RootsError::Empty { path: path.to_owned() });
    }
    Ok(())
}

/// Bytes of a file of certificates.
const LARGEST: u64 = 16 << 20;
