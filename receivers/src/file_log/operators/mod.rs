//! The collector's operators on log entries: steps that read fields of a line into the record and move them about, each
//! with the step that comes after it. Compiled once, with everything wrong reported at once; each line then takes its way
//! through the steps. What waits to be put together with later lines waits in [`Held`], which belongs to the file.

mod act;
mod build;
pub mod config;
mod entry;
mod expression;
mod field;
mod held;
mod layout;
mod otelcol;
mod quoted;
mod read;
mod split;
mod syslog;
mod uri;
mod value;

#[cfg(test)]
mod tests;

use tokio::time::Instant;

use self::act::Action;
pub use self::build::container_rule;
use self::config::OnError;
pub use self::config::Operator;
pub use self::entry::Entry;
use self::expression::Expression;
pub use self::expression::has_expressions;
pub use self::field::{Field, Root};
pub use self::held::{Held, Part, Rule};
pub use self::layout::{Layout, Zones};
use self::read::Failed;
pub use self::value::{Map, Value};
use super::progress::Position;

/// The steps of `operators`.
#[derive(Debug)]
pub struct Steps(Vec<Step>);

#[derive(Debug)]
struct Step {
    id: String,
    on_error: OnError,
    condition: Option<Expression>,
    action: Action,
    /// What is taken out of an entry that it could work on.
    drop_fields: Vec<Field>,
    /// The step that entries go to, unless the action sends them elsewhere; `None` for the end.
    next: Option<usize>,
}

/// What a step does with an entry that it could work on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Move {
    /// It goes on.
    On,
    /// It goes on there.
    To(Option<usize>),
    /// It is a part of a record.
    Hold(Part),
    /// It is dropped.
    Drop(Gone),
}

/// Why an entry does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// An operator that could not work on it was told to drop it.
    Error,
    /// A `filter` was told to drop it, or a `router` has no way for it.
    Filtered,
}

/// What surrounds an entry on its way.
#[derive(Debug)]
pub struct Around<'r> {
    /// What waits of its file.
    pub held: &'r mut Held,
    /// Where its line begins.
    pub place: Position,
    /// The time.
    pub now: Instant,
    /// Resource attributes that its file's path gives.
    pub of_path: &'r [(&'static str, String)],
}

/// An operator could not work on an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble<'s> {
    /// Its id.
    pub operator: &'s str,
    /// Why.
    pub why: Failed,
    /// Whether the log says so.
    pub loud: bool,
}

/// Where entries come out.
pub trait Out {
    /// An entry has come to the end.
    fn entry(&mut self, entry: &Entry<'_>);

    /// An entry has not.
    fn gone(&mut self, why: Gone, entry: &Entry<'_>);

    /// An operator could not work on one.
    fn trouble(&mut self, trouble: Trouble<'_>);
}

impl Steps {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them asks for what the path of the file says.
    pub fn want_path(&self) -> bool {
        self.0.iter().any(|step| matches!(&step.action, Action::Container(container) if container.of_path))
    }

    /// Sends an entry through.
    pub fn run(&self, entry: Entry<'_>, around: &mut Around<'_>, out: &mut dyn Out) {
        self.send((!self.0.is_empty()).then_some(0), entry, around, out);
    }

    /// Sends on what has waited for long enough, or, without a time, everything that waits.
    pub fn release(&self, now: Option<Instant>, around: &mut Around<'_>, out: &mut dyn Out) {
        // What is released by one step may wait at a later one.
        for _ in 0..=self.0.len() {
            for group in around.held.take_due(now) {
                self.pass_on(group, around, out);
            }
        }
    }

    fn send<'a>(&self, mut at: Option<usize>, mut entry: Entry<'a>, around: &mut Around<'_>, out: &mut dyn Out) {
        while let Some(here) = at {
            let Some(step) = self.0.get(here) else { break };
            at = step.next;
            match step.run(here, &mut entry, around) {
                Ok(Move::On) => {}
                Ok(Move::To(to)) => at = to,
                Ok(Move::Drop(why)) => return out.gone(why, &entry),
                Ok(Move::Hold(part)) => return self.hold(here, part, entry, around, out),
                Err(why) => {
                    if !step.goes_on(why, out) {
                        return out.gone(Gone::Error, &entry);
                    }
                }
            }
        }
        out.entry(&entry);
    }

    fn hold(&self, here: usize, part: Part, entry: Entry<'_>, around: &mut Around<'_>, out: &mut dyn Out) {
        let Some(rule) = self.0.get(here).and_then(|s| s.action.rule()) else { return };
        if part.first
            && let Some(whole) = around.held.take(here, &part.source)
        {
            self.pass_on(whole, around, out);
        }
        if !around.held.has(here, &part.source)
            && let Some(oldest) = around.held.take_beyond(here, rule)
        {
            self.pass_on(oldest, around, out);
        }
        let (place, now) = (around.place, around.now);
        if let Some(whole) = around.held.add(here, part, entry.into_owned(), rule, place, now) {
            self.pass_on(whole, around, out);
        }
    }

    fn pass_on(&self, group: held::Group, around: &mut Around<'_>, out: &mut dyn Out) {
        let Some(step) = self.0.get(group.step) else { return };
        let place = std::mem::replace(&mut around.place, group.first);
        let (mut entry, text) = group.into_parts();
        if let Some(rule) = step.action.rule() {
            // The field held a text before, so it can hold this one.
            _ = entry.set(&rule.field, Value::text(text));
        }
        if let Err(why) = step.action.finish(&mut entry)
            && !step.goes_on(why, out)
        {
            out.gone(Gone::Error, &entry);
            around.place = place;
            return;
        }
        self.send(step.next, entry, around, out);
        around.place = place;
    }
}

impl Step {
    fn run(&self, here: usize, entry: &mut Entry<'_>, around: &Around<'_>) -> Result<Move, Failed> {
        match &self.condition {
            Some(condition) if !condition.holds(entry)? => Ok(Move::On),
            _ => {
                let done = self.action.run(here, entry, around)?;
                for field in &self.drop_fields {
                    _ = entry.remove(field);
                }
                Ok(done)
            }
        }
    }

    /// Whether an entry goes on that it could not work on.
    fn goes_on(&self, why: Failed, out: &mut dyn Out) -> bool {
        let loud = matches!(self.on_error, OnError::Send | OnError::Drop);
        out.trouble(Trouble { operator: &self.id, why, loud });
        matches!(self.on_error, OnError::Send | OnError::SendQuiet)
    }
}
