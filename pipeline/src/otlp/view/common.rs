//! Views of what all signals share: resource and scope envelopes, attributes, values.

use super::super::fields::{any_value, key_value, request, resource, resource_group, scope, scope_group};
use super::super::wire::{Field, Fields, Value, WireError, read_varint};
use super::super::write::Scalar;
use super::{Repeated, View};

/// The resource groups of an export request.
pub fn resources(request: &[u8]) -> Repeated<'_, ResourceGroup<'_>> {
    Repeated::new(request, request::RESOURCES)
}

/// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
#[derive(Clone, Copy, Debug)]
pub struct ResourceGroup<'a> {
    /// The whole message.
    pub raw: &'a [u8],
}

impl<'a> View<'a> for ResourceGroup<'a> {
    #[inline]
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        Ok(ResourceGroup { raw })
    }
}

impl<'a> ResourceGroup<'a> {
    /// The resource's attributes, of all its occurrences.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::nested(self.raw, resource_group::RESOURCE, resource::ATTRIBUTES)
    }

    /// The scope groups.
    pub fn scopes(&self) -> Repeated<'a, ScopeGroup<'a>> {
        Repeated::new(self.raw, resource_group::SCOPES)
    }

    /// `schema_url`, or empty.
    ///
    /// # Errors
    /// When the group is malformed.
    pub fn schema_url(&self) -> Result<&'a str, WireError> {
        last_text(self.raw, resource_group::SCHEMA_URL)
    }
}

/// `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
#[derive(Clone, Copy, Debug)]
pub struct ScopeGroup<'a> {
    /// The whole message.
    pub raw: &'a [u8],
}

impl<'a> View<'a> for ScopeGroup<'a> {
    #[inline]
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        Ok(ScopeGroup { raw })
    }
}

impl<'a> ScopeGroup<'a> {
    /// The scope's name and version, empty where absent.
    ///
    /// # Errors
    /// When the group is malformed.
    pub fn name_and_version(&self) -> Result<(&'a str, &'a str), WireError> {
        name_and_version(Repeated::new(self.raw, scope_group::SCOPE))
    }

    /// The same where it is known that the scope stands in front, see [`Known::scopes_first`](crate::Known::scopes_first):
    /// the items are not passed over in search of more of it.
    ///
    /// # Errors
    /// When the scope is malformed.
    pub fn leading_name_and_version(&self) -> Result<(&'a str, &'a str), WireError> {
        let leading = Fields::new(self.raw).map_while(|field| field.ok().filter(|f| f.number == scope_group::SCOPE));
        name_and_version(leading.map(|field| field.value.bytes()))
    }

    /// The scope's attributes, of all its occurrences.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::nested(self.raw, scope_group::SCOPE, scope::ATTRIBUTES)
    }

    /// `schema_url`, or empty.
    ///
    /// # Errors
    /// When the group is malformed.
    pub fn schema_url(&self) -> Result<&'a str, WireError> {
        last_text(self.raw, scope_group::SCHEMA_URL)
    }

    /// The items, as the view of the signal: [`Span`](super::Span), [`Metric`](super::Metric) or
    /// [`LogRecord`](super::LogRecord), or `&[u8]`.
    pub fn items<T: View<'a>>(&self) -> Repeated<'a, T> {
        Repeated::new(self.raw, scope_group::ITEMS)
    }
}

fn name_and_version<'a>(
    occurrences: impl Iterator<Item = Result<&'a [u8], WireError>>,
) -> Result<(&'a str, &'a str), WireError> {
    let (mut name, mut version) = ("", "");
    for occurrence in occurrences {
        for field in Fields::new(occurrence?) {
            let field = field?;
            match field.number {
                scope::NAME => name = field.value.text()?,
                scope::VERSION => version = field.value.text()?,
                _ => {}
            }
        }
    }
    Ok((name, version))
}

fn last_text(message: &[u8], number: u32) -> Result<&str, WireError> {
    let mut last = "";
    for field in Fields::new(message) {
        let field = field?;
        if field.number == number {
            last = field.value.text()?;
        }
    }
    Ok(last)
}

/// Attributes: `KeyValue`s in the order they stand. Ends after the first error.
#[derive(Clone, Debug)]
pub struct KeyValues<'a> {
    outer: Fields<'a>,
    outer_number: u32,
    inner: Fields<'a>,
    inner_number: u32,
}

impl<'a> KeyValues<'a> {
    /// The attributes in field `number` of `message`.
    #[inline]
    pub fn new(message: &'a [u8], number: u32) -> KeyValues<'a> {
        KeyValues { outer: Fields::new(&[]), outer_number: 0, inner: Fields::new(message), inner_number: number }
    }

    /// The attributes in field `number` of every occurrence of field `outer_number` in `message`.
    #[inline]
    pub fn nested(message: &'a [u8], outer_number: u32, number: u32) -> KeyValues<'a> {
        KeyValues { outer: Fields::new(message), outer_number, inner: Fields::new(&[]), inner_number: number }
    }

    /// The last attribute of that key, as receivers read duplicate keys.
    ///
    /// # Errors
    /// When an attribute is malformed.
    pub fn find(self, key: &str) -> Result<Option<AnyValue<'a>>, WireError> {
        let mut found = None;
        for attribute in self {
            let attribute = attribute?;
            if attribute.key == key {
                found = Some(attribute.value);
            }
        }
        Ok(found)
    }
}

impl<'a> Iterator for KeyValues<'a> {
    type Item = Result<KeyValue<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for field in self.inner.by_ref() {
                match field {
                    Ok(field) if field.number != self.inner_number => {}
                    Ok(field) => return Some(field.value.bytes().and_then(KeyValue::view)),
                    Err(error) => return Some(Err(error)),
                }
            }
            match self.outer.next()? {
                Ok(field) if field.number != self.outer_number => {}
                Ok(field) => match field.value.bytes() {
                    Ok(message) => self.inner = Fields::new(message),
                    Err(error) => return Some(Err(error)),
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyValue<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: AnyValue<'a>,
}

impl<'a> View<'a> for KeyValue<'a> {
    #[inline]
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let (mut key, mut value) = ("", AnyValue::Empty);
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                key_value::KEY => key = field.value.text()?,
                key_value::VALUE => value = AnyValue::view(field.value.bytes()?)?,
                _ => {}
            }
        }
        Ok(KeyValue { raw, key, value })
    }
}

/// A value. Arrays and maps are read when asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyValue<'a> {
    /// No value is set, or an index into a string table, which only profiles have.
    Empty,
    /// `string_value`.
    Text(&'a str),
    /// `bool_value`.
    Bool(bool),
    /// `int_value`.
    Int(i64),
    /// `double_value`.
    Double(f64),
    /// `array_value`: the bytes of an `ArrayValue`; see [`AnyValue::elements`].
    Array(&'a [u8]),
    /// `kvlist_value`: the bytes of a `KeyValueList`; see [`AnyValue::entries`].
    Map(&'a [u8]),
    /// `bytes_value`.
    Bytes(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    /// The elements of an array; none for other values.
    pub fn elements(self) -> Repeated<'a, AnyValue<'a>> {
        Repeated::new(if let AnyValue::Array(raw) = self { raw } else { &[] }, any_value::VALUES)
    }

    /// The entries of a map; none for other values.
    pub fn entries(self) -> KeyValues<'a> {
        KeyValues::new(if let AnyValue::Map(raw) = self { raw } else { &[] }, any_value::VALUES)
    }

    /// The text of a string value.
    pub fn as_text(self) -> Option<&'a str> {
        if let AnyValue::Text(text) = self { Some(text) } else { None }
    }

    /// The value, unless it is empty, an array or a map.
    pub fn as_scalar(self) -> Option<Scalar<'a>> {
        match self {
            AnyValue::Text(v) => Some(Scalar::Text(v)),
            AnyValue::Bool(v) => Some(Scalar::Bool(v)),
            AnyValue::Int(v) => Some(Scalar::Int(v)),
            AnyValue::Double(v) => Some(Scalar::Double(v)),
            AnyValue::Bytes(v) => Some(Scalar::Bytes(v)),
            AnyValue::Empty | AnyValue::Array(_) | AnyValue::Map(_) => None,
        }
    }
}

impl<'a> View<'a> for AnyValue<'a> {
    #[inline]
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut value = AnyValue::Empty;
        for field in Fields::new(raw) {
            let Field { number, value: v, .. } = field?;
            value = match number {
                any_value::STRING => AnyValue::Text(v.text()?),
                any_value::BOOL => AnyValue::Bool(v.varint()? != 0),
                any_value::INT => AnyValue::Int(v.int64()?),
                any_value::DOUBLE => AnyValue::Double(v.double()?),
                any_value::ARRAY => AnyValue::Array(v.bytes()?),
                any_value::KVLIST => AnyValue::Map(v.bytes()?),
                any_value::BYTES => AnyValue::Bytes(v.bytes()?),
                any_value::STRING_INDEX => {
                    v.varint()?;
                    AnyValue::Empty
                }
                _ => value,
            };
        }
        Ok(value)
    }
}

/// Numbers of a packed or unpacked repeated field, as 64 bits each.
#[derive(Clone, Debug)]
pub struct Numbers<'a> {
    fields: Fields<'a>,
    number: u32,
    packed: &'a [u8],
    fixed: bool,
}

impl<'a> Numbers<'a> {
    /// `fixed64` and `double` fields of that number.
    pub fn fixed64(message: &'a [u8], number: u32) -> Numbers<'a> {
        Numbers { fields: Fields::new(message), number, packed: &[], fixed: true }
    }

    /// Varint fields of that number.
    pub fn varint(message: &'a [u8], number: u32) -> Numbers<'a> {
        Numbers { fields: Fields::new(message), number, packed: &[], fixed: false }
    }

    fn read_packed(&mut self) -> Result<u64, WireError> {
        if self.fixed {
            let (number, rest) = self.packed.split_first_chunk::<8>().ok_or(WireError::Truncated)?;
            self.packed = rest;
            Ok(u64::from_le_bytes(*number))
        } else {
            let mut at = 0;
            let number = read_varint(self.packed, &mut at)?;
            self.packed = &self.packed[at..];
            Ok(number)
        }
    }
}

impl Iterator for Numbers<'_> {
    type Item = Result<u64, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.fixed
            && let Some((number, rest)) = self.packed.split_first_chunk::<8>()
        {
            self.packed = rest;
            return Some(Ok(u64::from_le_bytes(*number)));
        }
        self.next_anyhow()
    }
}

impl Numbers<'_> {
    fn next_anyhow(&mut self) -> Option<Result<u64, WireError>> {
        loop {
            if !self.packed.is_empty() {
                let number = self.read_packed();
                if number.is_err() {
                    self.packed = &[];
                    self.fields = Fields::new(&[]);
                }
                return Some(number);
            }
            match self.fields.next()? {
                Ok(field) if field.number != self.number => {}
                Ok(Field { value: Value::Len(packed), .. }) => self.packed = packed,
                Ok(field) if self.fixed => return Some(field.value.fixed64()),
                Ok(field) => return Some(field.value.varint()),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
