//! Whom the gate believes outside: the system's certificates, or those that the policy names.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use claw_policy::{Policy, Rule};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Client configurations by the files they believe.
#[derive(Debug, Default)]
pub(crate) struct Roots(RefCell<HashMap<Key, Arc<ClientConfig>>>);

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

/// Reads every certificate file that a policy names, and the system's if it is needed: what is wrong is known at the
/// start.
pub fn check_roots(policy: &Policy) -> Result<(), RootsError> {
    let roots = Roots::default();
    let ending = policy.rules().iter().filter(|rule| rule.ends_tls());
    ending.map(|rule| roots.client(policy, rule, false)).try_for_each(|config| config.map(drop))
}

impl Roots {
    /// How to speak to the destination of a rule.
    pub(crate) fn client(
        &self,
        policy: &Policy,
        rule: &Rule,
        http2: bool,
    ) -> Result<Arc<ClientConfig>, RootsError> {
        let own = |path: Option<&Path>| path.map(Path::to_owned);
        let key = (own(policy.upstream_ca()), own(rule.upstream_ca()), http2);
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(Arc::clone(known));
        }
        let mut store = RootCertStore::empty();
        match &key.0 {
            Some(path) => add(&mut store, path)?,
            None => {
                // one bad certificate among the system's does not spoil the others
                let (_, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if let Some(path) = &key.1 {
            add(&mut store, path)?;
        }
        if store.is_empty() {
            return Err(RootsError::System);
        }
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(store)
                .with_no_client_auth();
        config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
        config.alpn_protocols.push(b"http/1.1".to_vec());
        let config = Arc::new(config);
        self.0.borrow_mut().insert(key, Arc::clone(&config));
        Ok(config)
    }

    /// The files may have changed: read them again when they are needed.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

fn add(store: &mut RootCertStore, path: &Path) -> Result<(), RootsError> {
    let fail = |source| RootsError::File { path: path.to_owned(), source };
    let mut found = 0usize;
    for certificate in CertificateDer::pem_file_iter(path).map_err(fail)? {
        let certificate = certificate.map_err(fail)?;
        if store.add(certificate).is_ok() {
            found = found.saturating_add(1);
        }
    }
    if found == 0 {
        return Err(RootsError::Empty { path: path.to_owned() });
    }
    Ok(())
}
