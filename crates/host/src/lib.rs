//! The host as a trust zone: facts in, findings out. Nothing is read or performed here.
//!
//! [`WANTED`] says which files a reader has to bring, [`Facts`] holds what it brought, and [`audit`] judges. What could not
//! be read is unknown with its reason; it never counts as passed.

pub mod accounts;
mod baseline;
pub mod check;
mod checks;
pub mod facts;
pub mod mounts;
mod oscal;
mod read;
mod report;
mod sarif;
mod spelled;
pub mod sshd;
pub mod threat;
mod wanted;
pub mod zones;

pub use baseline::{Accepted, Baseline, Entry};
pub use check::{Area, Check, Severity, Verdict};
pub use checks::all;
pub use facts::Facts;
pub use oscal::oscal;
pub use read::Read;
pub use report::{Outcome, Report, Score, Status, audit};
pub use sarif::sarif;
pub use spelled::spelled;
pub use wanted::{WANTED, Wanted};
