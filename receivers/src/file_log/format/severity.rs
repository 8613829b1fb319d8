//! Severity numbers of OTLP (1 to 24), the words that programs use for them, and a guess at a line that no parser knows.

/// `SeverityNumber`; 0 is unspecified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Severity(pub u8);

impl Severity {
    /// Finer than debugging.
    pub const TRACE: Severity = Severity(1);
    /// Debugging.
    pub const DEBUG: Severity = Severity(5);
    /// What happens.
    pub const INFO: Severity = Severity(9);
    /// What may become an error.
    pub const WARN: Severity = Severity(13);
    /// What went wrong.
    pub const ERROR: Severity = Severity(17);
    /// What ended the program.
    pub const FATAL: Severity = Severity(21);

    /// The specification's short name: `INFO`, `WARN2`; empty for unspecified.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 25] = [
            "", "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2", "INFO3",
            "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2",
            "FATAL3", "FATAL4",
        ];
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// The severity of that short name, in any case.
    pub fn from_name(name: &str) -> Option<Severity> {
        (1..=24).map(Severity).find(|s| s.name().eq_ignore_ascii_case(name))
    }

    /// The severity that a program means by a word, in any case: the levels of Rust, Python, Go, syslog and engines.
    pub fn from_word(word: &str) -> Option<Severity> {
        // As most programs write them.
        match word {
            "INFO" => return Some(Severity::INFO),
            "DEBUG" => return Some(Severity::DEBUG),
            "WARN" | "WARNING" => return Some(Severity::WARN),
            "ERROR" => return Some(Severity::ERROR),
            _ => {}
        }
        let mut lower = [0; 9];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"info" | b"notice" => Severity::INFO,
            b"debug" => Severity::DEBUG,
            b"warn" | b"warning" => Severity::WARN,
            b"error" | b"err" => Severity::ERROR,
            b"trace" => Severity::TRACE,
            b"fatal" | b"critical" | b"crit" | b"panic" | b"alert" | b"emerg" => Severity::FATAL,
            _ => return None,
        })
    }
}

/// How far into a line a level may stand.
const LOOK_AT: usize = 160;

/// A guess at the severity of a line of plain text, and the word it rests on: a level in capitals, or in brackets, near the
/// start of the line (`INFO 09-02 …`, `… [error] …`, `node:1:2 [0] NCCL WARN …`), glog's `E0902 15:50:01`, the first line
/// of a traceback or panic and the last (`ValueError: …`).
pub fn guess(line: &str) -> Option<(Severity, &str)> {
    if line.starts_with("Traceback (most recent call last)") {
        return Some((Severity::ERROR, ""));
    }
    if line.starts_with("thread '") && line.contains("panicked at") {
        return Some((Severity::ERROR, ""));
    }
    glog(line).or_else(|| level_word(line)).or_else(|| exception(line))
}

fn level_word(line: &str) -> Option<(Severity, &str)> {
    let mut end = line.len().min(LOOK_AT);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < end {
        let len = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        if len == 0 {
            at += 1;
            continue;
        }
        let word = line.get(at..at + len).unwrap_or_default();
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let after = bytes.get(at + len).copied();
        if stands_alone(word, before, after)
            && let Some(severity) = Severity::from_word(word)
        {
            return Some((severity, word));
        }
        at += len;
    }
    None
}

/// Whether a word is set off as a level is: in capitals, or in brackets, or as `level=word`.
fn stands_alone(word: &str, before: Option<u8>, after: Option<u8>) -> bool {
    let apart = matches!(before, None | Some(b' ' | b'[' | b'(' | b'<' | b'|' | b'\t' | b'=' | b'"'))
        && matches!(after, None | Some(b' ' | b']' | b')' | b'>' | b'|' | b'\t' | b':' | b',' | b'"'));
    let marked = matches!(before, Some(b'[' | b'<' | b'|' | b'=')) || after == Some(b']');
    apart && (marked || word.bytes().all(|b| b.is_ascii_uppercase()))
}

/// `E0902 15:50:01.123456`.
fn glog(line: &str) -> Option<(Severity, &str)> {
    let head = line.as_bytes().first_chunk::<6>()?;
    if !head[1..5].iter().all(u8::is_ascii_digit) || head[5] != b' ' {
        return None;
    }
    let severity = match head[0] {
        b'I' => Severity::INFO,
        b'W' => Severity::WARN,
        b'E' => Severity::ERROR,
        b'F' => Severity::FATAL,
        _ => return None,
    };
    Some((severity, &line[..1]))
}

/// `ValueError: …`, `torch.OutOfMemoryError: …`, `KeyboardInterrupt`.
fn exception(line: &str) -> Option<(Severity, &str)> {
    let name = line.split([':', ' ']).next()?;
    let dotted = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
    let raised = name.ends_with("Error") || name.ends_with("Exception") || name == "KeyboardInterrupt";
    let ends = line.len() == name.len() || line[name.len()..].starts_with(':');
    (dotted && raised && ends).then_some((Severity::ERROR, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        for number in 1..=24 {
            assert_eq!(Severity::from_name(&Severity(number).name().to_lowercase()), Some(Severity(number)));
        }
        assert_eq!((Severity(0).name(), Severity(25).name(), Severity::from_name("")), ("", "", None));
    }

    #[test]
    fn foreign_lines_are_guessed_by_the_level_near_their_start() {
        for (line, want) in [
            (
                "INFO 09-02 15:50:01 [__init__.py:239] Automatically detected platform cpu.",
                Some((Severity::INFO, "INFO")),
            ),
            ("2025-09-02T15:50:01.770028Z  WARN main.init: not an ERROR yet", Some((Severity::WARN, "WARN"))),
            ("2025-09-02 15:50:01,770 - vllm.engine - CRITICAL - out", Some((Severity::FATAL, "CRITICAL"))),
            ("node-1:77:91 [0] NCCL INFO Bootstrap: Using eth0", Some((Severity::INFO, "INFO"))),
            ("[2025-09-02 15:50:01] [error] upstream gone", Some((Severity::ERROR, "error"))),
            ("time=now level=warning msg=\"x\"", Some((Severity::WARN, "warning"))),
            ("[TensorRT-LLM][INFO] Engine version 1.2", Some((Severity::INFO, "INFO"))),
            ("E0902 15:50:01.123456 77 file.cc:12] broken", Some((Severity::ERROR, "E"))),
            ("Traceback (most recent call last):", Some((Severity::ERROR, ""))),
            ("thread 'main' panicked at src/main.rs:1:1:", Some((Severity::ERROR, ""))),
            ("torch.OutOfMemoryError: CUDA out of memory.", Some((Severity::ERROR, ""))),
            ("KeyboardInterrupt", Some((Severity::ERROR, ""))),
            ("  File \"x.py\", line 3, in <module>", None),
            ("an error is described here, without a level", None),
            ("the ErrorHandler: is fine", None),
            ("INFORMATION", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(guess(line), want, "{line}");
        }
    }

    #[test]
    fn a_level_far_into_a_line_is_part_of_its_text() {
        assert_eq!(guess(&format!("{} ERROR", "é".repeat(90))), None);
    }
}
