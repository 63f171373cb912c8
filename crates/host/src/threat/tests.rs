use super::*;

const HOSTILE: &str =
    "</text><script>alert(1)</script>|`x`](javascript:alert(1))\"]; click agent \\u001b[31m \\u202e";

fn hostile() -> Model {
    let text = format!(
        "version: 1\nagent: \"{0}\"\nnetwork_policy:\n  workload:\n    - {{destination: a.test:443, plane: tool, purpose: \"{0}\"}}\nfilesystem: {{write: [\"./{1}\"]}}\n",
        HOSTILE.replace('"', "\\\""),
        "<b>&'|"
    );
    let policy = Policy::parse(&text, HOSTILE).unwrap();
    let finding = Finding {
        id: HOSTILE.into(),
        area: HOSTILE.into(),
        title: HOSTILE.into(),
        status: "fail".into(),
        seen: HOSTILE.into(),
    };
    Model::of(&policy, None, Some(&[finding]))
}

#[test]
fn hostile_text_stays_text() {
    let model = hostile();
    let hidden = |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    let svg = model.svg();
    assert!(!svg.contains("<script") && !svg.contains("</text><") && !hidden(&svg), "{svg}");
    assert!(svg.contains("&lt;/text&gt;"));
    let mermaid = model.mermaid();
    assert!(!hidden(&mermaid) && !mermaid.contains("<script"), "{mermaid}");
    for line in mermaid.lines() {
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
    }
    let markdown = model.markdown();
    assert!(
        !markdown.contains("<script") && !markdown.contains("](javascript") && !hidden(&markdown),
        "{markdown}"
    );
    // each row of a table has as many cells as its head
    for line in
        markdown.lines().filter(|line| line.starts_with("| spoofing") || line.starts_with("| elevation"))
    {
        let bars = line.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 6, "{line}");
    }
    assert!(!hidden(&model.text()));
}

#[test]
fn every_row_has_a_proof_or_says_what_remains() {
    for model in [hostile(), Model::of(&Policy::deny_all(), None, None)] {
        for row in &model.threats {
            assert!(!row.proofs.is_empty() || !row.remains.is_empty(), "{row:?}");
        }
    }
}

#[test]
fn every_boundary_answers_for_every_kind_of_threat() {
    let text = "version: 1\nnetwork_policy:\n  workload:\n    - {destination: 10.0.0.1:443, plane: control, purpose: x}\n";
    for policy in [Policy::parse(text, "p").unwrap(), Policy::deny_all()] {
        let model = Model::of(&policy, None, None);
        for boundary in Boundary::ALL {
            for kind in Kind::ALL {
                let rows = model.threats.iter().filter(|row| (row.boundary, row.kind) == (boundary, kind));
                assert!(rows.count() > 0, "{boundary:?} {kind:?}");
            }
        }
        for name in ["WORKLOAD", "KERNEL", "RUNTIME", "HOST MANAGEMENT", "CONTROLLER", "INTERNET"] {
            assert!(model.svg().contains(&format!(">{name}<")), "{name}");
        }
    }
}

#[test]
fn what_an_audit_could_not_tell_is_not_told_as_a_finding() {
    let finding = |status: &str| Finding {
        id: "a".into(),
        area: "disks".into(),
        title: "the disk is encrypted".into(),
        status: status.into(),
        seen: "s".into(),
    };
    let model = Model::of(&Policy::deny_all(), None, Some(&[finding("fail"), finding("unknown")]));
    let rows: Vec<_> = model.threats.iter().filter(|row| row.threat.starts_with("host: ")).collect();
    let told: Vec<&str> = rows.iter().map(|row| row.threat.as_str()).collect();
    assert_eq!(told, ["host: not so: the disk is encrypted", "host: cannot be told: the disk is encrypted"]);
    assert!(rows.iter().all(|row| row.kind == Kind::Tampering));
    assert!(model.svg().contains("audit: 1 not so, 1 unknown"));
}

#[test]
fn what_leaves_most_open_is_drawn_first() {
    let mut text = "version: 1\nnetwork_policy:\n  workload:\n".to_owned();
    for index in 0..30 {
        text.push_str(&format!(
            "    - {{destination: \"h{index}.example.com:443\", plane: tool, purpose: x}}\n"
        ));
    }
    text.push_str("    - {destination: \"*.wide.example.com:443\", plane: tool, purpose: x}\n");
    text.push_str("    - {destination: \"clear.example.com:80\", protocol: TCP, plane: tool, purpose: x}\n");
    let svg = Model::of(&Policy::parse(&text, "p").unwrap(), None, None).svg();
    let place = |name: &str| svg.find(name).unwrap();
    assert!(place("clear.example.com") < place("*.wide.example.com"));
    assert!(place("*.wide.example.com") < place("h0.example.com"));
}

#[test]
fn a_report_of_an_audit_is_read_and_anything_else_refused() {
    let report =
        r#"{"outcomes":[{"id":"a","title":"t","status":"fail","seen":"s"},{"id":"b","status":"pass"}]}"#;
    assert_eq!(findings(report).unwrap().len(), 1);
    assert_eq!(findings("{}"), Err(AuditError::Other));
    assert!(matches!(findings("{"), Err(AuditError::Json(_))));
}
