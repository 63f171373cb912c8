//! Footprints: from the records of ledgers to what was reached for, by plane.
//!
//! Pure: records, texts and times in, values and texts out. [`fold::Fold`] takes records as they are read and gives a
//! [`Footprint`]; a footprint is shown, compared with another, held against a policy, or turned into one.

pub mod against;
pub mod catalog;
pub mod compare;
pub mod diff;
pub mod fold;
pub mod footprint;
pub mod html;
pub mod indexes;
pub mod shape;
pub mod show;
pub mod suggest;

pub use footprint::{Flow, Footprint, Lane};
