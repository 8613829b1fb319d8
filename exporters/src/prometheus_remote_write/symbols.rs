//! The texts of a batch, each once: remote write 2.0 says labels by their place in a table of symbols.

use super::hash::Hash;

/// A place in the table; 0 is the empty text.
pub type Symbol = u32;

/// Texts in the order in which they came, and how to find them.
pub struct Symbols {
    hash: Hash,
    texts: String,
    /// Where each text ends.
    ends: Vec<usize>,
    /// Symbols by hash, open addressing; 0 is free. A power of two of them.
    slots: Vec<Symbol>,
}

impl Default for Symbols {
    fn default() -> Symbols {
        Symbols { hash: Hash::default(), texts: String::new(), ends: vec![0], slots: vec![0; 1024] }
    }
}

impl Symbols {
    /// The text's symbol, a new one where it has none yet.
    #[allow(clippy::cast_possible_truncation, reason = "a batch has far less than 2^32 texts")]
    pub fn intern(&mut self, text: &str) -> Symbol {
        if text.is_empty() {
            return 0;
        }
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.find(text);
        if self.slots[slot] == 0 {
            self.slots[slot] = self.ends.len() as Symbol;
            self.texts.push_str(text);
            self.ends.push(self.texts.len());
        }
        self.slots[slot]
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        if self.ends.len() > 1 {
            self.texts.clear();
            self.ends.truncate(1);
            self.slots.fill(0);
        }
    }

    /// What a symbol stands for.
    pub fn text(&self, symbol: Symbol) -> &str {
        let at = symbol as usize;
        if at == 0 { "" } else { &self.texts[self.ends[at - 1]..self.ends[at]] }
    }

    /// All symbols, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The slot of a text, or the free one where it belongs.
    #[allow(clippy::cast_possible_truncation, reason = "the hash is cut to the table")]
    fn find(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hash.of(text.as_bytes()) as usize & mask;
        while self.slots[slot] != 0 && self.text(self.slots[slot]) != text {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[allow(clippy::cast_possible_truncation, reason = "a batch has far less than 2^32 texts")]
    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for symbol in 1..self.ends.len() as Symbol {
            let slot = self.find(self.text(symbol));
            self.slots[slot] = symbol;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_symbol_and_the_empty_one_is_first() {
        let mut symbols = Symbols::default();
        assert_eq!(symbols.intern(""), 0);
        let all: Vec<_> = (0..5000).map(|i| symbols.intern(&format!("text {i}"))).collect();
        assert_eq!(all, (1..=5000).collect::<Vec<_>>());
        for (i, symbol) in all.into_iter().enumerate() {
            assert_eq!(symbols.text(symbol), format!("text {i}"));
            assert_eq!(symbols.intern(&format!("text {i}")), symbol);
        }
        assert_eq!((symbols.len(), symbols.text(0)), (5001, ""));
    }
}
