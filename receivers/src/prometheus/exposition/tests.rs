//! What the parser takes and what it refuses, format by format.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// The entries of a body in a compact form, or the error.
fn show(body: &[u8], format: Format) -> Result<String, String> {
    let mut parser = Parser::new(body, format);
    let mut out = String::new();
    while let Some(entry) = parser.next(b"") {
        match entry.map_err(|e| e.to_string())? {
            Entry::Type { family, kind } => writeln!(out, "type {} {}", family.escape_ascii(), kind.name()),
            Entry::Help { family, text } => {
                writeln!(out, "help {} {:?}", family.escape_ascii(), help_text(text, format))
            }
            Entry::Unit { family, unit } => writeln!(out, "unit {} {}", family.escape_ascii(), unit.escape_ascii()),
            Entry::Sample(sample) => {
                let labels: Vec<_> = parser.labels().map(|(n, v)| format!("{n}={v:?}")).collect();
                write!(out, "{}{{{}}} {:?}", parser.name(), labels.join(","), sample.value).unwrap();
                if let Some(ms) = sample.timestamp {
                    write!(out, " @{ms}").unwrap();
                }
                if let Some(exemplar) = parser.exemplar() {
                    let labels: Vec<_> = parser.exemplar_labels().map(|(n, v)| format!("{n}={v:?}")).collect();
                    write!(out, " # {{{}}} {:?} {:?}", labels.join(","), exemplar.value, exemplar.timestamp).unwrap();
                }
                writeln!(out)
            }
        }
        .unwrap();
    }
    assert!(parser.next(b"").is_none(), "after its end a parser stays there");
    Ok(out)
}

#[track_caller]
fn text(body: &str, expected: &str) {
    assert_eq!(show(body.as_bytes(), Format::Text).unwrap().trim_end(), expected, "{body:?}");
}

#[track_caller]
fn text_error(body: &[u8], expected: &str) {
    let error = show(body, Format::Text).expect_err(&String::from_utf8_lossy(body));
    assert!(error.contains(expected), "{error:?} should say {expected:?}");
}

#[track_caller]
fn open_metrics(body: &str, expected: &str) {
    let body = format!("{body}# EOF\n");
    assert_eq!(show(body.as_bytes(), Format::OpenMetrics).unwrap().trim_end(), expected, "{body:?}");
}

#[track_caller]
fn open_metrics_error(body: &str, expected: &str) {
    let error = show(body.as_bytes(), Format::OpenMetrics).expect_err(body);
    assert!(error.contains(expected), "{error:?} should say {expected:?}");
}

#[test]
fn text_takes_what_prometheus_takes() {
    text("", "");
    text("\n \t\n", "");
    text("a 1\n", "a{} 1.0");
    text("a 1", "a{} 1.0");
    text("a 1 1234\n", "a{} 1.0 @1234");
    text(" a\t{ } \t 1 \t 1234 \t \n", "a{} 1.0 @1234");
    text("a:b_1{} 1", "a:b_1{} 1.0");
    text("a{b=\"c\"}1", r#"a{b="c"} 1.0"#);
    text("a.5", "a{} 0.5");
    text("a-1", "a{} -1.0");
    text(r#"a{b="c",d="e",} 1"#, r#"a{b="c",d="e"} 1.0"#);
    text(r#"a{ b = "c" , d = "e" , } 1"#, r#"a{b="c",d="e"} 1.0"#);
    text(r#"a{b="c" d="e"} 1"#, r#"a{b="c",d="e"} 1.0"#);
    text(r#"a{b="\\ \" \n \x"} 1"#, r#"a{b="\\ \" \n \\x"} 1.0"#);
    text("a{b=\"line\nbreak\"} 1", r#"a{b="line\nbreak"} 1.0"#);
    text("a{b=\"\0\"} 1", r#"a{b="\0"} 1.0"#);
    text("a{b=\"\u{e4}\u{1f600}\"} 1", "a{b=\"\u{e4}\u{1f600}\"} 1.0");
    text("a 1\n\0 whatever", "a{} 1.0");
}

#[test]
fn text_takes_quoted_names() {
    text(r#"{"a.b"} 1"#, "a.b{} 1.0");
    text(r#"{"a.b",c="d"} 1"#, r#"a.b{c="d"} 1.0"#);
    text(r#"{c="d","a.b"} 1"#, r#"a.b{c="d"} 1.0"#);
    text(r#"{"a.b","x y"="d",} 1"#, r#"a.b{x y="d"} 1.0"#);
    text(r#"{"say \"hi\""} 1"#, r#"say "hi"{} 1.0"#);
    text("# TYPE \"a.b\" counter\n# HELP \"a.b\" what\n", "type a.b counter\nhelp a.b \"what\"");
    text_error(br#"a{"b"} 1"#, "second name");
    text_error(br#"{"a","b"} 1"#, "second name");
    text_error(br#"{c="d"} 1"#, "the metric has no name");
    text_error(br#"{} 1"#, "the metric has no name");
}

#[test]
fn text_reads_numbers_as_prometheus_does() {
    for (written, value) in [
        ("0", "0.0"),
        ("+1", "1.0"),
        ("-0", "-0.0"),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("1e3", "1000.0"),
        ("1E-3", "0.001"),
        ("999999999999999", "999999999999999.0"),
        ("1234567890123456789", "1.2345678901234568e18"),
        ("1e-400", "0.0"),
        ("NaN", "NaN"),
        ("nan", "NaN"),
        ("Inf", "inf"),
        ("+Inf", "inf"),
        ("-inf", "-inf"),
        ("INFINITY", "inf"),
        ("0.15000000000000002", "0.15000000000000002"),
    ] {
        text(&format!("a {written}"), &format!("a{{}} {value}"));
    }
    for written in ["1e400", "-1e400", "99999e999"] {
        text_error(format!("a {written}").as_bytes(), "is beyond the range of a number");
    }
    for written in ["1_0", "0x1p3", "0x1", "+NaN", "-nan", "", "e5", ".", "1,5", "infinit", "1\r", "\u{661}", "--1"] {
        text_error(format!("a {written}\n").as_bytes(), "");
    }
    let body = b"a NaN";
    let Some(Ok(Entry::Sample(sample))) = Parser::new(body, Format::Text).next(b"") else { panic!() };
    assert_eq!(sample.value.to_bits(), 0x7ff8_0000_0000_0001);
}

#[test]
fn text_takes_comments_and_metadata() {
    text("# whatever\n#no blank\n#\n# HELP\n# TYPE\n# HELPx y\n#TYPE a counter\n", "");
    text("# HELP a some \\\\ text \\n \\\" end \n", r#"help a "some \\ text \n \\\" end ""#);
    text("#\t HELP \t a\thelp\n", r#"help a "help""#);
    text("# HELP a\n", r#"help a """#);
    text("# HELP a  two blanks\n", r#"help a " two blanks""#);
    for kind in ["counter", "gauge", "histogram", "summary"] {
        text(&format!("# TYPE a {kind}"), &format!("type a {kind}"));
    }
    text("# TYPE a untyped", "type a unknown");
    for kind in ["unknown", "info", "gaugehistogram", "Counter", " counter", "counter ", "counter\r", ""] {
        text_error(format!("# TYPE a {kind}\n").as_bytes(), "the metric type is");
    }
    text_error(b"# TYPE 1a counter\n", "expected the name of a metric family");
    text_error(b"# HELP \n", "expected the name of a metric family");
}

#[test]
fn text_refuses_what_prometheus_refuses() {
    text_error(b"1a 1", "expected a metric name");
    text_error(b"a", "expected a value after the metric, found the end of the body");
    text_error(b"a\n", "expected a value");
    text_error(b"a 1 -5", "expected a timestamp in digits");
    text_error(b"a 1 1.5", "end of the line after the timestamp");
    text_error(b"a 1 2 3", "end of the line after the timestamp");
    text_error(b"a 1 9223372036854775808", "is beyond its range");
    text_error(b"a 1 # {b=\"c\"} 1\n", "expected a timestamp in digits");
    text_error(b"a 1\r\n", "is not a number");
    text_error(b"\r\n", "expected a metric name");
    text_error(b"a{b=\"c\"", "expected a label name or }");
    text_error(b"a{b=\"c\n", "the quote is not closed");
    text_error(b"a{b=\"c\\", "breaks off");
    text_error(b"a{b=\"c\\\n\"} 1", "breaks off");
    text_error(b"a{b=c} 1", "expected a label value in quotes");
    text_error(b"a{b} 1", "expected = after the label name");
    text_error(b"a{,} 1", "expected a label name");
    text_error(b"a{b=\"c\",,} 1", "expected a label name");
    text_error(b"a{b:c=\"d\"} 1", "expected = after the label name");
    text_error(b"a{b=\"\xff\"} 1", "the label value is not UTF-8");
    text_error(b"{\"\xff\"} 1", "the metric name is not UTF-8");
    text_error(b"{\"a\",\"\xff\"=\"b\"} 1", "the label name is not UTF-8");
    text_error(b"# HELP a \xff\n", "the help text is not UTF-8");
    text_error(b"\xef\xbb\xbfa 1", "expected a metric name");
    text_error(b"<html>", "line 1 of the body: expected a metric name, # or a line break, found `<html>`");
    text_error(b"a 1\n\nb x\n", "line 3 of the body: the value `x` is not a number");
}

#[test]
fn a_comment_that_is_not_utf8_does_not_matter() {
    assert_eq!(show(b"# \xff\xfe\na{b=\"\xc3\xa4\"} 1\n", Format::Text).unwrap(), "a{b=\"\u{e4}\"} 1.0\n");
}

#[test]
fn le_and_quantile_are_normalised_under_the_type_that_was_said_last() {
    text(
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_bucket{le=\"1e6\"} 1\nb{le=\"5\"} 1\n",
        "type a histogram\na_bucket{le=\"1.0\"} 1.0\na_bucket{le=\"+Inf\"} 1.0\na_bucket{le=\"1e+06\"} 1.0\nb{le=\"5.0\"} 1.0",
    );
    text("# TYPE a gauge\na{le=\"1\"} 1\n", "type a gauge\na{le=\"1\"} 1.0");
    text("# TYPE a histogram\na{le=\"x\"} 1\n", "type a histogram\na{le=\"x\"} 1.0");
    text("# TYPE a summary\na{quantile=\"0\",le=\"1\"} 1\n", "type a summary\na{quantile=\"0.0\",le=\"1\"} 1.0");
}

#[test]
fn bounds_are_written_as_open_metrics_wants_them() {
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (-1.0, "-1.0"),
        (0.1, "0.1"),
        (0.150_000_000_000_000_02, "0.15000000000000002"),
        (128_000.0, "128000.0"),
        (999_999.5, "999999.5"),
        (1e6, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (1e21, "1e+21"),
        (1e100, "1e+100"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
    ] {
        assert_eq!(open_metrics_float(value), expected);
    }
}

#[test]
fn open_metrics_takes_what_prometheus_takes() {
    open_metrics("", "");
    open_metrics("a 1\n", "a{} 1.0");
    open_metrics("a{} 1 1.5\n", "a{} 1.0 @1500");
    open_metrics("a 1 -1.2345\n", "a{} 1.0 @-1234");
    open_metrics("a{b=\"c\",d=\"e\",} 1\n", r#"a{b="c",d="e"} 1.0"#);
    open_metrics("{\"a.b\",c=\"d\"} 1\n", r#"a.b{c="d"} 1.0"#);
    open_metrics(
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds say \\\"hi\\\"\na_seconds_total 1\n",
        "type a_seconds counter\nunit a_seconds seconds\nhelp a_seconds \"say \\\"hi\\\"\"\na_seconds_total{} 1.0",
    );
    for kind in ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"] {
        open_metrics(&format!("# TYPE a {kind}\n"), &format!("type a {kind}"));
    }
    open_metrics("# UNIT a \n", "unit a");
    assert_eq!(show(b"a 1\n# EOF", Format::OpenMetrics).unwrap(), "a{} 1.0\n");
}

#[test]
fn open_metrics_has_exemplars() {
    open_metrics("a_total 1 # {trace_id=\"4bf9\"} 0.5\n", r#"a_total{} 1.0 # {trace_id="4bf9"} 0.5 None"#);
    open_metrics(
        "a_total 1 2 # {trace_id=\"4bf9\",x=\"y\"} 0.5 1.25\n",
        r#"a_total{} 1.0 @2000 # {trace_id="4bf9",x="y"} 0.5 Some(1250)"#,
    );
    open_metrics("a_total 1 # {} 5\n", "a_total{} 1.0 # {} 5.0 None");
    open_metrics_error("a_total 1 # {\"b\"} 5\n# EOF\n", "expected = after the label name");
    open_metrics_error("a_total 1 # {}\n# EOF\n", "expected a value after the exemplar's labels");
    open_metrics_error("a_total 1 # {} 5 NaN\n# EOF\n", "is not a time");
}

#[test]
fn open_metrics_refuses_what_prometheus_refuses() {
    open_metrics_error("", "does not end with # EOF");
    open_metrics_error("a 1\n", "does not end with # EOF");
    open_metrics_error("a 1", "does not end with # EOF");
    open_metrics_error("a 1\n# EOF\nb 1\n", "nothing behind # EOF");
    open_metrics_error("a 1\n# EOF\n\n", "nothing behind # EOF");
    open_metrics_error("\n# EOF\n", "expected a metric name");
    open_metrics_error("# comment\n# EOF\n", "expected # HELP, # TYPE, # UNIT or # EOF");
    open_metrics_error("#EOF\n", "expected # HELP");
    open_metrics_error(" a 1\n# EOF\n", "expected a metric name");
    open_metrics_error("a  1\n# EOF\n", "expected a value");
    open_metrics_error("a 1 \n# EOF\n", "expected a timestamp");
    open_metrics_error("a {} 1\n# EOF\n", "is not a number");
    open_metrics_error("a{b=\"c\", d=\"e\"} 1\n# EOF\n", "expected a label name");
    open_metrics_error("a{b=\"c\"d=\"e\"} 1\n# EOF\n", "expected , or }");
    open_metrics_error("a{b=\"c\nd\"} 1\n# EOF\n", "breaks off");
    open_metrics_error("a 1 Inf\n# EOF\n", "is not a time");
    open_metrics_error("a 1 2 3\n# EOF\n", "expected the end of the line");
    open_metrics_error("# TYPE a untyped\n# EOF\n", "the metric type is");
    open_metrics_error("# TYPE a\n# EOF\n", "expected a blank");
    open_metrics_error("# UNIT a_seconds second\n# EOF\n", "is not the end of the metric's name");
    open_metrics_error("# UNIT seconds seconds\n# EOF\n", "is not the end of the metric's name");
}

#[test]
fn an_expected_series_is_taken_without_reading_its_labels() {
    let body = b"a{b=\"c\"} 1\na{b=\"cc\"} 2 5\na 3\na {b=\"c\"} 4\n";
    let mut parser = Parser::new(body, Format::Text);
    let mut next = |expected: &[u8]| match parser.next(expected) {
        Some(Ok(Entry::Sample(sample))) => (sample.expected, sample.value, sample.timestamp),
        other => panic!("{other:?}"),
    };
    assert_eq!(next(b"a{b=\"c\"}"), (true, 1.0, None));
    assert_eq!(next(b"a{b=\"c\"}"), (false, 2.0, Some(5)));
    assert_eq!(next(b"a"), (true, 3.0, None));
    assert_eq!(next(b"a"), (false, 4.0, None), "a series whose brace stands behind a blank is not the bare name");

    let mut parser = Parser::new(b"a 1 2 # {b=\"c\"} 3\n# EOF\n", Format::OpenMetrics);
    let Some(Ok(Entry::Sample(sample))) = parser.next(b"a") else { panic!() };
    assert!(sample.expected && sample.exemplar);
    assert!(parser.next(b"a").is_none());
}

/// Prints a sample as the text formats want it.
fn print(name: &str, labels: &[(String, String)], value: f64, timestamp: Option<i64>, format: Format) -> String {
    let quoted = |text: &str| {
        let mut out = String::from("\"");
        text.chars().for_each(|c| match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        });
        out + "\""
    };
    let plain = |text: &str| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.as_bytes()[0].is_ascii_digit()
    };
    let mut pieces = Vec::new();
    let mut out = String::new();
    if plain(name) {
        out.push_str(name);
    } else {
        pieces.push(quoted(name));
    }
    for (n, v) in labels {
        let n = if plain(n) { n.clone() } else { quoted(n) };
        pieces.push(format!("{n}={}", quoted(v)));
    }
    if !pieces.is_empty() {
        write!(out, "{{{}}}", pieces.join(",")).unwrap();
    }
    let value = match value {
        v if v.is_nan() => "NaN".to_owned(),
        v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        v => format!("{v}"),
    };
    write!(out, " {value}").unwrap();
    match (timestamp, format) {
        (None, _) => {}
        (Some(ms), Format::Text | Format::Protobuf) => write!(out, " {}", ms.unsigned_abs()).unwrap(),
        (Some(s), Format::OpenMetrics) => write!(out, " {}", s / 1000).unwrap(),
    }
    out.push('\n');
    out
}

type Line = (String, Vec<(String, String)>, f64, Option<i64>);

fn line() -> impl Strategy<Value = Line> {
    let name = prop_oneof!["[a-zA-Z_][a-zA-Z0-9_]{0,8}", "\\PC{1,8}"];
    let labels = prop::collection::vec((prop_oneof!["[a-z_]{1,5}", "\\PC{1,5}"], "(?s).{0,12}"), 0..4);
    (name, labels, prop::num::f64::ANY, prop::option::of(any::<i32>().prop_map(|s| i64::from(s) * 1000)))
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_back(lines in prop::collection::vec(line(), 0..8), open_metrics: bool) {
        let format = if open_metrics { Format::OpenMetrics } else { Format::Text };
        let mut body: String = lines.iter().map(|(n, l, v, t)| print(n, l, *v, *t, format)).collect();
        if open_metrics {
            body.push_str("# EOF\n");
        }
        let mut parser = Parser::new(body.as_bytes(), format);
        let mut all = Vec::new();
        for (name, labels, value, timestamp) in &lines {
            let Some(Ok(Entry::Sample(sample))) = parser.next(b"") else { panic!("a sample") };
            prop_assert_eq!(&parser.name(), name);
            let read: Vec<_> = parser.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            prop_assert_eq!(&read, labels);
            prop_assert!(sample.value == *value || sample.value.is_nan() && value.is_nan());
            let timestamp = if open_metrics { *timestamp } else { timestamp.map(i64::abs) };
            prop_assert_eq!(sample.timestamp, timestamp);
            all.push(sample);
        }
        prop_assert!(parser.next(b"").is_none());

        // The same again with every series expected: the same samples.
        let mut parser = Parser::new(body.as_bytes(), format);
        for sample in all {
            let Some(Ok(Entry::Sample(again))) = parser.next(sample.series) else { panic!("a sample") };
            prop_assert!(again.expected);
            prop_assert_eq!((again.series, again.value.to_bits(), again.timestamp),
                (sample.series, sample.value.to_bits(), sample.timestamp));
        }
    }

    #[test]
    fn no_bytes_upset_it(body in prop::collection::vec(any::<u8>(), 0..200), open_metrics: bool) {
        let _ = show(&body, if open_metrics { Format::OpenMetrics } else { Format::Text });
    }

    #[test]
    fn no_text_of_its_own_alphabet_upsets_it(body in "[a#{}=,\"\\\\ \t\n.1eE_HELPTYPOF\0\u{e4}-]{0,80}", open_metrics: bool) {
        let _ = show(body.as_bytes(), if open_metrics { Format::OpenMetrics } else { Format::Text });
    }
}
