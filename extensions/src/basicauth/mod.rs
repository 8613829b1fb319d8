//! User and password (RFC 7617): lets in who is in an `htpasswd`, or shows a far side who we are.

mod apr1;
mod client;
pub mod fuzz;
mod htpasswd;
mod server;

use std::sync::Arc;

use pipeline::config::{Block, Opaque, Problem, Settings, Text};
use pipeline::net::auth::{ClientAuth, ServerAuth};
use pipeline::net::secret::Secret;
use pipeline::{BoxFuture, Context, Error, Extension, ExtensionFactory};
use serde::Deserialize;

use client::Client;
use server::Server;

/// `basicauth`.
pub struct Factory;

/// Either of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// For servers: who may come in.
    pub htpasswd: Block<Htpasswd>,
    /// For clients: who we are.
    pub client_auth: Block<ClientConfig>,
}

/// `htpasswd`; both together are one list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Htpasswd {
    /// A file as `htpasswd` writes it, read again when it changes.
    pub file: String,
    /// Lines of such a file.
    pub inline: Opaque,
}

/// `client_auth`; a file comes before what is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// The user.
    pub username: Text,
    /// A file with the user.
    pub username_file: String,
    /// The password.
    pub password: Opaque,
    /// A file with the password.
    pub password_file: String,
}

impl ClientConfig {
    fn user(&self) -> Secret {
        Secret::of(&self.username, &self.username_file)
    }

    fn password(&self) -> Secret {
        Secret::of(self.password.reveal(), &self.password_file)
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        match (self.htpasswd.as_ref(), self.client_auth.as_ref()) {
            (None, None) => {
                vec![Problem::at("", "needs htpasswd, to let clients in, or client_auth, to send credentials")]
            }
            (Some(_), Some(_)) => {
                let message =
                    "goes with htpasswd only in an extension of its own: basicauth/server and basicauth/client";
                vec![Problem::at("client_auth", message)]
            }
            (Some(htpasswd), None) if htpasswd.file.is_empty() && htpasswd.inline.reveal().is_empty() => {
                vec![Problem::at("htpasswd", "needs a file, or lines as in one in inline")]
            }
            (Some(htpasswd), None) => {
                let wrong = htpasswd::Users::parse(htpasswd.inline.reveal()).err();
                wrong.into_iter().map(|message| Problem::at("htpasswd.inline", message)).collect()
            }
            (None, Some(client)) if !client.user().is_given() => {
                vec![Problem::at("client_auth", "needs a username or a username_file")]
            }
            (None, Some(_)) => Vec::new(),
        }
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["basicauth"];
    const ABOUT: &'static str = "Lets in who shows a user and a password, or shows them.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Arc<dyn Extension>, Error> {
        Ok(match (config.htpasswd.into_option(), config.client_auth.into_option()) {
            (Some(htpasswd), _) => Arc::new(BasicAuth::Server(Arc::new(Server::new(&htpasswd, &context)?))),
            (_, client) => Arc::new(BasicAuth::Client(Arc::new(Client::new(&client.unwrap_or_default(), &context)))),
        })
    }
}

enum BasicAuth {
    Server(Arc<Server>),
    Client(Arc<Client>),
}

impl Extension for BasicAuth {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            match self {
                BasicAuth::Server(server) => server.open().await?,
                BasicAuth::Client(client) => client.open().await?,
            }
            Ok(())
        })
    }

    fn server_auth(self: Arc<Self>) -> Option<Arc<dyn ServerAuth>> {
        match &*self {
            BasicAuth::Server(server) => Some(server.clone()),
            BasicAuth::Client(_) => None,
        }
    }

    fn client_auth(self: Arc<Self>) -> Option<Arc<dyn ClientAuth>> {
        match &*self {
            BasicAuth::Client(client) => Some(client.clone()),
            BasicAuth::Server(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
