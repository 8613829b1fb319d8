//! Joins what protobuf says is one message although it stands there in pieces. Nearly nobody sends such requests, so
//! the rest of the wire layer may assume that there are none.

use bytes::Bytes;
use smallvec::SmallVec;

use super::check;
use super::schema::{Cardinality, FieldType, Kind, Type};
use super::wire::{Fields, WireError};
use super::write::Writer;
use crate::batch::Signal;

/// The same request with every message that should occur once in one piece, and of fields that exclude each other only
/// the one that counts. Answers `None` when it is so already, which [`check::full`] tells beforehand.
///
/// # Errors
/// Those of [`check::full`].
pub fn canonical(signal: Signal, request: &Bytes) -> Result<Option<Bytes>, WireError> {
    if !check::full(signal, request)?.needs_joining {
        return Ok(None);
    }
    let mut out = Writer::with_capacity(request.len());
    join(Type::request(signal), request, &mut out)?;
    Ok(Some(out.into_bytes()))
}

/// Writes the inside of a message with its pieces joined. The nesting is as deep as the check allows.
fn join(message: Type, bytes: &[u8], out: &mut Writer) -> Result<(), WireError> {
    let mut once = Once::default();
    for field in Fields::new(bytes) {
        let field = field?;
        match message.field(field.number) {
            Some(FieldType { kind: Kind::Message(inner), cardinality: Cardinality::Many, .. }) => {
                out.message(field.number, |out| join(*inner, field.value.bytes()?, out))?;
            }
            Some(FieldType { kind: Kind::Message(inner), cardinality, .. }) => {
                once.piece(field.number, *inner, field.value.bytes()?, *cardinality == Cardinality::OneOf);
            }
            Some(FieldType { cardinality: Cardinality::OneOf, .. }) => once.scalar(field.raw),
            _ => out.raw(field.raw),
        }
    }
    if let Some(scalar) = once.scalar {
        out.raw(scalar);
    }
    for Pieces { number, message, pieces, .. } in once.messages {
        out.message(number, |out| match pieces.as_slice() {
            [piece] => join(message, piece, out),
            pieces => join(message, &pieces.concat(), out),
        })?;
    }
    Ok(())
}

/// What may be there once: messages in pieces, and the fields of which only one may be there.
#[derive(Default)]
struct Once<'a> {
    messages: SmallVec<[Pieces<'a>; 2]>,
    scalar: Option<&'a [u8]>,
}

struct Pieces<'a> {
    number: u32,
    message: Type,
    pieces: SmallVec<[&'a [u8]; 2]>,
    one_of: bool,
}

impl<'a> Once<'a> {
    fn piece(&mut self, number: u32, message: Type, piece: &'a [u8], one_of: bool) {
        if one_of {
            self.scalar = None;
            self.messages.retain(|other| !other.one_of || other.number == number);
        }
        match self.messages.iter_mut().find(|other| other.number == number) {
            Some(other) => other.pieces.push(piece),
            None => self.messages.push(Pieces { number, message, pieces: SmallVec::from_slice(&[piece]), one_of }),
        }
    }

    fn scalar(&mut self, field: &'a [u8]) {
        self.messages.retain(|message| !message.one_of);
        self.scalar = Some(field);
    }
}
