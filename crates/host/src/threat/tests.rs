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
    let finding =
        Finding { id: HOSTILE.into(), title: HOSTILE.into(), status: "fail".into(), seen: HOSTILE.into() };
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
fn each_boundary_that_is_crossed_has_threats() {
    let boundaries = |model: &Model| {
        let mut all: Vec<Boundary> = model.threats.iter().map(|row| row.boundary).collect();
        all.dedup();
        all
    };
    let text = "version: 1\nnetwork_policy:\n  workload:\n    - {destination: 10.0.0.1:443, plane: control, purpose: x}\n";
    let model = Model::of(&Policy::parse(text, "p").unwrap(), None, None);
    assert_eq!(boundaries(&model), Boundary::ALL);
}

#[test]
fn a_report_of_an_audit_is_read_and_anything_else_refused() {
    let report =
        r#"{"outcomes":[{"id":"a","title":"t","status":"fail","seen":"s"},{"id":"b","status":"pass"}]}"#;
    assert_eq!(findings(report).unwrap().len(), 1);
    assert_eq!(findings("{}"), Err(AuditError::Other));
    assert!(matches!(findings("{"), Err(AuditError::Json(_))));
}
