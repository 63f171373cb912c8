use super::*;

fn built_in() -> Catalog {
    Catalog::built_in().unwrap()
}

fn shown(known: &Known<'_>) -> String {
    format!("{}/{}", known.plane.map_or("-", Plane::as_str), known.class.as_str())
}

#[test]
fn the_list_and_the_directory_are_equal() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog");
    let mut found: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    found.sort();
    assert_eq!(found, files::FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert!(built_in().len() > 100, "{}", built_in().len());
}

#[test]
fn one_host_is_several_planes_by_method_and_path() {
    let catalog = built_in();
    let indexes = Indexes::default();
    let check = |host: &str, port: u16, request: Option<(&str, &str)>, expect: &str| {
        let host = HostName::parse(host).unwrap();
        let about = catalog.about(&host, Some(port), &indexes);
        let known = match request {
            Some((method, path)) => Known::request(&about, method, path, None),
            None => Known::host(&about, None),
        };
        assert_eq!(shown(&known), expect, "{host} {request:?}");
    };
    check("api.anthropic.com", 443, Some(("POST", "/v1/messages")), "inference/required");
    check("api.anthropic.com", 443, Some(("POST", "/api/event_logging/v2/batch")), "workload/telemetry");
    check("api.anthropic.com", 443, Some(("POST", "/api/eval/sdk-zAZ")), "workload/telemetry");
    check("api.anthropic.com", 443, Some(("GET", "/api/claude_code/settings")), "control/optional");
    check("api.anthropic.com", 443, Some(("GET", "/mcp-registry/v0/servers")), "tool/optional");
    check("api.anthropic.com", 443, Some(("GET", "/something/new")), "-/unknown");
    check("api.anthropic.com", 443, Some(("POST", "/v1/../messages")), "-/unknown");
    check("api.anthropic.com", 443, None, "-/mixed");
    check("api.anthropic.com", 8443, None, "-/unknown");
    check("api.openai.com", 443, Some(("POST", "/v1/traces/ingest")), "workload/telemetry");
    check("telemetry.crewai.com", 4319, None, "workload/telemetry");
    check("api.mistral.ai", 443, Some(("POST", "/v1/anything")), "inference/required");
    check("github.com", 22, None, "-/unknown");
    check("github.com", 443, Some(("GET", "/you/repository")), "-/unknown");
    check("huggingface.co", 443, Some(("GET", "/gpt2/resolve/main/config.json")), "update/asset");
    check("nobody.test", 443, None, "-/unknown");
    check("project.svc.pinecone.io", 443, None, "tool/required");
}

#[test]
fn a_mirror_is_an_index_because_the_machine_says_so() {
    let catalog = built_in();
    let mut indexes = Indexes::default();
    let mirror = HostName::parse("mirror.internal").unwrap();
    assert!(catalog.about(&mirror, Some(443), &indexes).is_empty());
    indexes.add(Index::Pip, "https://mirror.internal/pypi/simple");
    let about = catalog.about(&mirror, Some(443), &indexes);
    let configured = indexes.of("mirror.internal", Some(443));
    let known = |path: &str| shown(&Known::request(&about, "GET", path, configured));
    assert_eq!(known("/simple/requests/"), "update/registry");
    assert_eq!(known("/packages/x.whl"), "update/registry");
    assert_eq!(known("/pypi/fastmcp/json"), "update/update-check");
}

#[test]
fn an_index_is_known_by_who_asks_and_how_whatever_it_is_called() {
    let catalog = built_in();
    let check = |clients: &[&str], line: &str, expect: &str| {
        let (method, path) = line.split_once(' ').unwrap();
        let about = catalog.asked(method, path, clients);
        assert_eq!(shown(&Known::request(&about, method, path, None)), expect, "{clients:?} {line}");
    };
    check(&["pip/26.0 {\"ci\":null}"], "GET /simple/requests/", "update/registry");
    check(&["uv/0.13.8 {}", "pip/26.0"], "GET /mirror/simple/requests/", "update/registry");
    check(&["npm/10.9.0 node/v24.3.0 linux x64"], "GET /lodash", "update/registry");
    check(&["npm/undefined node/v24.3.0 linux x64"], "GET /@opencode-ai%2fplugin", "update/update-check");
    check(&["cargo/1.90.0 (840b83a10 2026-07-30)"], "GET /se/rd/serde", "update/registry");
    check(&["cargo 1.70.0"], "GET /config.json", "update/registry");
    check(&["python-httpx2/2.16.2"], "GET /pypi/fastmcp/json", "update/update-check");
    // who asks is not enough, nor is what is asked; and all of them must be meant
    check(&["pip/26.0"], "GET /you/project/archive/main.zip", "-/unknown");
    check(&["curl/8.0"], "GET /simple/requests/", "-/unknown");
    check(&["pipx/1.0"], "GET /simple/requests/", "-/unknown");
    check(&["npm/10.9.0"], "GET /simple/requests/", "-/unknown");
    check(&["pip/26.0", "curl/8.0"], "GET /simple/requests/", "-/unknown");
    check(&[], "GET /simple/requests/", "-/unknown");
    check(&["python-httpx/0.28.1"], "GET /pypi/anything/json", "-/unknown");
}

#[test]
fn no_entry_names_the_host_of_an_index() {
    let place = |entry: &&Entry| matches!(entry.place, Place::Host(_)) && entry.class == Class::Registry;
    let catalog = built_in();
    let named: Vec<_> = catalog.entries().iter().filter(place).map(|entry| &entry.what).collect();
    assert_eq!(named, [""; 0]);
}

#[test]
fn a_given_catalogue_wins_over_the_one_compiled_in() {
    let mut catalog = built_in();
    let text = "version: 1\nframeworks:\n  - name: ours\n    source: measured\n    date: 2026-11\n    entries:\n      - {host: api.openai.com, requests: [POST /v1/traces/**], plane: control, class: optional, what: ours}\n";
    catalog.lay(text, "ours.yaml").unwrap();
    let about = catalog.about(&HostName::parse("api.openai.com").unwrap(), Some(443), &Indexes::default());
    let known = |path: &str| shown(&Known::request(&about, "POST", path, None));
    assert_eq!(known("/v1/traces/ingest"), "control/optional");
    assert_eq!(known("/v1/responses"), "inference/required");
}

#[test]
fn a_wrong_catalogue_is_refused_with_its_line_and_the_nearest_name() {
    let head =
        "version: 1\nframeworks:\n  - name: x\n    source: measured\n    date: 2026-11\n    entries:\n";
    let entry = "      - {host: a.test, plane: tool, class: required, what: x}\n";
    let check = |text: String, expect: &str, hint: Option<&str>| {
        let error = Catalog::default().lay(&text, "x.yaml").unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint().as_deref()), (expect, hint), "{text}");
    };
    assert!(Catalog::default().lay(&format!("{head}{entry}"), "x.yaml").is_ok());
    check(
        format!("{head}{}", entry.replace("what:", "hots: b, what:")),
        "x.yaml:7: `hots` is not a field of the catalogue",
        Some("did you mean `host`?"),
    );
    check(
        format!("{head}{}", entry.replace("required", "telemetri")),
        "x.yaml:7: `telemetri` is not one of required, optional, telemetry, update-check, asset, metadata-probe, registry, mixed, unknown",
        Some("did you mean `telemetry`?"),
    );
    check(
        format!("{head}{}", entry.replace("host: a.test, ", "")),
        "x.yaml:7: an entry has one `host` or one `index`",
        Some("write `host:`, or `index:` alone"),
    );
    check(
        format!("{head}{}", entry.replace("what:", "agents: [pip], what:")),
        "x.yaml:7: `agents` stands with `index`",
        Some("a host is known by its name; `agents` says who asks an index in its own way"),
    );
    check(
        format!("{head}{}", entry.replace("host: a.test", "index: pip, agents: [pip/26.0]")),
        "x.yaml:7: `pip/26.0` is not the name of a program in a user agent",
        Some("write `pip` for `pip/26.0 (…)`"),
    );
    check(
        format!("{head}{}", entry.replace("class: required", "class: mixed")),
        "x.yaml:7: `mixed` is an answer, not a class of the catalogue",
        None,
    );
    check(
        format!("{head}{entry}").replace("2026-11", "soon"),
        "x.yaml:5: `soon` is not a date",
        Some("write it as `2026-11`"),
    );
    check(
        format!("{head}{}", entry.replace("what: x", "what: x, disable: [{set: no value, verified: works}]")),
        "x.yaml:7: `no value` is not `NAME=value`",
        None,
    );
    check(
        "version: 2\nframeworks: []\n".into(),
        "x.yaml:1: version 2 is not known",
        Some("write `version: 1`"),
    );
}
