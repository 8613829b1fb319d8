//! Asks the servers of `/etc/resolv.conf`: by datagram, and over TCP what does not fit in one.

use std::path::Path;
use std::time::Duration;

use pipeline::doors::Doors;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::message::{Answer, Record, answer, question};
use crate::prometheus::config::RecordType;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const MOST_CONF_BYTES: usize = 64 << 10;
const PORT: u16 = 53;
/// How long a server may take, once and again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Servers that count, as in the system's own resolver.
const MOST_SERVERS: usize = 3;

const SUCCESS: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// Looks names up.
pub(super) struct Resolver {
    doors: Doors,
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Conf {
    /// `address:port` of each server.
    servers: Vec<String>,
    search: Vec<String>,
    /// Names with so many dots are tried as they are before domains are appended.
    ndots: usize,
}

impl Resolver {
    pub(super) fn new(doors: Doors) -> Resolver {
        Resolver { doors }
    }

    /// The records of a name, tried with the search domains. A name that does not exist has none.
    ///
    /// # Errors
    /// No server could say whether it exists.
    pub(super) async fn look_up(&self, name: &str, records: RecordType) -> Result<Vec<Record>, String> {
        let conf = self.conf().await?;
        let mut failed = None;
        for tried in conf.names(name) {
            match self.ask_any(&conf, &tried, records).await {
                Ok(answer) if answer.code == SUCCESS => return Ok(answer.records),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(Vec::new()), |error| Err(format!("{name}: {error}")))
    }

    async fn conf(&self) -> Result<Conf, String> {
        let files = self.doors.files.clone();
        let reading = tokio::task::spawn_blocking(move || files.read_small(Path::new(RESOLV_CONF), MOST_CONF_BYTES));
        let text = reading.await.map_err(|error| error.to_string())?;
        let text = text.map_err(|error| format!("cannot read {RESOLV_CONF}: {error}"))?;
        Ok(Conf::read(&String::from_utf8_lossy(&text)))
    }

    /// The first server that knows wins.
    async fn ask_any(&self, conf: &Conf, name: &str, records: RecordType) -> Result<Answer, String> {
        let mut last = format!("{RESOLV_CONF} names no server");
        for server in &conf.servers {
            match self.ask(server, name, records).await {
                Ok(answer) if matches!(answer.code, SUCCESS | NO_SUCH_NAME) => return Ok(answer),
                Ok(answer) => last = format!("{server} answers {name:?} with code {}", answer.code),
                Err(error) => last = format!("{server} does not answer {name:?}: {error}"),
            }
        }
        Err(last)
    }

    async fn ask(&self, server: &str, name: &str, records: RecordType) -> Result<Answer, String> {
        let id = self.id();
        let asked = question(id, name, records)?;
        let read = |message: Vec<u8>| match answer(&message, records) {
            Ok(answer) if answer.id == id => Ok(answer),
            Ok(_) => Err("its answer is to another question".to_owned()),
            Err(error) => Err(format!("its answer cannot be read: {error}")),
        };
        let datagram = timeout(PATIENCE, self.doors.net.ask(server, &asked)).await;
        let datagram = datagram.map_err(|_| "nothing came".to_owned())?.map_err(|error| error.to_string())?;
        let answer = read(datagram)?;
        if !answer.truncated {
            return Ok(answer);
        }
        let stream = timeout(PATIENCE, self.ask_over_tcp(server, &asked)).await;
        let answer = read(stream.map_err(|_| "nothing came over TCP".to_owned())?.map_err(|error| error.to_string())?)?;
        if answer.truncated { Err("its answer does not fit, even over TCP".to_owned()) } else { Ok(answer) }
    }

    async fn ask_over_tcp(&self, server: &str, asked: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = self.doors.net.connect(server).await?;
        let length = u16::try_from(asked.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], asked].concat()).await?;
        stream.flush().await?;
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        Ok(message)
    }

    /// A number that others do not guess at once; the port that the system chooses is the better half of that.
    fn id(&self) -> u16 {
        use std::hash::{BuildHasher, RandomState};
        (RandomState::new().hash_one(self.doors.clock.now()) & 0xffff) as u16
    }
}

impl Conf {
    fn read(text: &str) -> Conf {
        let mut conf = Conf { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default()) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < MOST_SERVERS => {
                    let host =
                        words.next().map(|host| if host.contains(':') { format!("[{host}]") } else { host.into() });
                    conf.servers.extend(host.map(|host| format!("{host}:{PORT}")));
                }
                Some("search" | "domain") => {
                    conf.search = words.map(|word| word.trim_matches('.').to_owned()).collect();
                }
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    conf.ndots = ndots.map_or(conf.ndots, |n: usize| n.min(15));
                }
                _ => {}
            }
        }
        conf.search.retain(|domain| !domain.is_empty());
        conf
    }

    /// What to try for a name, in order.
    fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let as_it_is = format!("{name}.");
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{name}.{domain}.")).collect();
        let place = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(place, as_it_is);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_system_reads_it() {
        let conf = Conf::read(
            "# made by hand\nnameserver 10.96.0.10\nnameserver fd00::a # second\noptions timeout:1 ndots:5\nsearch ml.svc.cluster.local svc.cluster.local. ;\nsortlist x\n",
        );
        assert_eq!(conf.servers, ["10.96.0.10:53", "[fd00::a]:53"]);
        assert_eq!((conf.search.join(" ").as_str(), conf.ndots), ("ml.svc.cluster.local svc.cluster.local", 5));
        assert_eq!(conf.names("w"), ["w.ml.svc.cluster.local.", "w.svc.cluster.local.", "w."]);
        assert_eq!(conf.names("w."), ["w."]);
        let few = Conf { ndots: 1, ..conf };
        assert_eq!(few.names("w.ml")[0], "w.ml.");
    }
}
