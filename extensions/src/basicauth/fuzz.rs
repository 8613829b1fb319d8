//! What must hold for any bytes: shown as credentials, or given as an `htpasswd`.

use http::HeaderValue;

use super::htpasswd::Users;
use super::server::credentials;

/// Any bytes as the header of a client: read or not, and never more than is there.
pub fn header(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    if let Some((user, password)) = credentials(&value) {
        assert!(user.len() + password.len() < data.len() && !user.contains(':'));
    }
}

/// Any bytes as an `htpasswd`: what is wrong is said without showing it, and who is in it has one password at most.
pub fn htpasswd(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Users::parse(text) {
        Ok(users) => {
            for name in text.lines().filter_map(|line| Some(line.trim().split_once(':')?.0)) {
                // Slow ones would only take the time of those who look for bugs.
                if let Some(hash) = users.find(name).filter(|hash| !hash.is_slow()) {
                    assert!(!(hash.is_of("one") && hash.is_of("other")));
                }
            }
        }
        Err(message) => assert!(message.starts_with("line ") && message.len() < 120, "{message}"),
    }
}
