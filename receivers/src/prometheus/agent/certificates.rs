//! A client that is built anew when its certificates change.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pipeline::BoxFuture;
use pipeline::component::{Context, Error};
use pipeline::doors::{FileStat, Files};
use pipeline::net::http::{Client, ClientOptions};
use pipeline::net::oauth2::Clients;
use tokio::time::Instant;

/// How often files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The client.
pub(super) struct Rotating {
    options: ClientOptions,
    files: Vec<PathBuf>,
    context: Context,
    now: Mutex<Now>,
}

struct Now {
    client: Client,
    looked: Instant,
    stamps: Vec<Option<Stamp>>,
}

/// Time of change, length, inode.
type Stamp = (Duration, u64, u64);

impl Rotating {
    /// # Errors
    /// Certificates that cannot be read.
    pub(super) fn new(options: ClientOptions, files: Vec<PathBuf>, context: &Context) -> Result<Rotating, Error> {
        let stamps = stamps(&files, &*context.doors.files);
        let client = Client::new(options.clone(), context)?;
        let now = Mutex::new(Now { client, looked: Instant::now(), stamps });
        Ok(Rotating { options, files, context: context.clone(), now })
    }

    /// The client with the certificates as they are. If they have become unreadable, the one before goes on.
    pub(super) async fn client(&self) -> Client {
        let (client, before) = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            if self.files.is_empty() || now.looked.elapsed() < LOOK_EVERY {
                return now.client.clone();
            }
            now.looked = Instant::now();
            (now.client.clone(), now.stamps.clone())
        };
        let (options, files, context) = (self.options.clone(), self.files.clone(), self.context.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let stamps = stamps(&files, &*context.doors.files);
            (stamps != before).then(|| (stamps, Client::new(options, &context)))
        });
        let Ok(Some((stamps, built))) = looking.await else { return client };
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.stamps = stamps;
        match built {
            Ok(built) => {
                now.client.close();
                now.client = built;
            }
            Err(error) => tracing::error!(component = %self.context.id, "certificates have changed, {error}"),
        }
        now.client.clone()
    }
}

impl Clients for Rotating {
    fn client(&self) -> BoxFuture<'_, Client> {
        Box::pin(Rotating::client(self))
    }
}

fn stamps(files: &[PathBuf], doors: &dyn Files) -> Vec<Option<Stamp>> {
    let stamp = |stat: FileStat| (stat.modified, stat.len, stat.inode);
    files.iter().map(|file| doors.stat(file).ok().map(stamp)).collect()
}
