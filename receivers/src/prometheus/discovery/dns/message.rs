//! DNS messages (RFC 1035): writes a question, reads an answer. Only the records that can be targets are kept.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::prometheus::config::RecordType;

/// The longest name, as text.
const MOST_NAME_BYTES: usize = 255;
/// The longest label of a name.
const MOST_LABEL_BYTES: usize = 63;
/// Places in a name that point elsewhere, at most.
const MOST_POINTERS: usize = 64;
/// What we take over UDP, as EDNS (RFC 6891) tells the server.
const MOST_DATAGRAM: u16 = 4096;
/// The type of EDNS's record.
const OPT: u16 = 41;
const INTERNET: u16 = 1;
const HEADER_BYTES: usize = 12;

/// A record that can be a target. Names end in a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A host with a port.
    Srv {
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
    /// A mail server.
    Mx(String),
    /// A name server.
    Ns(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the question.
    pub id: u16,
    /// What became of it; 0 is success, 3 that there is no such name.
    pub code: u8,
    /// It did not fit.
    pub truncated: bool,
    /// The records of the type that was asked for.
    pub records: Vec<Record>,
}

/// A question for the records of a name.
///
/// # Errors
/// A name that cannot be one.
pub fn question(id: u16, name: &str, records: RecordType) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(64);
    for number in [id, 0x0100, 1, 0, 0, 1] {
        out.extend_from_slice(&u16::to_be_bytes(number));
    }
    let plain = name.strip_suffix('.').unwrap_or(name);
    for label in plain.split('.').filter(|_| !plain.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=MOST_LABEL_BYTES).contains(&usize::from(*n)));
        out.push(length.ok_or_else(|| format!("{name:?} cannot be a name in DNS"))?);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() - HEADER_BYTES > MOST_NAME_BYTES {
        return Err(format!("{name:?} is too long for DNS"));
    }
    for number in [records.number(), INTERNET] {
        out.extend_from_slice(&u16::to_be_bytes(number));
    }
    // The root's name, EDNS, its size, no extended code, version 0, no flags, no data.
    out.push(0);
    for number in [OPT, MOST_DATAGRAM, 0, 0, 0] {
        out.extend_from_slice(&u16::to_be_bytes(number));
    }
    Ok(out)
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub fn answer(message: &[u8], wanted: RecordType) -> Result<Answer, &'static str> {
    let mut rest = Reader { message, at: 0 };
    let (id, flags) = (rest.u16()?, rest.u16()?);
    if flags & 0x8000 == 0 {
        return Err("it is a question");
    }
    let (questions, answers) = (rest.u16()?, rest.u16()?);
    rest.skip(4)?;
    for _ in 0..questions {
        rest.name()?;
        rest.skip(4)?;
    }
    let mut records = Vec::new();
    // What is there of an answer that did not fit is of no use.
    let truncated = flags & 0x0200 != 0;
    for _ in 0..if truncated { 0 } else { answers } {
        rest.name()?;
        let (kind, class) = (rest.u16()?, rest.u16()?);
        rest.skip(4)?;
        let length = usize::from(rest.u16()?);
        let end = rest.at + length;
        if end > message.len() {
            return Err("a record ends behind the message");
        }
        if kind == wanted.number() && class == INTERNET {
            let mut data = Reader { message: &message[..end], at: rest.at };
            records.push(data.record(wanted)?);
        }
        rest.at = end;
    }
    Ok(Answer { id, code: (flags & 0xf) as u8, truncated, records })
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let bytes = self.message.get(self.at..self.at + N).ok_or("it ends too early")?;
        self.at += N;
        bytes.try_into().map_err(|_| "it ends too early")
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        self.take().map(u16::from_be_bytes)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), &'static str> {
        self.at += bytes;
        if self.at > self.message.len() { Err("it ends too early") } else { Ok(()) }
    }

    fn record(&mut self, kind: RecordType) -> Result<Record, &'static str> {
        Ok(match kind {
            RecordType::A => Record::A(Ipv4Addr::from(self.take::<4>()?)),
            RecordType::Aaaa => Record::Aaaa(Ipv6Addr::from(self.take::<16>()?)),
            RecordType::Ns => Record::Ns(self.name()?),
            RecordType::Mx => {
                self.skip(2)?;
                Record::Mx(self.name()?)
            }
            RecordType::Srv => {
                self.skip(4)?;
                Record::Srv { port: self.u16()?, target: self.name()? }
            }
        })
    }

    /// A name with its last dot. Bytes that are not visible ASCII, and dots within labels, are written as `\ddd`.
    fn name(&mut self) -> Result<String, &'static str> {
        let mut name = String::new();
        let (mut at, mut pointers, mut bytes) = (self.at, 0, 0);
        loop {
            let length = *self.message.get(at).ok_or("a name ends too early")?;
            match length {
                0 => {
                    if pointers == 0 {
                        self.at = at + 1;
                    }
                    if name.is_empty() {
                        name.push('.');
                    }
                    return Ok(name);
                }
                1..=63 => {
                    let label =
                        self.message.get(at + 1..at + 1 + usize::from(length)).ok_or("a name ends too early")?;
                    bytes += label.len() + 1;
                    if bytes > MOST_NAME_BYTES {
                        return Err("a name is too long");
                    }
                    for byte in label {
                        match byte {
                            b'.' | b'\\' | 0..=32 | 127.. => name.push_str(&format!("\\{byte:03}")),
                            _ => name.push(char::from(*byte)),
                        }
                    }
                    name.push('.');
                    at += label.len() + 1;
                }
                192.. => {
                    let low = *self.message.get(at + 1).ok_or("a name ends too early")?;
                    if pointers == 0 {
                        self.at = at + 2;
                    }
                    pointers += 1;
                    if pointers > MOST_POINTERS {
                        return Err("a name points in circles");
                    }
                    at = usize::from(length & 0x3f) << 8 | usize::from(low);
                }
                _ => return Err("a name has a label of an unknown kind"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to a question, with these records written after it: type and data each.
    fn answered(question: &[u8], flags: u16, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut out = question[..question.len() - 11].to_vec();
        out[2..4].copy_from_slice(&flags.to_be_bytes());
        out[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        out[10..12].copy_from_slice(&[0, 0]);
        for (kind, data) in records {
            out.extend_from_slice(&[0xc0, 12]);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 30]);
            out.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend_from_slice(data);
        }
        out
    }

    #[test]
    fn a_question_is_what_a_server_expects() {
        let asked = question(0x1234, "a.bc", RecordType::Srv).unwrap();
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x02bc\x00\x00\x21\x00\x01\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(asked, expected);
        assert_eq!(question(0x1234, "a.bc.", RecordType::Srv).unwrap(), expected);
        assert!(question(1, "a..b", RecordType::A).is_err());
        assert!(question(1, &"x".repeat(64), RecordType::A).is_err());
        assert!(question(1, &"x.".repeat(200), RecordType::A).is_err());
    }

    #[test]
    fn records_of_each_type_are_read_and_others_passed_over() {
        let check = |kind: RecordType, records: &[(u16, Vec<u8>)], expected: &[Record]| {
            let asked = question(7, "w.x", kind).unwrap();
            let got = answer(&answered(&asked, 0x8180, records), kind).unwrap();
            assert_eq!((got.id, got.code, got.truncated, got.records.as_slice()), (7, 0, false, expected));
        };
        let alias = (5, vec![0xc0, 12]);
        check(RecordType::A, &[alias, (1, vec![10, 0, 0, 1])], &[Record::A(Ipv4Addr::new(10, 0, 0, 1))]);
        let v6 = Ipv6Addr::LOCALHOST;
        check(RecordType::Aaaa, &[(28, v6.octets().to_vec())], &[Record::Aaaa(v6)]);
        let srv = [&[0, 1, 0, 2, 0x1f, 0x91, 3][..], b"pod", &[0xc0, 12]].concat();
        check(RecordType::Srv, &[(33, srv)], &[Record::Srv { port: 8081, target: "pod.w.x.".to_owned() }]);
        check(RecordType::Mx, &[(15, vec![0, 5, 0xc0, 12])], &[Record::Mx("w.x.".to_owned())]);
        check(RecordType::Ns, &[(2, vec![2, b'a', b'.', 0])], &[Record::Ns("a\\046.".to_owned())]);
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        let asked = question(7, "w.x", RecordType::A).unwrap();
        assert_eq!(answer(&asked, RecordType::A).unwrap_err(), "it is a question");
        let good = answered(&asked, 0x8180, &[(1, vec![1, 2, 3, 4])]);
        for end in 0..good.len() {
            assert!(answer(&good[..end], RecordType::A).is_err(), "{end}");
        }
        assert!(answer(&answered(&asked, 0x8180, &[(1, vec![1, 2, 3])]), RecordType::A).is_err());
        let circle = answered(&asked, 0x8180, &[(2, vec![0xc0, 33])]);
        assert_eq!(circle[33..], [0xc0, 33], "the name points at itself");
        let circle = answer(&circle, RecordType::Ns);
        assert_eq!(circle.unwrap_err(), "a name points in circles");
        let missing = answer(&answered(&asked, 0x8183, &[]), RecordType::A).unwrap();
        assert_eq!((missing.code, missing.records.len()), (3, 0));
    }
}
