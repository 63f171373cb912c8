//! The model in words: Mermaid, Markdown, and text for a terminal.

use std::fmt::Write as _;

use claw_model::plane::Plane;

use super::diagram::Diagram;
use super::escape::{markdown as safe, mermaid as label, shown};
use super::kinds::Boundary;
use super::{Model, Threat};

pub(super) fn mermaid(diagram: &Diagram) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let mut push = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    push("  subgraph workload [\"workload: hostile\"]".into());
    push("    agent[\"agent and all it starts\"]".into());
    push("    init[\"init: process 1\"]".into());
    push("  end".into());
    push("  subgraph kernel [\"kernel: trusted, enforces\"]".into());
    push("    walls{{\"namespaces, nf_tables, Landlock, seccomp, mounts\"}}".into());
    push("  end".into());
    push("  subgraph runtime [\"runtime: trusted, no capabilities\"]".into());
    push("    gate[\"gate: DNS, decision, dialling\"]".into());
    push("    supervisor[\"supervisor\"]".into());
    push("  end".into());
    push("  subgraph management [\"host management\"]".into());
    push("    operator[/\"operator\"/]".into());
    push(format!("    policy[(\"policy {}\")]", label(&diagram.policy)));
    push("    ledger[(\"ledger: hash chain\")]".into());
    let writable = if diagram.writable.is_empty() {
        "nothing is writable".to_owned()
    } else {
        diagram.writable.iter().map(|path| label(path)).collect::<Vec<_>>().join(", ")
    };
    push(format!("    workspace[(\"workspace: {writable}\")]"));
    if let Some(lines) = &diagram.firewall {
        let lines: Vec<String> = lines.iter().map(|line| label(line)).collect();
        push(format!("    firewall{{{{\"host firewall: {}\"}}}}", lines.join("; ")));
    }
    push("  end".into());
    let controlled = diagram.groups.first().is_some_and(|group| group.plane == Plane::Control);
    push("  subgraph controller [\"controller: believed only as far as its rule\"]".into());
    if !controlled {
        push("    nobody[\"no rule of the control plane\"]".into());
        push("  end".into());
        push("  subgraph internet [\"internet: not trusted\"]".into());
    }
    for (index, group) in diagram.groups.iter().enumerate() {
        if controlled && index == 1 {
            push("  end".into());
            push("  subgraph internet [\"internet: not trusted\"]".into());
        }
        let hosts: Vec<String> = group
            .hosts
            .iter()
            .take(SHOWN)
            .map(|host| label(&format!("{} {} {}", host.destination, host.protocol, host.assurance)))
            .collect();
        let more = group.hosts.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!("<br/>and {more} more") } else { String::new() };
        push(format!("    plane{index}[\"{}<br/>{}{more}\"]", group.plane, hosts.join("<br/>")));
    }
    if controlled && diagram.groups.len() == 1 {
        push("  end".into());
        push("  subgraph internet [\"internet: not trusted\"]".into());
    }
    if diagram.resolves {
        push("    resolver[\"name servers of the host\"]".into());
    }
    if diagram.groups.is_empty() {
        push("    nothing[\"nothing: no rule opens anything\"]".into());
    }
    push("  end".into());
    for line in [
        "agent -- \"DNS questions, connections, calls\" --> walls",
        "walls -- \"live pairs only; refusals are logged\" --> gate",
        "supervisor -- \"orders\" --> init",
        "init -- \"starts, signals\" --> agent",
        "supervisor -- \"policy and phase\" --> gate",
        "policy -- \"read once, then only as accepted\" --> supervisor",
        "gate -- \"each decision, before it takes effect\" --> ledger",
        "walls -- \"files, as far as listed\" --> workspace",
        "operator -- \"writes and accepts\" --> policy",
    ] {
        push(format!("  {line}"));
    }
    for (index, group) in diagram.groups.iter().enumerate() {
        push(format!("  gate -- \"{}\" --> plane{index}", group.plane));
    }
    if diagram.resolves {
        push("  gate -- \"permitted names\" --> resolver".into());
    }
    text
}

pub(super) fn markdown(model: &Model) -> String {
    let mut text = format!(
        "# Threat model: {}\n\n## Data flow\n\n```mermaid\n{}```\n\n",
        safe(&model.title),
        mermaid(&model.diagram)
    );
    text.push_str("| Plane | Destination | Protocol | Assurance | Phase | Purpose | Rule |\n|---|---|---|---|---|---|---|\n");
    for group in &model.diagram.groups {
        for host in &group.hosts {
            let cells =
                [&host.destination, &host.protocol, &host.assurance, &host.phases, &host.purpose, &host.rule];
            let cells: Vec<String> = cells.iter().map(|cell| safe(cell)).collect();
            let _ = writeln!(text, "| {} | {} |", group.plane, cells.join(" | "));
        }
    }
    text.push_str("\n## Threats\n");
    for boundary in Boundary::ALL {
        let rows: Vec<&Threat> = model.threats.iter().filter(|threat| threat.boundary == boundary).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n### {}\n\n| Kind | Threat | Control | Test | Remains |\n|---|---|---|---|---|",
            safe(boundary.sides())
        );
        for row in rows {
            let proofs: Vec<String> =
                row.proofs.iter().map(|proof| format!("[{}]({})", safe(proof.name), proof.path)).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                row.kind.name(),
                safe(&row.threat),
                safe(&row.control),
                or_none(&proofs.join(", ")),
                or_none(&safe(&row.remains)),
            );
        }
    }
    text.push_str("\n## Assumptions\n\n| Assumed | If not |\n|---|---|\n");
    for one in &model.assumptions {
        let _ = writeln!(text, "| {} | {} |", safe(one.holds), safe(one.otherwise));
    }
    text
}

pub(super) fn text(model: &Model) -> String {
    let mut text = format!("threat model of {}\n\n", shown(&model.title));
    for group in &model.diagram.groups {
        let _ = writeln!(text, "{}", group.plane);
        for host in &group.hosts {
            let _ = writeln!(
                text,
                "  {:<44} {:<9} {:<7} {:<10} {}",
                shown(&host.destination),
                host.protocol,
                host.assurance,
                host.phases,
                shown(&host.purpose)
            );
        }
    }
    for boundary in Boundary::ALL {
        let rows: Vec<&Threat> = model.threats.iter().filter(|threat| threat.boundary == boundary).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{}", boundary.sides());
        for row in rows {
            let _ = writeln!(text, "  {:<18} {}", row.kind.name(), shown(&row.threat));
            let _ = writeln!(text, "  {:<18} control: {}", "", shown(&row.control));
            for proof in &row.proofs {
                let _ = writeln!(text, "  {:<18} test: {} {}", "", proof.path, proof.name);
            }
            if !row.remains.is_empty() {
                let _ = writeln!(text, "  {:<18} remains: {}", "", shown(&row.remains));
            }
        }
    }
    text.push_str("\nall of this assumes that\n");
    for one in &model.assumptions {
        let _ = writeln!(text, "  {}\n    if not: {}", one.holds, one.otherwise);
    }
    text
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

/// Destinations of a plane that a Mermaid picture names.
const SHOWN: usize = 8;
