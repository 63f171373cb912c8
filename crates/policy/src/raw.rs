//! The policy file as it is written, before anything in it is believed.
//!
//! Each type keeps where its values stand and which keys it does not know, so that `load` can tell every problem
//! at once. A key nobody knows is never ignored: `load` refuses all of `extra`. The JSON Schema comes from these
//! types.

use std::collections::BTreeMap;

mod place;
mod quick;
mod read;

/// A mapping of which every key is known.
pub trait Keyed {
    /// Every key it knows.
    const KEYS: &'static [&'static str];
}

/// A struct of optional fields that remembers unknown keys instead of stopping at the first.
#[macro_export]
macro_rules! keyed {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: Option<$type>,)*
            #[schemars(skip)]
            pub(crate) extra: Vec<$crate::yaml::Extra>,
        }

        impl $crate::yaml::Keyed for $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a mapping of keys to values")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut raw = $name::default();
                        while let Some(key) = map.next_key::<$crate::yaml::Key<'de>>()? {
                            match key.0.as_ref() {
                                $(stringify!($field) => raw.$field = map.next_value()?,)*
                                _ => raw.extra.push($crate::yaml::Extra::new(key.0.into_owned(), map.next_value()?)),
                            }
                        }
                        Ok(raw)
                    }
                }
                deserializer.deserialize_map(Visitor)
            }
        }
    };
}

pub(crate) use crate::keyed;
pub use place::{At, Extra, Key, Loose};
pub(crate) use place::{RawExec, RawProtect};
pub(crate) use read::line_at;
pub use read::read;

keyed! {
    /// What an agent may reach, see and use. Whatever the file does not name is refused.
    RawPolicy {
        /// The version of this format: 1.
        #[schemars(range(min = 1, max = 1))]
        version: At<u64>,
        /// The agent this policy is for.
        agent: At<String>,
        /// Who answers for the policy; rules inherit it.
        owner: At<String>,
        /// A preset that the rest of the file may only narrow.
        #[schemars(extend("enum" = ["open"]))]
        profile: At<String>,
        /// Which destinations may be reached. Absent or empty: nothing leaves.
        network_policy: RawNetwork,
        /// Promises about this policy: proven when it is loaded, and refused at run time.
        never: Vec<At<RawRule>>,
        /// A policy file, relative to this one, that this policy may only narrow.
        ceiling: At<String>,
        /// What is visible inside.
        filesystem: RawFilesystem,
        /// How the process is held.
        process: RawProcess,
        /// A PEM file of certificates that are trusted for every destination instead of the system's.
        upstream_ca: At<String>,
    }
}

keyed! {
    /// Which destinations may be reached, by phase.
    RawNetwork {
        /// Open only until the runtime is attested and secrets are in.
        bootstrap: Vec<At<RawRule>>,
        /// Open while the agent runs.
        workload: Vec<At<RawRule>>,
        /// Always refused, in every phase, whatever else allows it.
        deny: Vec<At<RawRule>>,
    }
}

keyed! {
    /// One destination, and why it is reached.
    RawRule {
        /// `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS` or `[v6]:PORTS`; PORTS is `443`, `80,443`, `8000-8010` or `*`.
        #[schemars(required)]
        destination: At<String>,
        /// Which need of the runtime it serves. Required for rules that open.
        #[schemars(extend("enum" = ["attestation", "time", "revocation", "control", "inference", "tool", "update", "workload", "*"]))]
        plane: At<String>,
        /// Why it is needed. Required for rules that open, never empty.
        purpose: At<String>,
        /// What is spoken. Default: `TCP/TLS` on 443 and 8443, else `TCP`.
        #[schemars(extend("enum" = ["TCP", "TCP/TLS", "TCP/HTTPS", "TCP/HTTP", "UDP", "UDP/NTP"]))]
        protocol: At<String>,
        /// When it is needed, in words: `Always`.
        required: At<String>,
        /// Where the name is dialled instead of being resolved.
        addresses: Vec<At<String>>,
        /// `allow`: the name may resolve to a private address.
        #[schemars(extend("enum" = ["allow"]))]
        private: At<String>,
        /// `METHOD /path`, where `*` is one segment and a last `**` the rest: only these requests. Ends TLS in the gate.
        http: Vec<At<String>>,
        /// How much may flow in a run.
        limits: RawFlowLimits,
        /// A PEM file of certificates that are trusted for this destination beside the system's.
        upstream_ca: At<String>,
        /// How bytes travel: through the gate, or through a socket that the gate connects and hands over.
        #[schemars(extend("enum" = ["relay", "brokered"]))]
        path: At<String>,
        /// Who answers for this rule.
        owner: At<String>,
        /// The last day it permits, to the end of that day in UTC: `2027-03-01`.
        #[schemars(extend("format" = "date"))]
        expires: At<String>,
        /// Where it was agreed.
        ticket: At<String>,
    }
}

keyed! {
    /// How much may flow under one rule in a run. A limit that is reached refuses and closes.
    RawFlowLimits {
        /// Bytes sent, as `1MiB`.
        bytes_out: At<Loose>,
        /// Bytes received, as `1GiB`.
        bytes_in: At<Loose>,
        /// Connections open at the same time.
        connections: At<u64>,
        /// New connections, or requests where HTTP is read, as `50/s`, `100/m` or `10/h`.
        rate: At<String>,
    }
}

keyed! {
    /// What is visible inside. Everything else is absent, not merely unreadable.
    RawFilesystem {
        /// Readable trees. Absent: the system directories and the working directory.
        read: Vec<At<String>>,
        /// Writable trees.
        write: Vec<At<String>>,
        /// Trees that look writable inside: what is written is kept aside until somebody applies it.
        review: Vec<At<String>>,
        /// Names that never reach a reviewed tree, at any depth: `standard`, or a list of names and patterns.
        protect: At<RawProtect>,
        /// The read-only root of the sandbox, instead of the host's system directories.
        root: At<RawRoot>,
    }
}

keyed! {
    /// An image as the root of the sandbox.
    RawRoot {
        /// A directory with an OCI image layout.
        oci: At<String>,
        /// The digest of the image's manifest, or of its index: `sha256:…`.
        digest: At<String>,
    }
}

keyed! {
    /// How the process is held.
    RawProcess {
        /// The system call filter: `standard`, `nano`, or the path of an OCI seccomp profile.
        seccomp: At<Loose>,
        /// Which files may be executed: `any`, or those whose digest is listed.
        exec: At<RawExec>,
        /// What it may use up.
        limits: RawLimits,
        /// Its environment.
        env: RawEnv,
    }
}

keyed! {
    /// Which files may be executed.
    RawExecMap {
        /// Only those whose digest is listed.
        listed: RawListed,
    }
}

keyed! {
    /// Files by their digests.
    RawListed {
        /// `sha256:HEX /path` each; without a path, wherever a visible file has that digest.
        digests: Vec<At<String>>,
        /// A file of lines as sha256sum(1) prints them.
        file: At<String>,
        /// What follows when one of them changes outside while the agent runs.
        #[schemars(extend("enum" = ["record", "end"]))]
        changed: At<String>,
    }
}

keyed! {
    /// What the process may use up.
    RawLimits {
        /// Memory, as `512MiB` or `2GiB`.
        memory: At<Loose>,
        /// Processes and threads.
        pids: At<u64>,
        /// Processor cores, as `1.5`.
        cpu: At<f64>,
    }
}

keyed! {
    /// The environment inside.
    RawEnv {
        /// Variables passed from outside; `LC_*` passes every one that begins so.
        pass: Vec<At<String>>,
        /// Variables set to a value.
        set: BTreeMap<String, At<String>>,
    }
}
