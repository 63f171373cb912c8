//! The formats of other tools: their names, and what is read and written of each.

use std::fmt;
use std::str::FromStr;

/// A format of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A Kubernetes NetworkPolicy, or its bare `egress` list.
    K8s,
    /// A Kubernetes ClusterNetworkPolicy, or the older AdminNetworkPolicy.
    Cnp,
    /// A CiliumNetworkPolicy.
    Cilium,
    /// A Calico NetworkPolicy or GlobalNetworkPolicy.
    Calico,
    /// AWS security groups in Terraform's JSON.
    AwsSg,
    /// AWS network ACLs in Terraform's JSON.
    AwsNacl,
    /// nf_tables: read as JSON, written as text.
    Nft,
    /// `network_policy.egress` with `ip_block`, `ports` and `allowed_domains`.
    Nanoclaw,
    /// The annotated list: `destination`, `purpose`, `protocol`, `required`.
    Allowlist,
    /// Settings of Anthropic's sandbox runtime.
    Srt,
    /// Permissions in Codex's `config.toml`.
    Codex,
    /// A nono profile.
    Nono,
    /// An OpenShell policy.
    Openshell,
    /// A sandlock profile.
    Sandlock,
    /// An OCI seccomp profile.
    Seccomp,
    /// A compose file.
    Compose,
}

/// One row of what is known of a format.
struct Row {
    format: Format,
    name: &'static str,
    help: &'static str,
    looks: &'static str,
    writes: bool,
}

const fn row(
    format: Format,
    name: &'static str,
    help: &'static str,
    looks: &'static str,
    writes: bool,
) -> Row {
    Row { format, name, help, looks, writes }
}

/// In the order of the enum.
const ROWS: &[Row] = &[
    row(
        Format::K8s,
        "k8s",
        "Kubernetes NetworkPolicy, or its bare `egress` list",
        "a NetworkPolicy with `spec.egress`, or a file with `egress:` and rules indented below it",
        true,
    ),
    row(
        Format::Cnp,
        "cnp",
        "ClusterNetworkPolicy (v1alpha2), and the older AdminNetworkPolicy",
        "a ClusterNetworkPolicy or AdminNetworkPolicy with `spec.egress`",
        true,
    ),
    row(
        Format::Cilium,
        "cilium",
        "CiliumNetworkPolicy: toFQDNs, toCIDRSet, toPorts",
        "a CiliumNetworkPolicy with `spec.egress`",
        true,
    ),
    row(
        Format::Calico,
        "calico",
        "Calico NetworkPolicy or GlobalNetworkPolicy, with domains",
        "a Calico NetworkPolicy or GlobalNetworkPolicy with `spec.egress`",
        true,
    ),
    row(
        Format::AwsSg,
        "aws-sg",
        "AWS security groups in Terraform JSON",
        "`.tf.json` or `terraform show -json` with security groups and their egress rules",
        true,
    ),
    row(
        Format::AwsNacl,
        "aws-nacl",
        "AWS network ACLs in Terraform JSON",
        "`.tf.json` or `terraform show -json` with network ACLs and their egress rules",
        true,
    ),
    row(
        Format::Nft,
        "nft",
        "nf_tables: reads `nft -j list ruleset`, writes text for `nft -f`",
        "the output of `nft -j list ruleset` with a chain on the hook `output`",
        true,
    ),
    row(
        Format::Nanoclaw,
        "nanoclaw",
        "`network_policy.egress` with `ip_block`, `ports` and `allowed_domains`",
        "`network_policy:` with `egress:` or `allowed_domains:` indented below it",
        true,
    ),
    row(
        Format::Allowlist,
        "allowlist",
        "A list of destination, purpose, protocol, required",
        "a list whose items have `destination` and `purpose`",
        true,
    ),
    row(
        Format::Srt,
        "srt",
        "Settings of Anthropic's sandbox runtime (JSON)",
        "settings with `network.allowedDomains`",
        true,
    ),
    row(
        Format::Codex,
        "codex",
        "Permissions of Codex's config.toml",
        "`[permissions.NAME.network]` with `domains`",
        true,
    ),
    row(Format::Nono, "nono", "A nono profile (JSON with comments)", "a profile with `network`", true),
    row(
        Format::Openshell,
        "openshell",
        "An OpenShell policy (YAML)",
        "a policy with `network_policies`",
        true,
    ),
    row(
        Format::Sandlock,
        "sandlock",
        "A sandlock profile (TOML)",
        "a profile with `[network]` or `[http]`",
        true,
    ),
    row(
        Format::Seccomp,
        "seccomp",
        "An OCI seccomp profile, named in `process.seccomp`",
        "an OCI seccomp profile: JSON with `defaultAction`",
        false,
    ),
    row(
        Format::Compose,
        "compose",
        "A compose file: read for suggestions, written with an internal network",
        "a compose file with `services`",
        true,
    ),
];

impl Format {
    /// Every format.
    pub const ALL: &'static [Format] = &[
        Format::K8s,
        Format::Cnp,
        Format::Cilium,
        Format::Calico,
        Format::AwsSg,
        Format::AwsNacl,
        Format::Nft,
        Format::Nanoclaw,
        Format::Allowlist,
        Format::Srt,
        Format::Codex,
        Format::Nono,
        Format::Openshell,
        Format::Sandlock,
        Format::Seccomp,
        Format::Compose,
    ];

    /// Every format.
    pub fn all() -> impl Iterator<Item = Format> {
        Format::ALL.iter().copied()
    }

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// What it is, for the command line's help.
    pub fn help(self) -> &'static str {
        self.row().map_or("", |row| row.help)
    }

    /// Whether policies are written in it. All are read.
    pub fn is_written(self) -> bool {
        self.row().is_some_and(|row| row.writes)
    }

    /// What a source of this format looks like.
    pub(crate) fn looks(self) -> &'static str {
        self.row().map_or("", |row| row.looks)
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.format == self)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name is not that of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a format: {}", text.escape_debug(), ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", "))]
pub struct FormatError {
    /// What was written.
    pub text: String,
}

impl FromStr for Format {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let found = Format::all().find(|format| format.as_str() == text);
        found.ok_or_else(|| FormatError { text: text.to_owned() })
    }
}
