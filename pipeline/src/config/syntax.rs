//! What a YAML parser complains of, in words for the person who wrote the text.

/// The character at a place, both from 1.
pub fn character(text: &str, line: u32, column: u32) -> Option<char> {
    text.lines().nth(line.checked_sub(1)? as usize)?.chars().nth(column.checked_sub(1)? as usize)
}

/// What is wrong, and what would work: of the parser's own words, the line (from 1) that it stopped in, and the bracket
/// that is open there.
pub fn taught(complaint: &str, text: &str, line: usize, bracket: Option<char>) -> (String, Option<&'static str>) {
    let has = |part: &str| complaint.contains(part);
    let before =
        text.lines().take(line.saturating_sub(1)).filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
    let above = before.last().unwrap_or_default();
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indentation = line.len() - line.trim_start().len();
    let (wrong, works) = if has("tab") && (has("disallowed") || has("indentation") || has("start with")) {
        ("a tab where only blanks can stand", "indent with blanks, two for each level")
    } else if line[..indentation].contains('\t') {
        ("a tab in the indentation", "indent with blanks, two for each level")
    } else if line.contains("${") && (has("flow mapping") || has("flow sequence")) {
        ("inside of {…} and […], the braces of ${…} are read as YAML's", "write the ${…} in quotes: \"${env:NAME}\"")
    } else if has("flow sequence") {
        ("a list that begins with [ does not end, or lacks a comma", "write [a, b]")
    } else if has("flow mapping") {
        ("a map that begins with { does not end, or lacks a comma", "write {key: value, other: value}")
    } else if has("misplaced bracket") {
        ("a closing bracket that closes nothing", "take it away, or open it before")
    } else if has("mapping values are not allowed") || has("illegal placement of ':'") {
        match bracket {
            Some('[') => ("a list that begins with [ does not end, or lacks a comma", "write [a, b]"),
            Some('{') => {
                ("a map that begins with { does not end, or lacks a comma", "write {key: value, other: value}")
            }
            _ if line.matches(": ").count() > 1 => ("a second `: ` in one line", "text with `: ` in it needs quotes"),
            _ if lacks_a_blank(above) => (
                "no key can stand here, because the line above is a text",
                "write a blank behind the colon of the line above: `key: value`",
            ),
            _ if !above.contains(':') => (
                "no key can stand here, because the line above is a text",
                "write a colon behind the key of the line above: `key:`",
            ),
            _ => (
                "a colon where no key can stand",
                "text with `: ` in it needs quotes; a key starts in the column of the keys beside it",
            ),
        }
    } else if has("block mapping, did not find expected key") {
        (
            "this line is no key of the map that it stands in",
            "the keys of a map start in the same column, each with `: ` behind it",
        )
    } else if has("expected '-' indicator") || has("block sequence entries are not allowed") {
        ("this line is no entry of a list here", "the entries of a list start with `- `, in the same column")
    } else if has("simple key") {
        ("a key without its colon", "write `key: value`, with a blank behind the colon")
    } else if has("unknown anchor") {
        ("there is no anchor of this name above", "an anchor is written `&name`, and before the `*name` that uses it")
    } else if has("duplicated anchor") {
        ("a value has two anchors", "keep one of them")
    } else if has("quoted scalar, found unexpected end") || has("quoted scalar, found unexpected document") {
        ("a text in quotes does not end", "close it with the quote that it began with")
    } else if has("trailing content after") {
        ("something stands behind the closing quote", "put all of the text into the quotes")
    } else if has("escape") || has("hexadecimal") {
        (
            "in double quotes a \\ begins an escape, and this is none",
            "write it in single quotes, as regular expressions and paths should be, or write \\\\",
        )
    } else if has("unexpected character") || has("cannot start") {
        ("a text cannot begin with this character", "write it in quotes")
    } else if has("unprintable") || has("byte order mark") {
        ("a character that cannot stand in YAML", "save the file as plain UTF-8 text")
    } else if has("node content") || has("unexpected eof") || has("end of plain scalar") {
        ("a value is missing", "write one, or nothing at all behind the colon")
    } else if has("invalid indentation") || has("wrongly indented") {
        ("the indentation is none of those above", "a line belongs to the lines above that start in its column")
    } else if has("block scalar") {
        ("behind | and > nothing else can stand", "begin the text in the next line, indented")
    } else if has("recursion") {
        ("nested too deep", "a config needs no more than a few levels")
    } else if has("document") || has("directive") {
        ("not one YAML document", "a config has no lines that begin with % or ---")
    } else {
        return (format!("not valid YAML: {complaint}"), None);
    };
    (format!("not valid YAML: {wrong}"), Some(works))
}

/// Whether a line is `key:value`, which is no key and value for YAML.
fn lacks_a_blank(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '-']);
    text.split_once(':')
        .is_some_and(|(key, value)| !value.is_empty() && !value.starts_with(' ') && !key.contains([' ', '"', '\'']))
}
