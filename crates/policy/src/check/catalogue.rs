//! Hosts that mean something: shared CDNs, model providers, telemetry sinks.
//!
//! Telemetry and model hosts come from the recorded traffic of agent frameworks. A name stands for itself; a name
//! that begins with a dot stands for everything below it.

use claw_model::host::HostPattern;

/// The catalogue's entry that a pattern meets, if any.
pub(super) fn meets(pattern: &HostPattern, catalogue: &[&'static str]) -> Option<&'static str> {
    let name = pattern.name().as_str();
    let below = |name: &str, suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| !rest.is_empty());
    catalogue.iter().copied().find(|entry| match (pattern, entry.strip_prefix('.')) {
        (HostPattern::Exact(_), None) => name == *entry,
        (HostPattern::Exact(_), Some(_)) => below(name, entry),
        // A wildcard meets a shared suffix when it is that suffix or stands below it.
        (HostPattern::Below(_), Some(suffix)) => name == suffix || below(name, entry),
        // A wildcard meets a host that it matches, unless it is so broad that another finding says so.
        (HostPattern::Below(_), None) => {
            entry.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')) && name.contains('.')
        }
    })
}

/// Many customers behind one address and one certificate: the TLS name does not tell them apart.
pub(super) const SHARED_CDN: &[&str] = &[
    ".cloudfront.net",
    ".azureedge.net",
    ".azurefd.net",
    ".fastly.net",
    ".fastlylb.net",
    ".akamaized.net",
    ".akamaihd.net",
    ".akamai.net",
    ".akamaiedge.net",
    ".edgesuite.net",
    ".edgekey.net",
    ".cdn77.org",
    ".b-cdn.net",
    ".workers.dev",
    ".pages.dev",
    ".cloudflare.net",
    ".googleusercontent.com",
    ".appspot.com",
    ".vercel.app",
    ".netlify.app",
    ".herokuapp.com",
    ".github.io",
    ".gitlab.io",
    ".web.app",
    ".firebaseapp.com",
    ".llnwd.net",
    ".stackpathcdn.com",
    ".trafficmanager.net",
];

pub(super) const MODEL_HOSTS: &[&str] = &[
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "api.mistral.ai",
    "api.cohere.com",
    "api.cohere.ai",
    "api.groq.com",
    "api.together.xyz",
    "api.deepseek.com",
    "api.x.ai",
    "openrouter.ai",
    "api.perplexity.ai",
    "api.fireworks.ai",
    "api-inference.huggingface.co",
    "router.huggingface.co",
    ".openai.azure.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "bedrock-runtime.us-west-2.amazonaws.com",
    "bedrock-runtime.eu-central-1.amazonaws.com",
    "bedrock-runtime.eu-west-1.amazonaws.com",
];

pub(super) const TELEMETRY: &[&str] = &[
    "us.i.posthog.com",
    "eu.i.posthog.com",
    "app.posthog.com",
    "telemetry.crewai.com",
    "telemetry.openclaw.ai",
    "ab.chatgpt.com",
    "os-api.agno.com",
    "packages.unstructured.io",
    "play.googleapis.com",
    "mobile.events.data.microsoft.com",
    "kzrlppojinpcyyaipxnb.supabase.co",
    "checkip.amazonaws.com",
    "api.smith.langchain.com",
    "api.segment.io",
    "api.mixpanel.com",
    "api2.amplitude.com",
    "browser-intake-datadoghq.com",
    ".ingest.sentry.io",
    ".ingest.us.sentry.io",
    "statsig.anthropic.com",
    "events.statsigapi.net",
    "www.google-analytics.com",
];
