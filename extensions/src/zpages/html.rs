//! HTML of headings, texts and tables. Everything that is put in is escaped.

use std::fmt::Write;

use pipeline::telemetry::html::escaped;

const STYLE: &str = "body{font-family:sans-serif;margin:1.5em}table{border-collapse:collapse;margin:1em 0}\
td,th{border:1px solid #bbb;padding:.3em .6em;text-align:left;vertical-align:top}nav a{margin-right:1em}";

/// A page being written.
pub(super) struct Document(String);

impl Document {
    /// A page with links to all pages.
    pub(super) fn new(title: &str, links: &[(&str, &str)]) -> Document {
        let title = escaped(title);
        let mut out = format!("<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><nav>");
        for (path, name) in links {
            let _ = write!(out, "<a href=\"{}\">{}</a>", escaped(path), escaped(name));
        }
        let _ = write!(out, "</nav><h1>{title}</h1>");
        Document(out)
    }

    pub(super) fn heading(&mut self, text: &str) {
        let _ = write!(self.0, "<h2>{}</h2>", escaped(text));
    }

    pub(super) fn text(&mut self, text: &str) {
        let _ = write!(self.0, "<p>{}</p>", escaped(text));
    }

    pub(super) fn table(&mut self, table: &Table) {
        let _ = write!(self.0, "{}</table>", table.0);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A table being written.
pub(super) struct Table(String);

impl Table {
    pub(super) fn new(heads: &[&str]) -> Table {
        let mut table = Table("<table>".to_owned());
        if heads.iter().any(|head| !head.is_empty()) {
            table.cells("th", heads);
        }
        table
    }

    pub(super) fn row(&mut self, cells: &[&str]) {
        self.cells("td", cells);
    }

    fn cells(&mut self, tag: &str, cells: &[&str]) {
        self.0.push_str("<tr>");
        for cell in cells {
            let _ = write!(self.0, "<{tag}>{}</{tag}>", escaped(cell));
        }
        self.0.push_str("</tr>");
    }
}
