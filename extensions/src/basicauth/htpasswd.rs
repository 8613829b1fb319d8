//! Users and hashes as the tool `htpasswd` writes them. Checking takes as long for a user who is not there.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::apr1;
use crate::constant_time::is_same;

/// A longer password is nobody's.
const MOST_PASSWORD_BYTES: usize = 1024;
/// A SHA-1 digest has as many bytes.
const SHA1_BYTES: usize = 20;

/// Who may come in.
#[derive(Default)]
pub(super) struct Users {
    by_name: HashMap<String, Hash>,
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// bcrypt, `$2y$…`, as it is written.
    Bcrypt(String),
    /// Apache's MD5, `$apr1$salt$…`.
    Apr1 { salt: String, hash: String },
    /// `{SHA}` or, with a salt, `{SSHA}`.
    Sha1 { digest: Vec<u8>, salt: Vec<u8> },
    /// The password itself.
    Plain(String),
}

impl Users {
    /// Reads lines `user:hash`; empty ones and those that begin with `#` do not count, and the last of a user does.
    ///
    /// # Errors
    /// The first line that is none, without showing it.
    pub(super) fn parse(text: &str) -> Result<Users, String> {
        let mut by_name = HashMap::new();
        for (n, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = line.split_once(':').ok_or_else(|| format!("line {}: it has no user:hash", n + 1))?;
            let hash = Hash::parse(hash).map_err(|message| format!("line {}: {message}", n + 1))?;
            by_name.insert(name.to_owned(), hash);
        }
        Ok(Users { by_name })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Hash> {
        self.by_name.get(name)
    }

    /// The one that takes longest to check: what a password is compared with in vain.
    pub(super) fn slowest(&self) -> Option<&Hash> {
        self.by_name.values().max_by_key(|hash| hash.cost())
    }
}

impl Hash {
    fn parse(text: &str) -> Result<Hash, String> {
        let sha1 = |text: &str| {
            let bytes = BASE64_STANDARD.decode(text).ok().filter(|bytes| bytes.len() >= SHA1_BYTES);
            bytes.ok_or_else(|| "the hash is not base64 of a SHA-1 digest".to_owned())
        };
        if text.starts_with("$2") {
            return if is_bcrypt(text) {
                Ok(Hash::Bcrypt(text.to_owned()))
            } else {
                Err("the bcrypt hash is broken".to_owned())
            };
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            let (salt, hash) = rest.split_once('$').ok_or("the apr1 hash is broken")?;
            return Ok(Hash::Apr1 { salt: salt.to_owned(), hash: hash.to_owned() });
        }
        if let Some(rest) = text.strip_prefix("{SHA}") {
            return sha1(rest).map(|digest| Hash::Sha1 { digest, salt: Vec::new() });
        }
        if let Some(rest) = text.strip_prefix("{SSHA}") {
            let mut digest = sha1(rest)?;
            let salt = digest.split_off(SHA1_BYTES);
            return Ok(Hash::Sha1 { digest, salt });
        }
        if text.starts_with('$') || text.starts_with('{') {
            let kind: String = text.chars().take_while(|c| !c.is_ascii_digit()).take(8).collect();
            return Err(format!("hashes that begin with {kind} are not known, use bcrypt: htpasswd -B"));
        }
        Ok(Hash::Plain(text.to_owned()))
    }

    /// How long checking takes, roughly.
    fn cost(&self) -> u64 {
        match self {
            Hash::Bcrypt(hash) => {
                1_000 << hash.get(4..6).and_then(|cost| cost.parse::<u32>().ok()).unwrap_or(0).min(31)
            }
            Hash::Apr1 { .. } => 1_000,
            Hash::Sha1 { .. } => 2,
            Hash::Plain(_) => 1,
        }
    }

    /// Whether checking takes so long that others must not wait for it.
    pub(super) fn is_slow(&self) -> bool {
        self.cost() >= 1_000
    }

    /// What tells it from others.
    pub(super) fn written(&self) -> String {
        match self {
            Hash::Bcrypt(text) | Hash::Plain(text) => text.clone(),
            Hash::Apr1 { salt, hash } => format!("{salt}${hash}"),
            Hash::Sha1 { digest, salt } => BASE64_STANDARD.encode([digest.as_slice(), salt].concat()),
        }
    }

    /// Whether that is the password; takes as long for a wrong one.
    pub(super) fn is_of(&self, password: &str) -> bool {
        if password.len() > MOST_PASSWORD_BYTES {
            return false;
        }
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Apr1 { salt, hash } => {
                is_same(apr1::hash(password.as_bytes(), salt.as_bytes()).as_bytes(), hash.as_bytes())
            }
            Hash::Sha1 { digest: expected, salt } => {
                let found = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[password.as_bytes(), salt].concat());
                is_same(found.as_ref(), expected)
            }
            Hash::Plain(expected) => is_same(password.as_bytes(), expected.as_bytes()),
        }
    }
}

/// `$2y$`, two digits of cost, `$`, 22 letters of salt and 31 of hash.
fn is_bcrypt(text: &str) -> bool {
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    let kind = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| text.starts_with(kind));
    let hash = text.get(6..7) == Some("$") && text.get(7..).is_some_and(letters);
    text.len() == 60 && kind && hash && cost.is_some_and(|cost| (4..=31).contains(&cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, password: &str, expected: bool) {
        let users = Users::parse(&format!("# users\n\nada:{line}\n")).unwrap();
        assert_eq!(users.find("ada").unwrap().is_of(password), expected, "{line} {password}");
    }

    #[test]
    fn passwords_are_checked_by_every_hash_that_htpasswd_writes() {
        // By libcrypt, by `openssl passwd -apr1`, by `htpasswd -s`.
        for (line, password) in [
            ("$2y$05$abcdefghijklmnopqrstuugwV8qBBvnFAgKU/1lAQTjzoU4mNz2BW", "myPassword"),
            ("$apr1$mxiPu2.4$w0FxFckZxqZ66f.HG3K5c/", "myPassword"),
            ("$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61", "a"),
            ("$apr1$x$O6F9y/b9JhlbGONZY74JK/", "a very long password, longer than sixteen bytes"),
            ("{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "admin"),
            ("s3cr3t!", "s3cr3t!"),
        ] {
            check(line, password, true);
            check(line, &format!("{password}x"), false);
            check(line, "", false);
        }
        check("$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.", "", true);
        check("x", &"x".repeat(MOST_PASSWORD_BYTES + 1), false);
        let salted = digest(&SHA1_FOR_LEGACY_USE_ONLY, b"myPasswordsalt");
        let salted = BASE64_STANDARD.encode([salted.as_ref(), b"salt".as_slice()].concat());
        check(&format!("{{SSHA}}{salted}"), "myPassword", true);
        check(&format!("{{SSHA}}{salted}"), "otherPassword", false);
    }

    #[test]
    fn what_is_no_line_is_said_without_showing_it() {
        let wrong = |text: &str| Users::parse(text).err().unwrap();
        assert_eq!(wrong("ada:x\ns3cr3t"), "line 2: it has no user:hash");
        assert_eq!(wrong("ada:$2y$05$s3cr3t"), "line 1: the bcrypt hash is broken");
        assert_eq!(wrong("ada:$6$s3cr3t$x"), "line 1: hashes that begin with $ are not known, use bcrypt: htpasswd -B");
        assert!(!wrong("ada:{SHA}s3cr3t").contains("s3cr3t"));
    }

    #[test]
    fn the_last_line_of_a_user_counts() {
        let users = Users::parse("ada:one\nbob:x\nada:two").unwrap();
        assert!(users.find("ada").unwrap().is_of("two"));
        assert!(users.slowest().is_some_and(|hash| !hash.is_slow()));
    }
}
