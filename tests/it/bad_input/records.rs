//! Records that cannot be read, one per fault, each with the reason by which it must be found; and their good neighbours.
//! The same for every door: HTTP, file and Kafka.

/// Reason and bytes; without newlines, so that each may be a line too.
pub(crate) fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let labels: Vec<String> = (0..65).map(|n| format!(r#""label{n}": "x""#)).collect();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("malformed_json", text(r#"{"labels": {"alertname": "CutOff"#)),
        // Larger than what is kept of a record that is too large: it must be kept whole all the same.
        (
            "malformed_json",
            text(&format!(r#"{{"labels": {{"alertname": "Long"}}, "annotations": "{}"#, "x".repeat(200_000))),
        ),
        ("wrong_shape", text("17")),
        ("no_labels", text(r#"{"labels": ["alertname", "List"]}"#)),
        ("label_not_text", text(r#"{"labels": {"alertname": "Number", "port": 8080}}"#)),
        ("unknown_status", text(r#"{"labels": {"alertname": "Perhaps"}, "status": "perhaps"}"#)),
        ("too_deep", deep(33)),
        ("invalid_utf8", b"{\"labels\": {\"alertname\": \"Latin-1: \xfc\"}}".to_vec()),
        ("too_many_labels", text(&format!(r#"{{"labels": {{{}}}}}"#, labels.join(", ")))),
        (
            "too_large",
            text(&format!(
                r#"{{"labels": {{"alertname": "Huge"}}, "annotations": {{"a": "{}"}}}}"#,
                "x".repeat(1 << 20)
            )),
        ),
    ]
}

/// An alert in which something unknown is nested so that the record has this many levels.
pub(crate) fn deep(levels: usize) -> Vec<u8> {
    let inner = levels - 1;
    format!(r#"{{"labels": {{"alertname": "Deep{levels}"}}, "more": {}{}}}"#, "[".repeat(inner), "]".repeat(inner))
        .into_bytes()
}

/// Alerts that can be read; those at the end have times that cannot be used, `N_UNUSABLE` in all.
pub(crate) fn good() -> Vec<Vec<u8>> {
    let alert = |name: &str, more: &str| format!(r#"{{"labels": {{"alertname": "{name}"}}{more}}}"#).into_bytes();
    vec![
        alert("First", ""),
        deep(32),
        alert("Middle", r#", "status": "firing", "startsAt": "2026-01-01T00:00:00Z""#),
        alert("NoTime", r#", "startsAt": "yesterday""#),
        alert("NoTimes", r#", "startsAt": 17, "endsAt": "soon""#),
    ]
}

/// Times in `good` that cannot be used.
pub(crate) const N_UNUSABLE: u64 = 3;

/// Good and bad ones in turn: a bad one between two good ones and the other way round.
pub(crate) fn mixed() -> Vec<Vec<u8>> {
    let (mut good, mut bad) = (good().into_iter(), bad().into_iter().map(|(_, bytes)| bytes));
    let mut all = Vec::new();
    loop {
        let (one, other) = (good.next(), bad.next());
        if one.is_none() && other.is_none() {
            return all;
        }
        all.extend(one.into_iter().chain(other));
    }
}

/// What is kept of a bad record.
pub(crate) fn kept(bytes: &[u8]) -> &[u8] {
    if bytes.len() > 1 << 20 { &bytes[..64 << 10] } else { bytes }
}
