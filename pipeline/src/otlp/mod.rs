//! The wire layer: looks at and changes serialized OTLP without decoding it into objects.
//! [`wire`] reads protobuf fields, the views name them, [`mod@write`] makes them.

pub mod bound;
mod canonical;
pub mod check;
pub mod count;
pub mod edit;
pub mod fields;
pub mod filter;
pub mod hex;
pub mod json;
mod place;
mod schema;
mod splice;
pub mod split;
pub mod text;
pub mod view;
pub mod wire;
pub mod write;

pub use canonical::canonical;
pub use place::Place;
pub use wire::WireError;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
