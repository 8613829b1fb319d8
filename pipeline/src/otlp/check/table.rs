//! What to do with a field, by message and key byte: the schema turned into a table.

use super::super::schema::{Cardinality, Kind, Type};
use super::super::wire::{FIXED32, FIXED64, GROUP_END, LEN, VARINT};

/// What to do with a field: one of the constants, or a nested message with whether it is an item or may occur once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action(u8);

/// By message and by the first byte of the key.
pub(super) type Actions = [[Action; 128]; Type::COUNT];

pub(super) static ACTIONS: Actions = actions(false);
pub(super) static ENVELOPE_ACTIONS: Actions = actions(true);

impl Action {
    pub(super) const UNKNOWN: Action = Action(0);
    pub(super) const VARINT: Action = Action(1);
    pub(super) const FIXED64: Action = Action(2);
    pub(super) const FIXED32: Action = Action(3);
    pub(super) const BYTES: Action = Action(4);
    pub(super) const TEXT: Action = Action(5);
    pub(super) const TRACE_ID: Action = Action(6);
    pub(super) const SPAN_ID: Action = Action(7);
    pub(super) const PACKED_FIXED64: Action = Action(8);
    pub(super) const PACKED_VARINT: Action = Action(9);
    pub(super) const KEY_VALUE: Action = Action(10);
    pub(super) const OPAQUE_ITEM: Action = Action(11);
    pub(super) const WRONG_TYPE: Action = Action(12);
    pub(super) const BAD_KEY: Action = Action(13);
    pub(super) const BAD_GROUP: Action = Action(14);
    pub(super) const LONG_KEY: Action = Action(15);
    const NESTED: u8 = 0x40;
    const ONCE: u8 = 0x80;
    const ITEM: u8 = 0xc0;

    #[inline]
    pub(super) fn is_once(self) -> bool {
        self.0 & 0xc0 == Action::ONCE
    }

    #[inline]
    pub(super) fn is_item(self) -> bool {
        self.0 & 0xc0 == Action::ITEM
    }

    #[inline]
    pub(super) fn message(self) -> u8 {
        self.0 & 0x3f
    }
}

/// The action for a key that takes more than one byte: of a field above 15, or written longer than it needs.
pub(super) fn long(message: u8, actions: &[Action; 128], key: u32) -> Action {
    if let Some(action) = actions.get(key as usize) {
        return *action;
    }
    let fields = Type::ALL[usize::from(message)].fields();
    match fields.iter().find(|field| field.number == key >> 3) {
        Some(field) => of(field.kind, field.cardinality, key & 7, false),
        None => unknown(key & 7),
    }
}

const fn unknown(wire_type: u32) -> Action {
    match wire_type {
        GROUP_END => Action::BAD_GROUP,
        0..=FIXED32 => Action::UNKNOWN,
        _ => Action::BAD_KEY,
    }
}

const fn actions(envelope: bool) -> Actions {
    let mut out = [[Action::BAD_KEY; 128]; Type::COUNT];
    let mut message = 0;
    while message < Type::COUNT {
        let mut key = 8;
        while key < 128 {
            out[message][key] = unknown(key as u32 & 7);
            key += 1;
        }
        let fields = Type::ALL[message].fields();
        let mut i = 0;
        while i < fields.len() {
            let mut wire_type = 0;
            while wire_type < 8 && fields[i].number < 16 {
                let key = (fields[i].number << 3 | wire_type) as usize;
                out[message][key] = of(fields[i].kind, fields[i].cardinality, wire_type, envelope);
                wire_type += 1;
            }
            i += 1;
        }
        message += 1;
    }
    out
}

const fn of(kind: Kind, cardinality: Cardinality, wire_type: u32, envelope: bool) -> Action {
    let many = matches!(cardinality, Cardinality::Many);
    match (kind, wire_type) {
        (_, GROUP_END) => Action::BAD_GROUP,
        (_, 6..) => Action::BAD_KEY,
        (Kind::Text, LEN) => Action::TEXT,
        (Kind::Bytes, LEN) => Action::BYTES,
        (Kind::TraceId, LEN) => Action::TRACE_ID,
        (Kind::SpanId, LEN) => Action::SPAN_ID,
        (Kind::Fixed64 | Kind::Sfixed64 | Kind::Double, FIXED64) => Action::FIXED64,
        (Kind::Fixed64 | Kind::Sfixed64 | Kind::Double, LEN) if many => Action::PACKED_FIXED64,
        (Kind::Fixed32, FIXED32) => Action::FIXED32,
        (Kind::Message(Type::KeyValue), LEN) => Action::KEY_VALUE,
        (Kind::Message(message), LEN) => nested(message, many, envelope),
        (
            Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Enum(..),
            VARINT,
        ) => Action::VARINT,
        (Kind::Uint64, LEN) if many => Action::PACKED_VARINT,
        _ => Action::WRONG_TYPE,
    }
}

const fn nested(message: Type, many: bool, envelope: bool) -> Action {
    let is_item = matches!(
        message,
        Type::Span
            | Type::LogRecord
            | Type::NumberPoint
            | Type::HistogramPoint
            | Type::ExponentialPoint
            | Type::SummaryPoint
    );
    match (is_item, many) {
        (true, _) if envelope => Action::OPAQUE_ITEM,
        (true, _) => Action(Action::ITEM | message as u8),
        (false, true) => Action(Action::NESTED | message as u8),
        (false, false) => Action(Action::ONCE | message as u8),
    }
}
