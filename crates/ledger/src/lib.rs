//! The ledger's record types, hash chain and verification: bytes in, verdict out.
//!
//! A ledger is JSON Lines. Each record carries its number, its time and the hash of the line before it, so a
//! change anywhere breaks the chain or changes its head. The chain is not signed: someone who can rewrite the
//! whole file can make a new one, which only the head digest (printed at the end of a run) or a checkpoint
//! shows. Nothing here reads a file or a clock.

pub mod chain;
pub mod coalesce;
pub mod record;
pub mod show;
pub mod summary;
pub mod text;
pub mod verify;

pub use claw_model::digest::Digest;
