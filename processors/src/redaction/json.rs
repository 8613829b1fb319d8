//! Masks members of JSON text where it stands, without reading it into a tree. Everything else keeps its bytes. It reads
//! what programs log, whole or cut off, and does not validate it.

/// What becomes of a member's value.
pub enum Change {
    /// It stays; what is inside is looked at.
    Keep,
    /// It stays with all that is inside.
    KeepWhole,
    /// This takes its place, as a string: what stands between the quotes, with its escapes.
    Text(String),
}

/// A member's value as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Between its quotes, escapes as they stand.
    Text(&'a str),
    /// A number, `true`, `false` or `null`.
    Word(&'a str),
    /// An object or a list, with its brackets.
    Nested(&'a str),
}

/// How deep objects and lists are followed; what is deeper stays as it is.
const DEEPEST: usize = 64;

/// Shows each member of the object that `text` begins with, and of those inside, to `change`: the key of the object that
/// it is in, its own key, its value. Answers the new text, or `None` when nothing changed, with the place up to which it
/// was JSON. A value that the text ends in the middle of is shown as it is.
pub fn rewrite<'a>(
    text: &'a str,
    change: &mut dyn FnMut(&'a str, &'a str, Value<'a>) -> Change,
) -> (Option<String>, usize) {
    let mut rewriter = Rewriter { text, at: 0, out: String::new(), copied: 0, change };
    rewriter.blanks();
    let _ = rewriter.object("", DEEPEST);
    let (end, copied) = (rewriter.at.min(text.len()), rewriter.copied);
    if copied == 0 {
        return (None, end);
    }
    let mut out = rewriter.out;
    out.push_str(&text[copied..]);
    (Some(out), end)
}

struct Rewriter<'a, 'c> {
    text: &'a str,
    at: usize,
    out: String,
    /// What of the text is in `out`.
    copied: usize,
    change: &'c mut dyn FnMut(&'a str, &'a str, Value<'a>) -> Change,
}

impl<'a> Rewriter<'a, '_> {
    /// An object; `None` where the text is no JSON from here on, or ends.
    fn object(&mut self, name: &'a str, depth: usize) -> Option<()> {
        self.take(b'{')?;
        self.blanks();
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            self.blanks();
            let key = self.string()?;
            self.blanks();
            self.take(b':')?;
            self.blanks();
            self.member(name, key, depth)?;
            self.blanks();
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    fn member(&mut self, name: &'a str, key: &'a str, depth: usize) -> Option<()> {
        let start = self.at;
        let value = self.value();
        let (from, to) = (start, self.at);
        match (self.change)(name, key, value) {
            Change::KeepWhole => {}
            Change::Keep => {
                if let (Value::Nested(_), Some(depth)) = (value, depth.checked_sub(1)) {
                    self.at = start;
                    self.nested(key, depth)?;
                }
            }
            Change::Text(new) => {
                self.out.push_str(&self.text[self.copied..from]);
                self.out.push('"');
                self.out.push_str(&new);
                self.out.push('"');
                self.copied = to;
            }
        }
        Some(())
    }

    /// Looks into an object or a list.
    fn nested(&mut self, name: &'a str, depth: usize) -> Option<()> {
        if self.peek()? == b'{' {
            return self.object(name, depth);
        }
        self.take(b'[')?;
        loop {
            self.blanks();
            match self.peek()? {
                b']' => return self.take(b']'),
                b',' => self.at += 1,
                b'{' | b'[' if depth > 0 => self.nested(name, depth - 1)?,
                _ => drop(self.value()),
            }
        }
    }

    /// A value, or what there is of it.
    fn value(&mut self) -> Value<'a> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => match self.string() {
                Some(text) => Value::Text(text),
                None => Value::Text(self.rest(start + 1)),
            },
            Some(b'{' | b'[') => {
                if self.over().is_none() {
                    self.at = self.text.len();
                }
                Value::Nested(&self.text[start..self.at])
            }
            _ => {
                let bytes = &self.text.as_bytes()[start..];
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace();
                self.at += bytes.iter().position(ends).unwrap_or(bytes.len()).max(usize::from(!bytes.is_empty()));
                while !self.text.is_char_boundary(self.at) {
                    self.at += 1;
                }
                Value::Word(&self.text[start..self.at])
            }
        }
    }

    fn rest(&mut self, from: usize) -> &'a str {
        self.at = self.text.len();
        self.text.get(from..).unwrap_or_default()
    }

    /// Over an object or array, however deep.
    fn over(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            let bytes = self.text.as_bytes().get(self.at..)?;
            self.at += bytes.iter().position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))?;
            match self.text.as_bytes()[self.at] {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.text.as_bytes().get(self.at..)?)?;
            if self.text.as_bytes()[self.at] == b'"' {
                self.at += 1;
                return self.text.get(start..self.at - 1);
            }
            self.at += 2;
        }
    }

    fn blanks(&mut self) {
        let bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += bytes.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(bytes.len());
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}
