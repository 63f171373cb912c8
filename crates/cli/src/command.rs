//! One file for each command.

pub(crate) mod adapter;
mod believed;
pub(crate) mod bundle;
pub(crate) mod changes;
pub(crate) mod doctor;
pub(crate) mod footprint;
pub(crate) mod gate;
pub(crate) mod host;
pub(crate) mod keyring;
pub(crate) mod ledger;
pub(crate) mod manual;
pub(crate) mod observe;
pub(crate) mod own;
pub(crate) mod phase;
pub(crate) mod policy;
pub(crate) mod run;
mod seen;
pub(crate) mod threat_model;
pub(crate) mod top;
pub(crate) mod verify;
