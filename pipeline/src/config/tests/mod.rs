//! Tests of the config language, one file a topic.

mod bad;
mod components;
mod decode;
mod expand;
mod load;
mod parse;
mod properties;
