//! What was read and is not done with: batches that are offered to the pipeline, and those that it has taken and may still
//! have. Only so many bytes are out at a time, so that nothing is read ahead of what the far side takes.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::future::FutureExt;
use futures_util::stream::FuturesUnordered;
use pipeline::component::Error;
use pipeline::fate::{Fate, Settled};
use tokio::task::JoinSet;

use super::offer::Offer;
use super::read::Filled;
use super::reader::Sent;

/// Batches that may be offered at once. No two of them have lines of the same file.
const OFFERED: usize = 4;
/// No more is read when so many bytes of batches are not done with.
const WINDOW_BYTES: usize = 3 << 20;

type Told = Pin<Box<dyn Future<Output = (Settled, Sent)> + Send>>;

/// The batches that are out.
pub struct Out {
    offer: Offer,
    offered: JoinSet<Option<Sent>>,
    told: FuturesUnordered<Told>,
    bytes: usize,
    /// What came of some since the last step.
    pub taken: Vec<Sent>,
    /// What came of some since the last step.
    pub arrived: Vec<Sent>,
}

impl Out {
    /// None is out.
    pub fn new(offer: Offer) -> Out {
        let (offered, told) = (JoinSet::new(), FuturesUnordered::new());
        Out { offer, offered, told, bytes: 0, taken: Vec::new(), arrived: Vec::new() }
    }

    /// How many batches may be made.
    pub fn room(&self) -> usize {
        if self.bytes >= WINDOW_BYTES { 0 } else { OFFERED.saturating_sub(self.offered.len()) }
    }

    /// Whether a step would do something, beside noting what has arrived: something may be read, or all that was read has
    /// arrived.
    pub fn wants_step(&self) -> bool {
        !self.taken.is_empty() || !self.arrived.is_empty() && (self.told.is_empty() || self.was_full())
    }

    /// Whether there was no room before some arrived.
    fn was_full(&self) -> bool {
        self.room() > 0 && self.bytes + self.arrived.iter().map(|sent| sent.bytes).sum::<usize>() >= WINDOW_BYTES
    }

    /// Sends batches out.
    pub fn send(&mut self, batches: Vec<Filled>) {
        for Filled { batch, number, parts } in batches {
            let sent = Sent { batch: number, parts, bytes: batch.byte_len() };
            self.bytes += sent.bytes;
            let (fate, told) = Fate::new(self.bytes >= WINDOW_BYTES);
            let (offer, offered) = (self.offer.clone(), sent.clone());
            let batch = batch.with_fate(fate);
            let mut made = Box::pin(async move { offer.make(batch).await.then_some(offered) });
            // A pipeline that has room takes it at once; nobody else need be woken for that.
            match made.as_mut().now_or_never() {
                Some(taken) => self.taken.extend(taken),
                None => drop(self.offered.spawn(made)),
            }
            // A fate that is never told is one that was missed.
            self.told.push(Box::pin(async move { (told.await.unwrap_or(Settled::Missed), sent) }));
        }
    }

    /// Ends when something has become of a batch, or has by now.
    ///
    /// # Errors
    /// When an offer has panicked.
    pub async fn hear(&mut self) -> Result<(), Error> {
        if self.taken.is_empty() {
            tokio::select! {
                Some(taken) = self.offered.join_next() => self.taken.extend(taken?),
                Some(told) = self.told.next() => self.settle(told),
                else => std::future::pending().await,
            }
        }
        while let Some(taken) = self.offered.try_join_next() {
            self.taken.extend(taken?);
        }
        self.settle_told();
        Ok(())
    }

    /// Waits for the answers to what is offered. What was taken may not have arrived then.
    ///
    /// # Errors
    /// When an offer has panicked.
    pub async fn answered(&mut self) -> Result<(), Error> {
        while let Some(taken) = self.offered.join_next().await {
            self.taken.extend(taken?);
        }
        self.settle_told();
        Ok(())
    }

    /// Whether nothing is out.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Waits until nothing is out.
    pub async fn settled(&mut self) {
        while let Some(told) = self.told.next().await {
            self.settle(told);
        }
    }

    fn settle_told(&mut self) {
        while let Some(Some(told)) = self.told.next().now_or_never() {
            self.settle(told);
        }
    }

    fn settle(&mut self, (settled, sent): (Settled, Sent)) {
        self.bytes -= sent.bytes;
        // What was missed is read again by the next process.
        if settled == Settled::Done {
            self.arrived.push(sent);
        }
    }
}
