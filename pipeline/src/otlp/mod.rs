//! The wire layer: looks at and changes serialized OTLP without decoding it into objects.
//! [`wire`] reads protobuf fields, the views name them, [`write`] makes them.

pub mod count;
pub mod fields;
pub mod view;
pub mod wire;
pub mod write;

pub use wire::WireError;
