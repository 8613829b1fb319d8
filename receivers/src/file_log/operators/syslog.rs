//! Syslog messages: RFC 5424, and what RFC 3164 says that its predecessors look like; with the frames of RFC 6587 around
//! them.

use std::borrow::Cow;

use super::config::{Protocol, Trailer};
use super::read::Failed;
use super::value::{Map, Value};
use crate::file_log::format::civil::{Civil, rfc3339};
use crate::file_log::format::severity::Severity;
use crate::file_log::format::zone::Zone;

/// How messages are read.
#[derive(Clone, Debug)]
pub struct Syslog {
    /// Which of the two it is.
    pub protocol: Protocol,
    /// The zone of RFC 3164's times.
    pub zone: Zone,
    /// Whether the priority may be missing.
    pub may_lack_priority: bool,
    /// Whether the length stands in front of the message.
    pub has_length: bool,
    /// What stands behind it.
    pub trailer: Option<Trailer>,
    /// The longest message whose length stands in front of it, in bytes; 0 for any length.
    pub most_bytes: usize,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Everything but time and severity.
    pub fields: Map<'static>,
    /// Nanoseconds since 1970.
    pub time: Option<u64>,
    /// The severity and its name.
    pub severity: Option<(Severity, &'static str)>,
}

/// By their numbers.
const SEVERITIES: [(Severity, &str); 8] = [
    (Severity(21), "emerg"),
    (Severity(19), "alert"),
    (Severity(18), "crit"),
    (Severity(17), "err"),
    (Severity(13), "warning"),
    (Severity(10), "notice"),
    (Severity(9), "info"),
    (Severity(5), "debug"),
];
/// The names of facilities by their numbers.
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];
/// The highest priority: facility 23, severity 7.
const HIGHEST: u8 = 191;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Syslog {
    /// Reads a message; a time without a year is in the year up to `now`.
    ///
    /// # Errors
    /// Where it is none of its protocol: what should stand at which byte.
    pub fn read(&self, text: &str, now: u64) -> Result<Message, Failed> {
        let name = match self.protocol {
            Protocol::Rfc3164 => "rfc3164",
            Protocol::Rfc5424 => "rfc5424",
        };
        let text = self.unframed(text)?;
        let message = Message { fields: Map::default(), time: None, severity: None };
        let mut reading = Reading { text, at: 0, wanted: "", message };
        let is_read = reading.priority(self.may_lack_priority).and_then(|()| match self.protocol {
            Protocol::Rfc3164 => reading.rfc3164(&self.zone, now),
            Protocol::Rfc5424 => reading.rfc5424(),
        });
        match is_read {
            Some(()) => Ok(reading.message),
            None => {
                Err(format!("it is no syslog of {name}: {} should stand at byte {}", reading.wanted, reading.at).into())
            }
        }
    }

    /// The message without its frame.
    fn unframed<'t>(&self, text: &'t str) -> Result<&'t str, Failed> {
        if self.has_length {
            let framed = text.split_once(' ').and_then(|(len, rest)| rest.get(..len.parse().ok()?));
            let message = framed.ok_or("it does not begin with its length in bytes and a space")?;
            if self.most_bytes > 0 && message.len() > self.most_bytes {
                return Err(format!("it has {} bytes, max_octets is {}", message.len(), self.most_bytes).into());
            }
            return Ok(message);
        }
        match self.trailer {
            Some(Trailer::Lf) => Ok(text.strip_suffix('\n').unwrap_or(text)),
            Some(Trailer::Nul) => Ok(text.strip_suffix('\0').unwrap_or(text)),
            None => Ok(text),
        }
    }
}

/// A message that is being read.
struct Reading<'t> {
    text: &'t str,
    at: usize,
    /// What is missing, if something is.
    wanted: &'static str,
    message: Message,
}

impl<'t> Reading<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Notes what should come, for the case that it does not.
    fn want(&mut self, what: &'static str) -> &mut Self {
        self.wanted = what;
        self
    }

    fn take(&mut self, what: &str) -> Option<()> {
        self.rest().strip_prefix(what).map(|_| self.at += what.len())
    }

    /// Characters for which it holds, from one to so many.
    fn word(&mut self, most: usize, holds: impl Fn(u8) -> bool) -> Option<&'t str> {
        let len = self.rest().bytes().take_while(|byte| holds(*byte)).count();
        let word = self.rest().get(..len).filter(|word| (1..=most).contains(&word.len()))?;
        self.at += len;
        Some(word)
    }

    fn set(&mut self, key: &'static str, value: &str) {
        self.message.fields.set(key, Value::text(value.to_owned()));
    }

    fn priority(&mut self, may_be_missing: bool) -> Option<()> {
        if may_be_missing && !self.rest().starts_with('<') {
            return Some(());
        }
        let start = self.at;
        self.want("a priority such as <34>").take("<")?;
        let digits = self.word(3, |b| b.is_ascii_digit())?;
        let is_plain = digits == "0" || !digits.starts_with('0');
        let Some(priority) = digits.parse::<u8>().ok().filter(|priority| *priority <= HIGHEST && is_plain) else {
            self.at = start;
            return None;
        };
        self.take(">")?;
        self.message.fields.set("priority", Value::Int(i64::from(priority)));
        self.message.fields.set("facility", Value::Int(i64::from(priority / 8)));
        if let Some(name) = FACILITIES.get(usize::from(priority / 8)) {
            self.set("facility_text", name);
        }
        self.message.severity = SEVERITIES.get(usize::from(priority % 8)).copied();
        Some(())
    }

    /// `Oct 11 22:14:15 host app[42]: message`.
    fn rfc3164(&mut self, zone: &Zone, now: u64) -> Option<()> {
        self.want("a time such as Oct 11 22:14:15");
        self.message.time = Some(match rfc3339(self.rest().as_bytes()) {
            Some((civil, len)) => {
                let time = civil.unix_nanos_in(zone, now)?;
                self.at += len;
                time
            }
            None => self.stamp()?.unix_nanos_in(zone, now)?,
        });
        self.want("a space and the host's name").take(" ")?;
        let host = self.word(255, |b| b.is_ascii_graphic())?;
        self.set("hostname", host);
        if self.rest().is_empty() {
            return Some(());
        }
        self.want("a space and the message").take(" ")?;
        self.tag();
        let message = self.rest();
        if !message.is_empty() {
            self.set("message", message);
        }
        Some(())
    }

    /// `Oct 11 22:14:15`, a day below 10 with a space in front of it.
    fn stamp(&mut self) -> Option<Civil> {
        let head = self.rest().get(..15)?;
        let number = |at: usize| head.get(at..at + 2)?.trim_start().parse().ok();
        let digits = head.bytes().enumerate().all(|(i, b)| match i {
            3 | 6 => b == b' ',
            9 | 12 => b == b':',
            4 => b == b' ' || b.is_ascii_digit(),
            0..3 => b.is_ascii_alphabetic(),
            _ => b.is_ascii_digit(),
        });
        let month = MONTHS.iter().position(|month| head.starts_with(month)).filter(|_| digits)?;
        self.at += head.len();
        Some(Civil {
            month: u32::try_from(month + 1).ok()?,
            day: number(4)?,
            hour: number(7)?,
            minute: number(10)?,
            second: number(13)?,
            ..Civil::default()
        })
    }

    /// `app[42]: `, if that is what stands here.
    fn tag(&mut self) {
        let start = self.at;
        let is_app = |b: u8| b.is_ascii_graphic() && !matches!(b, b'[' | b']' | b':');
        let Some(app) = self.word(32, is_app) else { return };
        let process = self.take("[").and_then(|()| {
            let process = self.word(128, |b| b.is_ascii_graphic() && b != b']')?;
            self.take("]").map(|()| process)
        });
        if self.take(":").is_none() {
            self.at = start;
            return;
        }
        self.set("appname", app);
        if let Some(process) = process {
            self.set("proc_id", process);
        }
        _ = self.take(" ");
    }

    /// `1 2003-10-11T22:14:15.003Z host app 42 ID47 [id@1 k="v"] message`.
    fn rfc5424(&mut self) -> Option<()> {
        let version = self.want("a version such as 1").word(3, |b| b.is_ascii_digit())?;
        let version = version.parse().ok().filter(|version| *version > 0)?;
        self.message.fields.set("version", Value::Int(version));
        self.want("a space and a time of RFC 3339, or -").take(" ")?;
        if self.take("-").is_none() {
            let (civil, len) = rfc3339(self.rest().as_bytes())?;
            let time = civil.offset.and_then(|_| civil.unix_nanos(0))?;
            self.message.time = Some(time);
            self.at += len;
        }
        for (key, most, wanted) in [
            ("hostname", 255, "a space and the host's name, or -"),
            ("appname", 48, "a space and the program's name, or -"),
            ("proc_id", 128, "a space and the process's id, or -"),
            ("msg_id", 32, "a space and the message's id, or -"),
        ] {
            self.want(wanted).take(" ")?;
            let word = self.word(most, |b| b.is_ascii_graphic())?;
            if word != "-" {
                self.set(key, word);
            }
        }
        self.want("a space and structured data, or -").take(" ")?;
        if self.take("-").is_none() {
            let mut elements = Map::default();
            self.element(&mut elements)?;
            while self.rest().starts_with('[') {
                self.element(&mut elements)?;
            }
            self.message.fields.set("structured_data", Value::Map(elements));
        }
        if self.rest().is_empty() {
            return Some(());
        }
        self.want("a space and the message").take(" ")?;
        let message = self.rest();
        let message = message.strip_prefix('\u{feff}').unwrap_or(message);
        if !message.is_empty() {
            self.set("message", message);
        }
        Some(())
    }

    /// `[id@1 key="value" …]`.
    fn element(&mut self, elements: &mut Map<'static>) -> Option<()> {
        let is_name = |b: u8| b.is_ascii_graphic() && !matches!(b, b'=' | b']' | b'"');
        self.want("structured data such as [id key=\"value\"]").take("[")?;
        let id = self.word(32, is_name)?;
        let mut pairs = Map::default();
        while self.take(" ").is_some() {
            let key = self.want("a key of structured data").word(32, is_name)?;
            self.want("a value in quotes").take("=\"")?;
            let value = self.quoted()?;
            pairs.set(key.to_owned(), Value::text(value.into_owned()));
        }
        self.want("a ]").take("]")?;
        elements.set(id.to_owned(), Value::Map(pairs));
        Some(())
    }

    /// The rest of a value in quotes. A backslash stands before a quote, a backslash and a `]`, and for itself elsewhere.
    fn quoted(&mut self) -> Option<Cow<'t, str>> {
        let start = self.at;
        let mut value = String::new();
        loop {
            let special = self.rest().find(['"', '\\', ']'])?;
            value.push_str(&self.rest()[..special]);
            self.at += special;
            let found = &self.rest()[..1];
            match (found, self.rest().get(1..2)) {
                ("\"", _) => {
                    self.at += 1;
                    return Some(Cow::Owned(value));
                }
                ("\\", Some(escaped @ ("\"" | "\\" | "]"))) => {
                    value.push_str(escaped);
                    self.at += 2;
                }
                ("\\", _) => {
                    value.push('\\');
                    self.at += 1;
                }
                _ => {
                    self.at = start;
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::json_text;
    use super::*;

    /// 2026-01-02T00:00:00Z.
    const NOW: u64 = 1_767_312_000_000_000_000;

    fn syslog(protocol: Protocol) -> Syslog {
        Syslog { protocol, zone: Zone::UTC, may_lack_priority: false, has_length: false, trailer: None, most_bytes: 0 }
    }

    fn show(syslog: &Syslog, text: &str) -> String {
        match syslog.read(text, NOW) {
            Ok(Message { fields, time, severity }) => {
                let time = time.map_or("-".to_owned(), |time| (time / 1_000_000).to_string());
                let severity = severity.map_or("-".to_owned(), |(severity, name)| format!("{}:{name}", severity.0));
                format!("{time} {severity} {}", json_text(&Value::Map(fields)))
            }
            Err(error) => error.into_owned(),
        }
    }

    #[test]
    fn messages_of_rfc5424_are_read_with_their_structured_data() {
        for (text, want) in [
            (
                "<165>1 2003-10-11T22:14:15.003Z host.example evntslog 42 ID47 [a@1 k=\"v\" q=\"\\\"\\]\\\\\\n\"][b] \u{feff}An event",
                r#"1065910455003 10:notice {priority:165,facility:20,facility_text:"local4",version:1,hostname:"host.example",appname:"evntslog",proc_id:"42",msg_id:"ID47",structured_data:{a@1:{k:"v",q:"\"]\\\\n"},b:{}},message:"An event"}"#,
            ),
            ("<34>1 - - - - - -", r#"- 18:crit {priority:34,facility:4,facility_text:"auth",version:1}"#),
            (
                "<0>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 su - - - x  y",
                r#"1061727255000 21:emerg {priority:0,facility:0,facility_text:"kern",version:1,hostname:"192.0.2.1",appname:"su",message:"x  y"}"#,
            ),
        ] {
            assert_eq!(show(&syslog(Protocol::Rfc5424), text), want, "{text}");
        }
    }

    #[test]
    fn messages_of_rfc3164_are_read_with_or_without_a_tag() {
        for (text, want) in [
            (
                "<34>Jan  1 06:30:00 1.2.3.4 apache_server[17]: test message",
                r#"1767249000000 18:crit {priority:34,facility:4,facility_text:"auth",hostname:"1.2.3.4",appname:"apache_server",proc_id:"17",message:"test message"}"#,
            ),
            (
                "<13>Oct 11 22:14:15 host su: 'su root' failed",
                r#"1760220855000 10:notice {priority:13,facility:1,facility_text:"user",hostname:"host",appname:"su",message:"'su root' failed"}"#,
            ),
            (
                "<13>Oct 11 22:14:15 host no tag: here",
                r#"1760220855000 10:notice {priority:13,facility:1,facility_text:"user",hostname:"host",message:"no tag: here"}"#,
            ),
            (
                "<13>2026-01-01T06:30:00+01:00 host x:",
                r#"1767245400000 10:notice {priority:13,facility:1,facility_text:"user",hostname:"host",appname:"x"}"#,
            ),
        ] {
            assert_eq!(show(&syslog(Protocol::Rfc3164), text), want, "{text}");
        }
        let berlin = Syslog { zone: Zone::named("Europe/Berlin").unwrap(), ..syslog(Protocol::Rfc3164) };
        assert!(show(&berlin, "<13>Jan  1 06:30:00 host x: y").starts_with("1767245400000 "));
    }

    #[test]
    fn what_is_no_message_is_an_error_that_says_what_should_stand_where() {
        for (protocol, text, want) in [
            (Protocol::Rfc5424, "", "rfc5424: a priority such as <34> should stand at byte 0"),
            (Protocol::Rfc5424, "<192>1 - - - - - -", "a priority such as <34> should stand at byte 0"),
            (Protocol::Rfc5424, "<34>Oct 11 22:14:15 host su: x", "a version such as 1 should stand at byte 4"),
            (Protocol::Rfc5424, "<34>1 yesterday - - - - -", "a time of RFC 3339, or - should stand at byte 6"),
            (Protocol::Rfc5424, "<34>1 - - - - - [a k=v]", "a value in quotes should stand at byte 20"),
            (Protocol::Rfc5424, "<34>1 - - - - - [a k=\"]\"]", "a value in quotes should stand at byte 22"),
            (Protocol::Rfc5424, "<34>1 - - - - -", "a space and structured data, or - should stand at byte 15"),
            (Protocol::Rfc3164, "<34>1 - - - - - -", "rfc3164: a time such as Oct 11 22:14:15 should stand at byte 4"),
            (Protocol::Rfc3164, "<34>Feb 31 22:14:15 host x", "a time such as Oct 11 22:14:15 should stand at byte"),
            (Protocol::Rfc3164, "<34>Oct 11 22:14:15", "a space and the host's name should stand at byte 19"),
        ] {
            let shown = show(&syslog(protocol), text);
            assert!(shown.contains(want), "{text}: {shown}");
        }
    }

    #[test]
    fn frames_are_taken_off() {
        let message = "<34>1 - - - - - - x";
        let want = show(&syslog(Protocol::Rfc5424), message);
        let counted = Syslog { has_length: true, ..syslog(Protocol::Rfc5424) };
        assert_eq!(show(&counted, &format!("19 {message}")), want);
        assert_eq!(show(&counted, message), "it does not begin with its length in bytes and a space");
        assert_eq!(show(&counted, &format!("99 {message}")), "it does not begin with its length in bytes and a space");
        let bounded = |most_bytes| Syslog { most_bytes, ..counted.clone() };
        assert_eq!(show(&bounded(19), &format!("19 {message}")), want);
        assert_eq!(show(&bounded(18), &format!("19 {message}")), "it has 19 bytes, max_octets is 18");
        for (trailer, end) in [(Trailer::Lf, "\n"), (Trailer::Nul, "\0")] {
            let trailed = Syslog { trailer: Some(trailer), ..syslog(Protocol::Rfc5424) };
            assert_eq!(show(&trailed, &format!("{message}{end}")), want);
        }
        let bare = Syslog { may_lack_priority: true, ..syslog(Protocol::Rfc5424) };
        assert_eq!(show(&bare, "1 - - - - - - x"), r#"- - {version:1,message:"x"}"#);
        assert_eq!(show(&bare, message), want);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end_or_refused(text in "[<>0-9\\[\\]\"\\\\= :\\-a1é]{0,40}") {
            for protocol in [Protocol::Rfc3164, Protocol::Rfc5424] {
                for head in ["", "<1>", "<1>1 - - - - - [", "<13>Oct 11 22:14:15 "] {
                    let _ = syslog(protocol).read(&format!("{head}{text}"), NOW);
                }
            }
        }
    }
}
