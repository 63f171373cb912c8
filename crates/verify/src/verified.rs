//! What was verified: the value, on whose word, from when until when, and what was proven.

use std::fmt;

use jiff::Timestamp;

use crate::{Clock, Error, KeyId};

/// A value that was verified. Only this crate makes one.
///
/// It is what every later door asks for. It says what was proven, so that one who needs more can refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    signers: Vec<Signer>,
    proven: Vec<Proof>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// On whose word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signer {
    /// Whoever holds the key that was pinned.
    Key(KeyId),
    /// Whom the issuer knew by this name when the certificate was made.
    Identity {
        /// Address, URI or other name in the certificate.
        identity: String,
        /// Who says so.
        issuer: String,
    },
    /// Whoever holds an SSH key that is listed for this name.
    Ssh {
        /// The name in the list of allowed signers.
        principal: String,
        /// `SHA256:…`, as ssh-keygen prints it.
        fingerprint: String,
    },
    /// Whoever holds a minisign key that was pinned, by the number it has among minisign's keys.
    Minisign(String),
}

/// One thing that was proven. What is not listed was not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// The signers signed exactly these bytes, or their digest.
    Signature,
    /// So many of the keys that were pinned did.
    Threshold {
        /// Asked for.
        need: usize,
        /// Distinct signers that counted.
        have: usize,
    },
    /// The bytes are a subject of the signed statement, by their digest.
    Subject,
    /// The certificate leads to an authority of the trust root, and was valid when it was used.
    Certificate,
    /// The certificate is promised to a log of certificates.
    CertificateLog,
    /// The signature stands in a log that the trust root names: inclusion and head were verified.
    Log,
    /// A log that the trust root names promised to take the signature in; inclusion itself was not shown.
    Promise,
    /// It existed at this time, on a log's or a timestamp authority's word.
    Time(Timestamp),
    /// The certificate names whom the caller asked for.
    Identity,
    /// The certificate or a pinned key says that this builder made it.
    Builder(String),
    /// It was made from this source.
    Source(String),
    /// The build reached this level of SLSA.
    Level(u8),
    /// A value that the caller asked for in the provenance is there.
    Claim {
        /// Which.
        name: String,
        /// Its value.
        value: String,
    },
}

impl<T> Verified<T> {
    /// Only for what was verified just now.
    pub(crate) fn new(value: T, signers: Vec<Signer>, proven: Vec<Proof>) -> Verified<T> {
        Verified { value, signers, proven, from: None, until: None }
    }

    /// What was verified.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// What was verified, without the proof.
    pub fn into_value(self) -> T {
        self.value
    }

    /// On whose word; each stands once.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// What was proven.
    pub fn proven(&self) -> &[Proof] {
        &self.proven
    }

    /// Not before, if anybody said so.
    pub fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Not after, if anybody said so.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// What is read from the value, on the same word. `read` may use nothing but the value.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        let Verified { value, signers, proven, from, until } = self;
        Ok(Verified { value: read(value)?, signers, proven, from, until })
    }

    /// Narrower in time: what the value itself says of its validity. It never gets wider.
    pub fn within(mut self, from: Option<Timestamp>, until: Option<Timestamp>) -> Verified<T> {
        self.from = self.from.max(from);
        self.until = match (self.until, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self
    }

    /// Whether it is valid now.
    pub fn check(&self, clock: &Clock) -> Result<(), Error> {
        let now = clock.now();
        if let Some(from) = self.from.filter(|&from| now < from) {
            return Err(Error::NotYet { from, now });
        }
        if let Some(until) = self.until.filter(|&until| until < now) {
            return Err(Error::Expired { until, now });
        }
        Ok(())
    }

    pub(crate) fn prove(&mut self, proof: Proof) {
        if !self.proven.contains(&proof) {
            self.proven.push(proof);
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signer::Key(id) => write!(f, "key {id}"),
            Signer::Identity { identity, issuer } => {
                write!(f, "`{}` by `{}`", identity.escape_debug(), issuer.escape_debug())
            }
            Signer::Ssh { principal, fingerprint } => {
                write!(f, "`{}` with the SSH key {fingerprint}", principal.escape_debug())
            }
            Signer::Minisign(id) => write!(f, "minisign key {id}"),
        }
    }
}

impl Proof {
    /// A word for this kind of proof that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Proof::Signature => "signature",
            Proof::Threshold { .. } => "threshold",
            Proof::Subject => "subject",
            Proof::Certificate => "certificate",
            Proof::CertificateLog => "certificate-log",
            Proof::Log => "log",
            Proof::Promise => "log-promise",
            Proof::Time(_) => "time",
            Proof::Identity => "identity",
            Proof::Builder(_) => "builder",
            Proof::Source(_) => "source",
            Proof::Level(_) => "level",
            Proof::Claim { .. } => "claim",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Signature => f.write_str("the signature is of these bytes"),
            Proof::Threshold { need, have } => write!(f, "{have} signers, {need} were needed"),
            Proof::Subject => f.write_str("the signed statement names these bytes by their digest"),
            Proof::Certificate => {
                f.write_str("the certificate leads to the trust root, and was valid when it signed")
            }
            Proof::CertificateLog => f.write_str("the certificate is promised to a log of certificates"),
            Proof::Log => f.write_str("the signature stands in a transparency log of the trust root"),
            Proof::Promise => {
                f.write_str("a transparency log of the trust root promised to take the signature in")
            }
            Proof::Time(time) => write!(f, "it existed at {time}"),
            Proof::Identity => {
                f.write_str("the certificate names the identity and issuer that were asked for")
            }
            Proof::Builder(builder) => write!(f, "built by `{}`", builder.escape_debug()),
            Proof::Source(source) => write!(f, "built from `{}`", source.escape_debug()),
            Proof::Level(level) => write!(f, "SLSA build level {level}"),
            Proof::Claim { name, value } => write!(f, "{name} is `{}`", value.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn validity_never_gets_wider() {
        let one = Verified::new((), vec![], vec![]).within(Some(at(10)), Some(at(20)));
        let two = one.clone().within(Some(at(5)), Some(at(30)));
        assert_eq!((two.from(), two.until()), (Some(at(10)), Some(at(20))));
        let three = one.within(Some(at(12)), Some(at(15)));
        assert_eq!((three.from(), three.until()), (Some(at(12)), Some(at(15))));
    }

    #[test]
    fn outside_its_validity_it_is_refused() {
        let one = Verified::new((), vec![], vec![]).within(Some(at(10)), Some(at(20)));
        assert_eq!(one.check(&Clock::at(at(9))), Err(Error::NotYet { from: at(10), now: at(9) }));
        assert_eq!(one.check(&Clock::at(at(20))), Ok(()));
        assert_eq!(one.check(&Clock::at(at(21))), Err(Error::Expired { until: at(20), now: at(21) }));
        // A clock that was set back does not help what has expired.
        assert!(one.check(&Clock::new(at(15), at(30))).is_err());
    }
}
