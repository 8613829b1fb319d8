//! Large buffers that are used again. The allocator gives the pages of what is freed back to the operating system, and to
//! get them anew costs more than most of what is done with them: whoever needs a megabyte every now and then keeps it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Smaller ones are the allocator's business.
const LEAST_BYTES: usize = 64 << 10;
/// All that are kept together have at most so many bytes.
const MOST_BYTES: usize = 4 << 20;

/// A few buffers of one component. Clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// An empty buffer with room for so many bytes: of those that are kept the smallest that is large enough.
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes >= LEAST_BYTES {
            let mut kept = self.kept();
            let fits = kept.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= bytes);
            if let Some((at, _)) = fits.min_by_key(|(_, buffer)| buffer.capacity()) {
                return kept.swap_remove(at);
            }
            // The next one will not need just as much.
            return Vec::with_capacity(bytes.next_multiple_of(LEAST_BYTES));
        }
        Vec::with_capacity(bytes)
    }

    /// Keeps a buffer, unless there is no room for it.
    pub fn keep(&self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes < LEAST_BYTES {
            return;
        }
        buffer.clear();
        let mut kept = self.kept();
        if kept.iter().map(Vec::capacity).sum::<usize>() + bytes <= MOST_BYTES {
            kept.push(buffer);
        }
    }

    /// A buffer as bytes; it is kept when the last handle on them is dropped.
    pub fn lend(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < LEAST_BYTES {
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.keep(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: usize = 1 << 20;

    #[test]
    fn what_was_lent_is_used_again_when_nobody_has_it_any_more() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(ONE);
        buffer.extend_from_slice(b"first");
        let place = buffer.as_ptr();
        let lent = buffers.lend(buffer);
        let slice = lent.slice(1..);
        drop(lent);
        assert!(buffers.kept().is_empty());
        assert_eq!(slice, "irst");
        drop(slice);
        let again = buffers.take(ONE / 2);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, ONE));
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_taken_and_few_are_kept() {
        let buffers = Buffers::default();
        for bytes in [3 * ONE, ONE, 2 * ONE, 100] {
            buffers.keep(Vec::with_capacity(bytes));
        }
        assert_eq!(buffers.kept().iter().map(Vec::capacity).collect::<Vec<_>>(), [3 * ONE, ONE]);
        assert_eq!(buffers.take(ONE / 2).capacity(), ONE);
        assert_eq!(buffers.take(4 * ONE).capacity(), 4 * ONE, "none is large enough");
        assert_eq!(buffers.take(100).capacity(), 100);
        assert_eq!(buffers.take(ONE).capacity(), 3 * ONE);
    }
}
