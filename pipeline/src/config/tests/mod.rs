//! Tests of the config language, one file a topic.

mod decode;
mod parse;
