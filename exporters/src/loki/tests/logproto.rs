//! Loki's messages, decoded by prost, and a text form to compare them in.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct StreamAdapter {
    #[prost(string, tag = "1")]
    pub labels: String,
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<EntryAdapter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub line: String,
    #[prost(message, repeated, tag = "3")]
    pub structured_metadata: Vec<LabelPair>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

impl PushRequest {
    /// The labels of each stream, and below them its entries: `seconds.nanos "line" name=value …`.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        for stream in &self.streams {
            out.push(stream.labels.clone());
            out.extend(stream.entries.iter().map(|e| format!("  {}", e.line())));
        }
        out
    }
}

impl EntryAdapter {
    /// Nanoseconds since 1970.
    pub fn time(&self) -> i64 {
        let time = self.timestamp.as_ref().unwrap();
        time.seconds * 1_000_000_000 + i64::from(time.nanos)
    }

    /// A value of the structured metadata.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.structured_metadata.iter().find(|p| p.name == name).map(|p| p.value.as_str())
    }

    fn line(&self) -> String {
        let metadata: Vec<_> = self.structured_metadata.iter().map(|p| format!(" {}={}", p.name, p.value)).collect();
        format!("{} {:?}{}", self.time() - super::otlp::TIME.cast_signed(), self.line, metadata.concat())
    }
}
