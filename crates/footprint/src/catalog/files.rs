//! The files of `catalog/`, compiled in. A test holds this list and the directory equal.

/// Name and text of each.
pub(super) const FILES: &[(&str, &str)] = &[
    ("agents.yaml", include_str!("../../../../catalog/agents.yaml")),
    ("clis.yaml", include_str!("../../../../catalog/clis.yaml")),
    ("langchain.yaml", include_str!("../../../../catalog/langchain.yaml")),
    ("libraries.yaml", include_str!("../../../../catalog/libraries.yaml")),
    ("providers.yaml", include_str!("../../../../catalog/providers.yaml")),
    ("registries.yaml", include_str!("../../../../catalog/registries.yaml")),
    ("sdks.yaml", include_str!("../../../../catalog/sdks.yaml")),
];
