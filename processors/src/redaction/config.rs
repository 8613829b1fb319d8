//! The config of `redaction`: the collector's keys, and a preset for the prompts and completions of language models.

use pipeline::config::{Opaque, Problem, Settings, re2};
use serde::Deserialize;

/// The config of `redaction`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A set of rules by name.
    pub preset: Option<Preset>,
    /// With `preset: gen_ai`: hands prompts and completions on, as if there were no preset.
    pub keep_content: bool,
    /// Keeps keys that are not in `allowed_keys`.
    pub allow_all_keys: bool,
    /// The keys that stay.
    pub allowed_keys: Vec<String>,
    /// Keys that stay as they are, whatever the other rules say.
    pub ignored_keys: Vec<String>,
    /// The same, by regular expressions.
    pub ignored_key_patterns: Vec<String>,
    /// Regular expressions of keys whose values are masked.
    pub blocked_key_patterns: Vec<String>,
    /// Regular expressions of what is masked in values.
    pub blocked_values: Vec<String>,
    /// Regular expressions of values that stay as they are, though a rule blocks them.
    pub allowed_values: Vec<String>,
    /// Whether the rules for values see numbers, booleans, lists and maps too, in their text form.
    pub redact_all_types: bool,
    /// Puts a hash in the place of what is masked, in place of asterisks.
    pub hash_function: Option<HashFunction>,
    /// The key of the `hmac-…` functions.
    pub hmac_key: Opaque,
    /// What is written about the redaction into the attributes.
    pub summary: Summary,
    /// The collector's sanitizer of URLs, which is not there.
    pub url_sanitizer: UrlSanitizer,
    /// The collector's sanitizer of database queries, which is not there.
    pub db_sanitizer: DbSanitizer,
}

/// A set of rules by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Takes away the prompts, completions and message bodies of language models.
    GenAi,
}

/// The hash functions that the collector has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashFunction {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA3-256.
    Sha3,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl HashFunction {
    /// How many bytes its key must have, and its name; nothing without a key.
    fn key(self) -> Option<(usize, &'static str)> {
        match self {
            HashFunction::Md5 | HashFunction::Sha1 | HashFunction::Sha3 => None,
            HashFunction::HmacSha256 => Some((32, "hmac-sha256")),
            HashFunction::HmacSha512 => Some((64, "hmac-sha512")),
        }
    }
}

/// What is written about the redaction into the attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Summary {
    /// The keys and how many they are.
    Debug,
    /// How many they are.
    Info,
    /// Nothing.
    #[default]
    Silent,
}

/// `url_sanitizer`: taken only when it is off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UrlSanitizer {
    /// Whether it is on.
    pub enabled: bool,
    /// No effect.
    pub attributes: Vec<String>,
    /// No effect.
    pub sanitize_span_name: Option<bool>,
}

/// `db_sanitizer`: taken only when all of it is off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DbSanitizer {
    /// SQL.
    pub sql: Database,
    /// Redis.
    pub redis: Database,
    /// Valkey.
    pub valkey: Database,
    /// Memcached.
    pub memcached: Database,
    /// MongoDB.
    pub mongo: Database,
    /// OpenSearch.
    pub opensearch: Database,
    /// Elasticsearch.
    pub es: Database,
    /// No effect.
    pub sanitize_span_name: Option<bool>,
    /// No effect.
    pub allow_fallback_without_system: bool,
}

/// One kind of database.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Database {
    /// Whether it is on.
    pub enabled: bool,
    /// No effect.
    pub attributes: Vec<String>,
}

impl Config {
    /// Whether the preset takes content away.
    pub fn drops_content(&self) -> bool {
        self.preset == Some(Preset::GenAi) && !self.keep_content
    }

    /// Whether keys go that are on no list. The preset alone is no list of all keys that may stay.
    pub fn has_allow_list(&self) -> bool {
        !self.allow_all_keys && (self.preset.is_none() || !self.allowed_keys.is_empty())
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let lists = [
            ("ignored_key_patterns", &self.ignored_key_patterns),
            ("blocked_key_patterns", &self.blocked_key_patterns),
            ("blocked_values", &self.blocked_values),
            ("allowed_values", &self.allowed_values),
        ];
        for (name, patterns) in lists {
            for (i, pattern) in patterns.iter().enumerate() {
                if let Err(why) = re2::regex(pattern) {
                    problems.push(Problem::at(format!("{name}.{i}"), why));
                }
            }
        }
        if self.keep_content && self.preset.is_none() {
            problems
                .push(Problem::at("keep_content", "says what a preset does, and there is none: add preset: gen_ai"));
        }
        let (key, function) = (self.hmac_key.reveal(), self.hash_function.and_then(HashFunction::key));
        match function {
            Some((least, name)) if key.len() < least => problems.push(Problem::at(
                if key.is_empty() { "" } else { "hmac_key" },
                format!("{name} needs an hmac_key of at least {least} bytes, it has {}", key.len()),
            )),
            None if !key.is_empty() => {
                let message = "is the key of hash_function hmac-sha256 or hmac-sha512, and neither is chosen";
                problems.push(Problem::at("hmac_key", message));
            }
            _ => {}
        }
        problems.extend(self.sanitizers());
        problems
    }
}

impl Config {
    /// What the collector has and this processor does not: better no start than data that are thought to be clean.
    fn sanitizers(&self) -> Vec<Problem> {
        let db = &self.db_sanitizer;
        let databases = [
            ("db_sanitizer.sql", &db.sql),
            ("db_sanitizer.redis", &db.redis),
            ("db_sanitizer.valkey", &db.valkey),
            ("db_sanitizer.memcached", &db.memcached),
            ("db_sanitizer.mongo", &db.mongo),
            ("db_sanitizer.opensearch", &db.opensearch),
            ("db_sanitizer.es", &db.es),
        ];
        let databases = databases.into_iter().filter(|(_, database)| database.enabled).map(|(name, _)| name);
        let urls = self.url_sanitizer.enabled.then_some("url_sanitizer");
        let message = "is not supported: mask what these attributes must not show with blocked_values, or their whole \
                       values with blocked_key_patterns";
        urls.into_iter().chain(databases).map(|name| Problem::at(format!("{name}.enabled"), message)).collect()
    }
}
