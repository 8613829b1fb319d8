//! A README as the binary reads it: what it says first, its tables of keys, its example.
//!
//! A table of keys has the columns key, type, default and what it does. Keys below another one stand in a table of their own
//! where the line before it names that one in backticks and ends with a colon, or in the same table with dots:
//! `` `keepalive.time` ``.

/// A README.
#[derive(Clone, Debug, Default)]
pub struct Readme {
    /// All of it.
    pub text: &'static str,
    /// What stands between the title and the first section, in plain text.
    pub about: String,
    /// The tables of keys.
    pub tables: Vec<Table>,
    /// The first block of YAML that is a whole config.
    pub example: Option<&'static str>,
}

/// A table of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The `##` section that it stands in.
    pub section: String,
    /// The keys that its keys stand below; one empty one for the body itself.
    pub under: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// The line of its first row, from 0, and how many there are.
    pub lines: (usize, usize),
}

/// What is said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, with dots below what the table stands below.
    pub key: String,
    /// What it is when the config says nothing, in Markdown.
    pub default: String,
    /// What it does, in Markdown.
    pub text: String,
}

impl Readme {
    /// Reads a README.
    pub fn read(text: &'static str) -> Readme {
        let lines: Vec<&str> = text.lines().collect();
        let is_section = |line: &str| line.starts_with("## ");
        let intro = lines.iter().skip(1).take_while(|line| !is_section(line)).copied().collect::<Vec<_>>().join("\n");
        let mut readme = Readme { text, about: plain(intro.trim()), example: example(text), ..Readme::default() };
        let (mut section, mut under) = (String::new(), vec![String::new()]);
        let mut n = 0;
        while n < lines.len() {
            let line = lines[n];
            if let Some(title) = line.strip_prefix("## ") {
                (section, under) = (title.trim().to_owned(), vec![String::new()]);
            } else if line.starts_with('`') && line.ends_with(':') {
                under = spans(line).into_iter().map(str::to_owned).collect();
            } else if line.starts_with("| key |") {
                let first = n + 2;
                let rows: Vec<Row> = lines[first.min(lines.len())..].iter().map_while(|line| Row::read(line)).collect();
                let count = rows.len();
                let under = std::mem::replace(&mut under, vec![String::new()]);
                readme.tables.push(Table { section: section.clone(), under, rows, lines: (first, count) });
                n = first + count;
                continue;
            } else if !line.trim().is_empty() {
                under = vec![String::new()];
            }
            n += 1;
        }
        readme
    }

    /// What a section's tables say of a key.
    pub fn row(&self, section: &str, path: &str) -> Option<&Row> {
        let tables = self.tables.iter().filter(|table| table.section == section);
        tables.flat_map(|t| t.under.iter().flat_map(move |u| t.rows.iter().map(move |row| (u, row)))).find_map(
            |(under, row)| {
                let rest =
                    if under.is_empty() { path } else { path.strip_prefix(under.as_str())?.strip_prefix('.')? };
                row.is_about(rest).then_some(row)
            },
        )
    }
}

impl Row {
    fn read(line: &str) -> Option<Row> {
        let inner = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
        let cells = cells(inner);
        let key = spans(cells.first()?).first().copied()?.to_owned();
        let (default, text) = match cells.as_slice() {
            [_, default, text] => (*default, (*text).to_owned()),
            [_, _, default, text @ ..] => (*default, text.join("|")),
            _ => return None,
        };
        Some(Row { key, default: default.to_owned(), text: text.trim().to_owned() })
    }

    /// Whether it is about this key, or about all that look like it: `*_sd_configs`.
    pub fn is_about(&self, key: &str) -> bool {
        self.key == key
            || self.key.contains("*_")
                && self.key.split_once('*').is_some_and(|(before, after)| {
                    let middle = key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    middle.is_some_and(|middle| !middle.contains('.'))
                })
    }

    /// The default as a config would write it, where it is a value.
    pub fn default_value(&self) -> Option<&str> {
        let inner = self.default.strip_prefix('`')?.strip_suffix('`')?;
        (!inner.contains('`')).then_some(inner)
    }

    /// Whether the key must be there.
    pub fn is_needed(&self) -> bool {
        self.default == "needed"
    }

    /// What it does, in plain text.
    pub fn about(&self) -> String {
        plain(&self.text)
    }
}

/// The cells of a row; bars in backticks are no ends.
fn cells(inner: &str) -> Vec<&str> {
    let mut cells = Vec::new();
    let (mut from, mut in_code) = (0, false);
    for (at, c) in inner.char_indices() {
        match c {
            '`' => in_code = !in_code,
            '|' if !in_code => {
                cells.push(inner[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    cells.push(inner[from..].trim());
    cells
}

/// What stands in backticks.
fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Markdown as plain text: links become their text.
pub fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut rest = markdown;
    while let Some(open) = rest.find('[') {
        let link = rest[open..].find(']').and_then(|close| {
            let after = &rest[open + close + 1..];
            let end = match after.chars().next()? {
                '(' => after.find(')')?,
                '[' => after.find(']')?,
                _ => return None,
            };
            Some((&rest[open + 1..open + close], &after[end + 1..]))
        });
        match link {
            Some((text, after)) => {
                out.push_str(&rest[..open]);
                out.push_str(text);
                rest = after;
            }
            None => {
                out.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    out.push_str(rest);
    // Stars in backticks are globs.
    out.split('`')
        .enumerate()
        .map(|(n, part)| if n % 2 == 0 { part.replace("**", "") } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("`")
}

fn example(text: &'static str) -> Option<&'static str> {
    let blocks = text.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.into_iter().find(|block| block.contains("\nservice:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "\
# thing

Does [things](../x.md) well.

## Config

| key | type | default | |
| --- | --- | --- | --- |
| `a` | text | `x` | says a |
| `b.c` | duration | needed | see [c][1], or `a|b` |
| `*_sd` | | | others |

`inner`, `other.[]` in words:

| key | type | default | |
| --- | --- | --- | --- |
| `d` | map | | |

## Example

```yaml
a: 1
```

```yaml
receivers:
service:
```
";

    #[test]
    fn tables_examples_and_the_first_words_are_found() {
        let readme = Readme::read(README);
        assert_eq!(readme.about, "Does things well.");
        assert_eq!(readme.example, Some("receivers:\nservice:\n"));
        let row = readme.row("Config", "a").expect("it is there");
        assert_eq!((row.default_value(), row.about().as_str()), (Some("x"), "says a"));
        let row = readme.row("Config", "b.c").expect("it is there");
        assert!(row.is_needed());
        assert_eq!(row.about(), "see c, or `a|b`");
        assert!(readme.row("Config", "aws_sd").is_some_and(|row| row.text == "others"));
        assert!(readme.row("Config", "inner.d").is_some() && readme.row("Config", "other.[].d").is_some());
        assert!(readme.row("Config", "d").is_none() && readme.row("Example", "a").is_none());
    }
}
