//! Text in pages for people.

/// The text, with what would mean something in HTML written so that it does not, in elements and in attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_means_anything_in_html() {
        assert_eq!(escaped("<a href='x'>\"é\" & co</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;é&quot; &amp; co&lt;/a&gt;");
    }
}
