//! What a stored batch needs beside its bytes: which front it came through, and what is known about its sender.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use crate::batch::Metadata;

/// What no header's name begins with.
const IDENTITY: &str = ":identity.";

/// The note of a batch.
pub(super) fn write(lane: usize, meta: Option<&Arc<Metadata>>) -> Bytes {
    let mut out = Vec::new();
    out.put_u32_le(u32::try_from(lane).unwrap_or(u32::MAX));
    if let Some(meta) = meta {
        text(&mut out, meta.peer.as_deref().unwrap_or_default());
        for (name, value) in &meta.headers {
            text(&mut out, name);
            text(&mut out, value);
        }
        for (name, value) in &meta.identity {
            text(&mut out, &format!("{IDENTITY}{name}"));
            text(&mut out, value);
        }
    }
    out.into()
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.put_slice(text.as_bytes());
}

/// What a note says; of one that cannot be read, what can.
pub(super) fn read(mut note: Bytes) -> (usize, Option<Arc<Metadata>>) {
    let lane = note.try_get_u32_le().map_or(0, |lane| lane as usize);
    let Some(peer) = next_text(&mut note) else { return (lane, None) };
    let mut meta = Metadata { peer: Some(peer).filter(|peer| !peer.is_empty()), ..Metadata::default() };
    while let (Some(name), Some(value)) = (next_text(&mut note), next_text(&mut note)) {
        match name.strip_prefix(IDENTITY) {
            Some(name) => meta.identity.push((name.to_owned(), value)),
            None => meta.headers.push((name, value)),
        }
    }
    (lane, Some(Arc::new(meta)))
}

fn next_text(note: &mut Bytes) -> Option<String> {
    let len = note.try_get_u32_le().ok()? as usize;
    let text = (len <= note.len()).then(|| note.split_to(len))?;
    String::from_utf8(text.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_was_written() {
        let headers = vec![("x-tenant".to_owned(), "a".to_owned()), ("x-empty".to_owned(), String::new())];
        let identity = vec![("username".to_owned(), "ada".to_owned())];
        let full = Metadata { headers, peer: Some("10.0.0.1:5".to_owned()), identity };
        for meta in [None, Some(full), Some(Metadata::default())] {
            let meta = meta.map(Arc::new);
            let note = write(7, meta.as_ref());
            assert_eq!(read(note.clone()), (7, meta));
            // Whatever is left of it says something.
            (0..note.len()).for_each(|len| drop(read(note.slice(..len))));
        }
    }
}
