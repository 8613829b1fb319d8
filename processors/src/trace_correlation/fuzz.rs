//! Entry point for fuzzing and property tests: any text as the body of a log record. It panics when what is found in it is
//! not what it must be.

use pipeline::otlp::view::AnyValue;

use super::ids::{Lacks, Said};

/// Any bytes as a line: what is found stands in it in its exact shape, and what the quick look rules out is not found.
///
/// # Panics
/// When that does not hold.
pub fn line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut said = Said::default();
    said.body(AnyValue::Text(&text)).expect("a text is never malformed");
    if let Some(trace) = said.trace {
        let hex: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(trace != [0; 16] && text.to_ascii_lowercase().contains(&hex), "{hex} is not in {text:?}");
    }
    for request in [said.request, said.client_request].into_iter().flatten() {
        assert!(!request.is_empty() && text.contains(request), "{request:?} is not in {text:?}");
    }
    let is_found = |lacks: Lacks| lacks.may_be_in(text.as_bytes());
    assert!(said.trace.is_none() || is_found(Lacks { trace: true, request: false }), "{text:?}");
    assert!(!said.has_request() || is_found(Lacks { trace: false, request: true }), "{text:?}");
}
