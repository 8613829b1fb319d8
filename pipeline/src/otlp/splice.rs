//! Rewrites a request by a list of patches: what no patch touches is copied in runs, and the lengths of the messages
//! around a patch are corrected with minimal varints. One pass to look, one copy at the end.

use bytes::Bytes;

use super::wire::Field;
use super::write::Writer;

/// The patches found so far, in the order of their places.
pub(super) struct Splice<'a> {
    input: &'a [u8],
    patches: Vec<Patch>,
    inserted: Writer,
    added: usize,
    removed: usize,
}

/// Bytes `at..at + remove` of the input become bytes `from..to` of the inserted ones.
#[derive(Clone, Copy)]
struct Patch {
    at: usize,
    remove: usize,
    from: usize,
    to: usize,
}

/// A message that is being looked into.
#[must_use = "leave or drop the message"]
pub(super) struct Inside {
    patch: usize,
    added: usize,
    removed: usize,
    field_at: usize,
    field_len: usize,
    body_len: usize,
}

impl<'a> Splice<'a> {
    pub(super) fn new(input: &'a [u8]) -> Splice<'a> {
        Splice { input, patches: Vec::new(), inserted: Writer::new(), added: 0, removed: 0 }
    }

    /// Where a part of the input stands in it.
    #[inline]
    fn offset(&self, part: &[u8]) -> usize {
        part.as_ptr().addr() - self.input.as_ptr().addr()
    }

    /// Begins to look into the message in `field`, whose inside is `body`.
    #[inline]
    pub(super) fn enter(&mut self, field: &Field<'a>, body: &'a [u8]) -> Inside {
        let inside = Inside {
            patch: self.patches.len(),
            added: self.added,
            removed: self.removed,
            field_at: self.offset(field.raw),
            field_len: field.raw.len(),
            body_len: body.len(),
        };
        // A place for the new length, which is known when the message is left.
        self.patches.push(Patch { at: inside.field_at, remove: 0, from: 0, to: 0 });
        inside
    }

    /// Ends it, and corrects its length where patches inside changed it.
    #[inline]
    pub(super) fn leave(&mut self, inside: &Inside) {
        if self.patches.len() == inside.patch + 1 {
            self.patches.pop();
        } else {
            self.correct_length(inside);
        }
    }

    fn correct_length(&mut self, inside: &Inside) {
        let len = inside.body_len + (self.added - inside.added) - (self.removed - inside.removed);
        if len == inside.body_len {
            return;
        }
        let prefix = inside.field_len - inside.body_len;
        let key = self.input[inside.field_at..].iter().position(|b| *b < 0x80).map_or(prefix, |last| last + 1);
        let from = self.inserted.len();
        self.inserted.raw_varint(len as u64);
        let to = self.inserted.len();
        self.patches[inside.patch] = Patch { at: inside.field_at + key, remove: prefix - key, from, to };
        self.added += to - from;
        self.removed += prefix - key;
    }

    /// Ends it, and takes back the patches inside.
    pub(super) fn forget(&mut self, inside: &Inside) {
        self.patches.truncate(inside.patch);
        self.added = inside.added;
        self.removed = inside.removed;
    }

    /// Ends it, and takes the whole message away.
    pub(super) fn drop(&mut self, inside: &Inside) {
        self.forget(inside);
        self.remove_at(inside.field_at, inside.field_len);
    }

    /// Takes away a part of the input, behind all parts patched before.
    #[inline]
    pub(super) fn remove(&mut self, part: &'a [u8]) {
        self.remove_at(self.offset(part), part.len());
    }

    #[inline]
    fn remove_at(&mut self, at: usize, len: usize) {
        self.removed += len;
        match self.patches.last_mut() {
            Some(last) if last.from == last.to && last.remove > 0 && last.at + last.remove == at => last.remove += len,
            _ => self.patches.push(Patch { at, remove: len, from: 0, to: 0 }),
        }
    }

    /// Puts bytes in the place of a part of the input, behind all parts patched before. An empty part is a place to
    /// insert at.
    #[inline]
    pub(super) fn insert(&mut self, part: &'a [u8], bytes: &[u8]) {
        let from = self.inserted.len();
        self.inserted.raw(bytes);
        self.insert_written(part, from, self.inserted.len());
    }

    /// The same with what stands at `from..to` in the writer that was lent.
    #[inline]
    pub(super) fn insert_written(&mut self, part: &'a [u8], from: usize, to: usize) {
        self.added += to - from;
        self.removed += part.len();
        self.patches.push(Patch { at: self.offset(part), remove: part.len(), from, to });
    }

    /// The writer of what is inserted, to be swapped back: so what is written there need not be copied.
    #[inline]
    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.inserted
    }

    /// The patched input, or `None` when nothing was patched.
    pub(super) fn finish(self) -> Option<Bytes> {
        if self.patches.is_empty() {
            return None;
        }
        let inserted = self.inserted.as_slice();
        let mut out = Vec::with_capacity(self.input.len() + self.added - self.removed);
        let mut done = 0;
        for patch in &self.patches {
            out.extend_from_slice(&self.input[done..patch.at]);
            out.extend_from_slice(&inserted[patch.from..patch.to]);
            done = patch.at + patch.remove;
        }
        out.extend_from_slice(&self.input[done..]);
        Some(Bytes::from(out))
    }
}
