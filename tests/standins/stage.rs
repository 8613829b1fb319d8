//! A scrape target that says what it is told: a text for each path, changed while it is scraped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A running target; its thread ends with the process.
pub struct Stage {
    /// `host:port`.
    pub address: String,
    texts: Texts,
}

/// By path: the content type and the text.
type Texts = Arc<Mutex<BTreeMap<String, (String, String)>>>;

impl Stage {
    /// Starts one that has nothing to say: every path is answered with 404.
    pub fn start() -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it listens").to_string();
        let texts = Texts::default();
        let said = texts.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let said = said.clone();
                std::thread::spawn(move || answer(&connection, &said));
            }
        });
        Stage { address, texts }
    }

    /// Says that text at that path from now on.
    pub fn say(&self, path: &str, content_type: &str, text: &str) {
        lock(&self.texts).insert(path.to_owned(), (content_type.to_owned(), text.to_owned()));
    }

    /// What a path says.
    pub fn said(&self, path: &str) -> String {
        lock(&self.texts)[path].1.clone()
    }

    /// Says 404 there from now on.
    pub fn fall_silent(&self, path: &str) {
        lock(&self.texts).remove(path);
    }
}

fn lock(texts: &Texts) -> MutexGuard<'_, BTreeMap<String, (String, String)>> {
    texts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request, and closes.
fn answer(mut connection: &TcpStream, texts: &Texts) {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    // The rest of the head; a scrape has no body.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, (content_type, text)) = match lock(texts).get(&path) {
        Some(said) => ("200 OK", said.clone()),
        None => ("404 Not Found", ("text/plain".to_owned(), "nothing is said here\n".to_owned())),
    };
    let len = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
    );
    // A client that went away does not want it.
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(text.as_bytes()));
}
