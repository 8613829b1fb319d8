//! Tests of the config language, one file a topic.

mod bad;
mod compare;
mod components;
mod decode;
mod expand;
mod load;
mod parse;
mod properties;
