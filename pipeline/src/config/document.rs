//! Documents that are not the config itself, such as lists of targets that somebody else writes: YAML or JSON to a typed
//! value, strictly.

use serde::de::DeserializeOwned;

use super::decode::{Body, Notes, decode};
use super::parse::parse;
use super::report::Severity;

/// Reads a document. An empty one is `T`'s default.
///
/// # Errors
/// Everything that is wrong with it, in one text.
pub fn read_document<T: DeserializeOwned + Default>(contents: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(contents).map_err(|_| "it is not UTF-8".to_owned())?;
    let joined = |messages: Vec<&str>| messages.join("; ");
    let mut node = parse(text, 0).map_err(|all| joined(all.iter().map(|d| d.message.as_str()).collect()))?;
    if node.is_null() {
        return Ok(T::default());
    }
    node.number();
    let mut notes = Notes::default();
    let value = decode(&Body { path: "document", at: node.at, node: &node, removed: &[] }, &mut notes);
    let errors = notes.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let errors = joined(errors.map(|d| d.message.as_str()).collect());
    if errors.is_empty() { value.ok_or_else(|| "it cannot be read".to_owned()) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read_and_what_is_wrong_is_said() {
        assert_eq!(read_document(b"[1, 2]"), Ok(vec![1, 2]));
        assert_eq!(read_document(b"- 1\n- 2\n"), Ok(vec![1, 2]));
        assert_eq!(read_document(b"# nothing yet\n"), Ok(Vec::<i64>::new()));
        assert!(read_document::<Vec<i64>>(b"[1, a]").unwrap_err().contains("'document[1]'"));
        assert!(read_document::<Vec<i64>>(b"[1").is_err());
        assert!(read_document::<Vec<i64>>(b"\xff").is_err());
    }
}
