//! The test lab: throwaway directories, networks, servers and certificates, and runs of claw in them.
//!
//! Every lab has a network namespace and a mount namespace of its own, so no test meets the internet, the host's
//! addresses or another test. What counts is what arrived at a server, never what a client believed.
//! What needs another kernel runs in a virtual machine ([`Machine`]).
//! The lab needs root and these Debian packages: bubblewrap, bsdutils, coreutils, curl, dnsutils, gcc, iproute2,
//! libc6-dev, mount, netcat-openbsd, nftables, procps, python3, strace, util-linux. What is missing stops the test
//! and is named; nothing is skipped.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test kit stops at the first surprise"
)]

mod claw;
mod cpio;
mod git;
mod history;
mod lab;
mod outcome;
mod server;
mod tls;
mod vm;
mod web;

pub use claw::{Claw, Running};
pub use git::Git;
pub use history::{History, SshSigner};
pub use lab::{Lab, User, copy_program, each, once};
pub use outcome::Outcome;
pub use server::{
    Server, echo, echo_datagrams, http, late_answer, named, names, resetter, sink, sink_datagrams,
    speaks_first,
};
pub use tls::{Authority, https};
pub use vm::{Machine, Printed};
pub use web::{Play, playing, scripted, strict, web, web_over_tls};
