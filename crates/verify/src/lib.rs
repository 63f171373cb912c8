//! Bytes, a trust root and the time in; a proof that they were verified, or the reason why not, out.
//!
//! Nothing is trusted because it arrived. What was verified is a [`Verified`], which only this crate makes: it holds the
//! value, on whose word it stands, between which times, and what was proven of it. What was not is an [`Error`] with a
//! [`Class`] and a code that do not change.
//!
//! Cryptography, certificates and logs are other crates' work, kept by those who wrote the standards' tests. Here stands
//! what they leave to the caller: who is asked, how many, for what, and at which time.
//!
//! No file, network or environment. `now` is a parameter, with a floor ([`Clock`]); one library below reads the system's
//! clock as well, and can only refuse more for it.

pub mod artifact;
mod clock;
pub mod embedded;
pub mod envelope;
mod error;
pub mod identity;
pub mod json;
pub mod key;
pub mod keyring;
pub mod minisign;
pub mod oci;
pub mod pack;
pub mod pins;
pub mod policy;
pub mod provenance;
pub mod release;
pub mod revocation;
pub mod sign;
pub mod sigstore;
pub mod ssh;
pub mod statement;
pub mod tuf;
mod verified;

pub use clock::Clock;
pub use error::{Class, Error};
pub use key::{KeyId, Keys, PublicKey};
pub use verified::{Proof, Signer, Verified};

/// The bytes of a signature that is written as base64 and nothing else.
pub fn base64(text: &str) -> Result<Vec<u8>, Error> {
    let bytes = data_encoding::BASE64.decode(text.trim().as_bytes());
    bytes.map_err(|error| Error::Malformed { what: "base64 of the signature", why: error.to_string() })
}
