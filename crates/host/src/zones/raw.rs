//! The zones file as it is written, before anything in it is believed.

use claw_policy::keyed;
use claw_policy::yaml::{At, Loose};

keyed! {
    /// Who is on which side of this host, and what may flow.
    RawFile {
        /// The version of this format: 1.
        version: At<u64>,
        /// `drop`: what this host itself sends must be declared too. Default: `accept`.
        output: At<String>,
        /// Where refused packets are told: `kernel` (default), `none`, or the number of an NFLOG group.
        log: At<Loose>,
        /// The zones.
        zones: RawZones,
    }
}

keyed! {
    /// The zones. The list is closed.
    RawZones {
        /// Those who command the host.
        management: At<RawZone>,
        /// Claw itself on this host.
        runtime: At<RawZone>,
        /// Agents, and what they run in.
        workload: At<RawZone>,
    }
}

keyed! {
    /// One side.
    RawZone {
        /// Interfaces it is behind: `eth0`, or `veth*`.
        interfaces: Vec<At<String>>,
        /// Networks it has.
        networks: Vec<At<String>>,
        /// Of the runtime: the number of the user whose processes may use its flows `out`.
        user: At<Loose>,
        /// What may flow.
        flows: Vec<At<RawFlow>>,
    }
}

keyed! {
    /// One flow.
    RawFlow {
        /// `in`, `out` or `forward`, seen from this host.
        direction: At<String>,
        /// `TCP`, `UDP`, `ICMP` and others by name, or any by number.
        protocol: At<Loose>,
        /// `443`, `80,443`, `8000-8010` or `*`.
        ports: At<Loose>,
        /// Networks of the zone that it comes from: with `in`.
        from: Vec<At<String>>,
        /// Where it goes: networks, the zone's own name, or `internet`.
        to: Vec<At<String>>,
        /// Why.
        purpose: At<String>,
    }
}
