//! The ids of requests as they are remembered: those of the server and those of clients, who choose what they like, apart.

/// Who gave a request its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// Dynamo: one for each request.
    Server,
    /// The client: perhaps the same for several.
    Client,
}

/// The id under which it is remembered.
pub fn key(by: By, text: &str) -> String {
    let prefix = match by {
        By::Server => "request:",
        By::Client => "client:",
    };
    [prefix, text].concat()
}
