//! Operators of a config as steps: fields required, expressions compiled, ways looked up, with everything wrong reported at
//! once.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use pipeline::config::{ByteSize, Problem, StringList, re2};
use regex::Regex;

use super::act::{Action, Added, Container, Csv, Filter, Header, Parser, Recombine, Route};
use super::config::{self, Kind, Operator, Overwrite};
use super::expression::{Expression, has_expressions};
use super::field::{Field, Root};
use super::held::{MOST_BYTES, Rule};
use super::read::{SeverityReader, Time, TraceReader, required};
use super::split::Quotes;
use super::syslog::Syslog;
use super::value::Value;
use super::{Step, Steps};
use crate::file_log::format::zone::Zone;

/// How long the parts of a container's line wait for its end.
const CONTAINER_PATIENCE: Duration = Duration::from_secs(5);
/// The escape sequences of terminals (ECMA-48 control sequences).
const ANSI: &str = "\x1b\\[[0-?]*[ -/]*[@-~]";

/// Operators that are being checked, and what is wrong with them.
struct Building<'c> {
    operators: &'c [Operator],
    ids: Vec<String>,
    problems: Vec<Problem>,
}

impl Steps {
    /// Checks and compiles operators.
    ///
    /// # Errors
    /// Everything that is wrong, by its path below the receiver's body.
    pub fn build(operators: &[Operator]) -> Result<Steps, Vec<Problem>> {
        Steps::with_added(operators, &[])
    }

    /// The same, behind steps that set these fields to the values of texts with expressions in them. Problems with those have
    /// the path that comes with them.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn with_added(operators: &[Operator], added: &[(Field, String, String)]) -> Result<Steps, Vec<Problem>> {
        let mut building = Building { operators, ids: ids(operators), problems: Vec::new() };
        let mut steps = Vec::new();
        for (i, (field, text, path)) in added.iter().enumerate() {
            let expression = building.template(text, path);
            let next = Some(i + 1).filter(|next| *next < added.len() + operators.len());
            if let Some(expression) = expression {
                let action = Action::Add { field: field.clone(), value: Added::Expression(expression) };
                let id = path.clone();
                let on_error = config::OnError::SendQuiet;
                steps.push(Step { id, on_error, condition: None, action, drop_fields: Vec::new(), next });
            }
        }
        for i in 0..operators.len() {
            steps.extend(building.step(i));
        }
        if building.problems.is_empty() {
            // Steps were counted from the first operator.
            for step in &mut steps[added.len()..] {
                step.shift(added.len());
            }
            building.refuse_circles(&steps, added.len());
        }
        if building.problems.is_empty() { Ok(Steps(steps)) } else { Err(building.problems) }
    }
}

/// The names of operators: their ids, else their types, with a number from the second of a type on.
fn ids(operators: &[Operator]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for operator in operators {
        let named = |id: &str| operators.iter().any(|o| o.common().id.as_deref() == Some(id));
        let name = operator.name();
        ids.push(match &operator.common().id {
            Some(id) => id.clone(),
            None if !ids.iter().any(|id| id == name) && !named(name) => name.to_owned(),
            None => {
                let numbered = (1..).map(|n| format!("{name}{n}"));
                numbered.into_iter().find(|id| !ids.contains(id) && !named(id)).unwrap_or_default()
            }
        });
    }
    ids
}

impl Step {
    fn shift(&mut self, by: usize) {
        let shift = |to: &mut Option<usize>| *to = to.map(|to| to + by);
        shift(&mut self.next);
        if let Action::Route { routes, default } = &mut self.action {
            routes.iter_mut().for_each(|route| shift(&mut route.to));
            default.iter_mut().for_each(shift);
        }
    }

    /// Every step that entries may go to from here.
    fn ways(&self) -> Vec<usize> {
        match &self.action {
            Action::Route { routes, default } => {
                routes.iter().filter_map(|r| r.to).chain(default.iter().copied().flatten()).collect()
            }
            _ => self.next.into_iter().collect(),
        }
    }
}

impl Building<'_> {
    fn say(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::at(path.into(), message.into()));
    }

    fn step(&mut self, i: usize) -> Option<Step> {
        let operator = &self.operators[i];
        let (common, path) = (operator.common(), format!("operators.{i}"));
        let id = self.ids[i].clone();
        if self.ids[..i].contains(&id) {
            self.say(format!("{path}.id"), format!("the id {id:?} is taken; give this operator one of its own"));
        }
        let next = match &*common.output {
            [] => Some(i + 1).filter(|next| *next < self.operators.len()),
            _ => self.way(&common.output, &format!("{path}.output"))?,
        };
        let text = common.r#if.as_deref();
        let condition = text.map(|text| self.expression(text, format!("{path}.if")));
        let drop_fields = self.drop_fields(operator, &path);
        let action = self.action(operator, &path)?;
        let condition = match condition {
            Some(condition) => Some(condition?),
            None => None,
        };
        Some(Step { id, on_error: common.on_error, condition, action, drop_fields: drop_fields?, next })
    }

    /// What `drop_field` takes out.
    fn drop_fields(&mut self, kind: &Kind, path: &str) -> Option<Vec<Field>> {
        let (from, to): (Vec<Field>, _) = match kind {
            Kind::TimeParser(c) if c.drop_field => (c.time.parse_from.iter().cloned().collect(), None),
            Kind::SeverityParser(c) if c.drop_field => (c.severity.parse_from.iter().cloned().collect(), None),
            Kind::ScopeNameParser(c) if c.drop_field => (c.from.parse_from.iter().cloned().collect(), None),
            // It takes out what it has read, which need not be all.
            Kind::TraceParser(c) if c.drop_field => {
                (TraceReader::build(&c.trace, &trace_places()).places().cloned().collect(), None)
            }
            _ => match kind.parser().filter(|parser| parser.drop_field) {
                Some(parser) => (vec![parser.parse_from.clone()], Some(&parser.parse_to)),
                None => return Some(Vec::new()),
            },
        };
        if from.iter().any(|field: &Field| field.keys.is_empty()) {
            self.say(
                format!("{path}.drop_field"),
                "body, attributes and resource stay; set `parse_from` to something inside of them",
            );
            return None;
        }
        if to.is_some_and(|to| from.iter().any(|from| to.is_within(from))) {
            let message = "would take out what was parsed: let `parse_to` be no part of `parse_from`";
            self.say(format!("{path}.drop_field"), message);
            return None;
        }
        Some(if matches!(kind, Kind::TraceParser(_)) { Vec::new() } else { from })
    }

    /// A text with expressions in it.
    fn template(&mut self, text: &str, path: &str) -> Option<Expression> {
        Expression::template(text).map_err(|error| self.say(path, error.to_string())).ok()
    }

    /// The step that an `output` names.
    fn way(&mut self, output: &StringList, path: &str) -> Option<Option<usize>> {
        let [id] = &**output else {
            self.say(path, "an entry goes one way; name one operator");
            return None;
        };
        let found = self.ids.iter().position(|known| known == id);
        if found.is_none() {
            let known = self.ids.join(", ");
            self.say(path, format!("there is no operator {id:?}; there are {known}"));
        }
        found.map(Some)
    }

    fn expression(&mut self, text: &str, path: String) -> Option<Expression> {
        Expression::new(text).map_err(|error| self.say(path, error.to_string())).ok()
    }

    fn regex(&mut self, pattern: &str, path: &str, key: &str) -> Option<Regex> {
        if pattern.is_empty() {
            self.say(path, format!("needs {key:?}"));
            return None;
        }
        re2::regex(pattern).map_err(|why| self.say(format!("{path}.{key}"), why)).ok()
    }

    fn required<T: Clone>(&mut self, said: Option<&T>, path: &str, key: &str) -> Option<T> {
        required(said, path, key, &mut self.problems)
    }

    fn action(&mut self, kind: &Kind, path: &str) -> Option<Action> {
        Some(match kind {
            Kind::JsonParser(c) => Action::Json { parser: self.parser(&c.parser, path)?, ints: c.parse_ints },
            Kind::RegexParser(c) => {
                let regex = self.regex(&c.regex, path, "regex");
                if regex.as_ref().is_some_and(|r| r.capture_names().flatten().next().is_none()) {
                    let message = "has no named group; a named group looks like (?P<level>[A-Z]+)";
                    self.say(format!("{path}.regex"), message);
                }
                Action::Regex { parser: self.parser(&c.parser, path)?, regex: regex? }
            }
            Kind::KeyValueParser(c) => {
                if c.delimiter.is_empty() || c.delimiter == c.pair_delimiter {
                    self.say(format!("{path}.delimiter"), "must be a text, and another one than `pair_delimiter`");
                }
                let (delimiter, pair_delimiter) = (c.delimiter.clone(), c.pair_delimiter.clone());
                Action::KeyValue { parser: self.parser(&c.parser, path)?, delimiter, pair_delimiter }
            }
            Kind::CsvParser(c) => {
                let csv = self.csv(c, path);
                Action::Csv { parser: self.parser(&c.parser, path)?, csv: csv? }
            }
            Kind::JsonArrayParser(c) => {
                let names: Vec<_> = c.header.split(',').map(|name| name.trim().to_owned()).collect();
                let names = (!c.header.is_empty()).then_some(names);
                if names.is_none() && c.parser.parse_to == Field::root(Root::Attributes) {
                    let message = "attributes are no list: set `parse_to` to body or to a field such as attributes.values, or \
                                   name the values in `header`";
                    self.say(format!("{path}.parse_to"), message);
                }
                Action::JsonArray { parser: self.parser(&c.parser, path)?, names }
            }
            Kind::UriParser(c) => Action::Uri { parser: self.parser(&c.parser, path)? },
            Kind::SyslogParser(c) => {
                let syslog = self.syslog(c, path);
                Action::Syslog { parser: self.parser(&c.parser, path)?, syslog: syslog? }
            }
            Kind::TimeParser(c) => Action::Time(Time::build(&c.time, path, &mut self.problems)?),
            Kind::SeverityParser(c) => Action::Severity(SeverityReader::build(&c.severity, path, &mut self.problems)?),
            Kind::TraceParser(c) => {
                Action::Trace(TraceReader::build(&c.trace, &trace_places()).that_drops(c.drop_field))
            }
            Kind::ScopeNameParser(c) => {
                Action::ScopeName { from: self.required(c.from.parse_from.as_ref(), path, "parse_from")? }
            }
            Kind::Otelcol(c) => Action::Otelcol { parser: self.parser(&c.parser, path)?, format: c.format },
            Kind::Container(c) => Action::Container(Container {
                parser: self.parser(&c.parser, path)?,
                runtime: c.format,
                of_path: c.add_metadata_from_filepath,
                rule: container_rule(c.max_log_size),
            }),
            Kind::Recombine(c) => Action::Recombine(self.recombine(c, path)?),
            Kind::Add(c) => {
                let field = self.required(c.field.as_ref(), path, "field");
                let value = self.required(c.value.as_ref(), path, "value")?;
                let expression = value.as_text().and_then(in_expr).map(str::to_owned);
                let value = match expression {
                    Some(text) => Added::Expression(self.expression(&text, format!("{path}.value"))?),
                    None => Added::Value(value),
                };
                Action::Add { field: field?, value }
            }
            Kind::Copy(c) | Kind::Move(c) => {
                let from = self.required(c.from.as_ref(), path, "from");
                let to = self.required(c.to.as_ref(), path, "to")?;
                let from = from?;
                if matches!(kind, Kind::Move(_)) { Action::Move { from, to } } else { Action::Copy { from, to } }
            }
            Kind::Remove(c) => Action::Remove { field: self.required(c.field.as_ref(), path, "field")? },
            Kind::Retain(c) => {
                if c.fields.is_empty() {
                    self.say(path, "needs \"fields\"");
                }
                Action::Retain { fields: c.fields.clone() }
            }
            Kind::Flatten(c) => {
                let field = self.required(c.field.as_ref(), path, "field")?;
                let mut parent = field.clone();
                let Some(key) = parent.keys.pop() else {
                    self.say(format!("{path}.field"), "must stand inside of body, attributes or resource");
                    return None;
                };
                Action::Flatten { field, parent, key }
            }
            Kind::AssignKeys(c) => {
                if c.keys.is_empty() {
                    self.say(path, "needs \"keys\"");
                }
                Action::AssignKeys { field: self.required(c.field.as_ref(), path, "field")?, keys: c.keys.clone() }
            }
            Kind::Unquote(c) => Action::Unquote { field: self.required(c.field.as_ref(), path, "field")? },
            Kind::SanitizeUtf8(c) => Action::Sanitize { field: c.field.clone() },
            Kind::RegexReplace(c) => {
                let field = self.required(c.field.as_ref(), path, "field");
                let regex = match c.regex_name.as_str() {
                    "" => self.regex(&c.regex, path, "regex")?,
                    "ansi_control_sequences" => self.regex(ANSI, path, "regex")?,
                    _ => {
                        self.say(
                            format!("{path}.regex_name"),
                            "only ansi_control_sequences has a name; write a `regex`",
                        );
                        return None;
                    }
                };
                Action::Replace { field: field?, regex, with: c.replace_with.clone() }
            }
            Kind::Filter(c) => {
                if !(0.0..=1.0).contains(&c.drop_ratio) {
                    self.say(format!("{path}.drop_ratio"), "must be from 0 to 1");
                }
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 2^32")]
                let drop = (c.drop_ratio.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
                let condition = self.expression(&c.expr, format!("{path}.expr"))?;
                Action::Filter(Filter { condition, drop, state: AtomicU64::new(0) })
            }
            Kind::Router(c) => self.router(c, path)?,
            Kind::Noop(_) => Action::Noop,
        })
    }

    fn parser(&mut self, c: &config::Parser, path: &str) -> Option<Parser> {
        let before = self.problems.len();
        if c.body.is_some() && c.parse_to == Field::root(Root::Body) {
            self.say(format!("{path}.body"), "`parse_to` is the body already; leave one out");
        }
        let problems = &mut self.problems;
        let time = c.timestamp.as_ref().and_then(|c| Time::build(c, &format!("{path}.timestamp"), problems));
        let severity =
            c.severity.as_ref().and_then(|c| SeverityReader::build(c, &format!("{path}.severity"), problems));
        let trace = c.trace.as_ref().map(|t| TraceReader::build(t, std::slice::from_ref(&c.parse_to)));
        let scope_name = c.scope_name.as_ref();
        let scope_name =
            scope_name.and_then(|s| self.required(s.parse_from.as_ref(), &format!("{path}.scope_name"), "parse_from"));
        (self.problems.len() == before).then(|| Parser {
            from: c.parse_from.clone(),
            to: c.parse_to.clone(),
            body: c.body.clone(),
            time,
            severity,
            trace,
            scope_name,
        })
    }

    fn syslog(&mut self, c: &config::Syslog, path: &str) -> Option<Syslog> {
        let zone = Zone::named(c.location.as_deref().unwrap_or_default());
        let zone = zone.map_err(|why| self.say(format!("{path}.location"), why)).ok();
        if c.enable_octet_counting && c.non_transparent_framing_trailer.is_some() {
            let message = "says another frame than `enable_octet_counting`; leave one out";
            self.say(format!("{path}.non_transparent_framing_trailer"), message);
        }
        Some(Syslog {
            protocol: self.required(c.protocol.as_ref(), path, "protocol")?,
            zone: zone?,
            may_lack_priority: c.allow_skip_pri_header,
            has_length: c.enable_octet_counting,
            trailer: c.non_transparent_framing_trailer,
            most_bytes: c.max_octets,
        })
    }

    fn csv(&mut self, c: &config::Csv, path: &str) -> Option<Csv> {
        let one = |text: &str| {
            let mut chars = text.chars();
            chars.next().filter(|_| chars.next().is_none())
        };
        let delimiter = one(&c.delimiter);
        if delimiter.is_none() {
            self.say(format!("{path}.delimiter"), "must be one character");
        }
        let header_delimiter = if c.header_delimiter.is_empty() { delimiter } else { one(&c.header_delimiter) };
        if delimiter.is_some() && header_delimiter.is_none() {
            self.say(format!("{path}.header_delimiter"), "must be one character");
        }
        if c.lazy_quotes && c.ignore_quotes {
            self.say(format!("{path}.lazy_quotes"), "says the opposite of `ignore_quotes`; leave one out");
        }
        let (delimiter, header_delimiter) = (delimiter?, header_delimiter?);
        let header = match (c.header.as_str(), c.header_attribute.as_str()) {
            ("", "") => {
                self.say(path, "needs \"header\", the names of the values, or \"header_attribute\"");
                return None;
            }
            (names, "") => {
                let names: Vec<_> = names.split(header_delimiter).map(|name| name.trim().to_owned()).collect();
                Header::Names(names)
            }
            ("", attribute) => Header::Attribute(attribute.to_owned()),
            _ => {
                self.say(format!("{path}.header"), "says the same as `header_attribute`; leave one out");
                return None;
            }
        };
        let quotes = Quotes { lazy: c.lazy_quotes, ignored: c.ignore_quotes };
        Some(Csv { header, delimiter, header_delimiter, quotes })
    }

    fn recombine(&mut self, c: &config::Recombine, path: &str) -> Option<Recombine> {
        if c.is_first_entry.is_empty() == c.is_last_entry.is_empty() {
            self.say(path, "needs either \"is_first_entry\" or \"is_last_entry\"");
            return None;
        }
        let mut expression = |text: &str, key: &str| match text {
            "" => Some(None),
            text => self.expression(text, format!("{path}.{key}")).map(Some),
        };
        let first = expression(&c.is_first_entry, "is_first_entry");
        let last = expression(&c.is_last_entry, "is_last_entry");
        let field = self.required(c.combine_field.as_ref(), path, "combine_field")?;
        let some = |n: usize| (n > 0).then_some(n);
        let after = c.force_flush_period.get();
        let rule = Rule {
            field,
            with: c.combine_with.clone(),
            newest: c.overwrite_with == Overwrite::Newest,
            most: some(c.max_batch_size),
            most_unmatched: some(c.max_unmatched_batch_size),
            most_bytes: most_bytes(c.max_log_size),
            after: (!after.is_zero()).then_some(after),
            most_sources: c.max_sources.max(1),
        };
        Some(Recombine { rule, source: c.source_identifier.clone(), first: first?, last: last? })
    }

    fn router(&mut self, c: &config::Router, path: &str) -> Option<Action> {
        if c.routes.is_empty() {
            self.say(path, "needs \"routes\"");
        }
        let mut routes = Vec::new();
        for (i, route) in c.routes.iter().enumerate() {
            let path = format!("{path}.routes.{i}");
            let condition = self.expression(&route.expr, format!("{path}.expr"));
            let to = self.way(&route.output, &format!("{path}.output"));
            let mut attributes = Vec::new();
            for (key, text) in &route.attributes {
                let value = match has_expressions(text) {
                    true => self.template(text, &format!("{path}.attributes.{key}")).map(Added::Expression),
                    false => Some(Added::Value(Value::text(text.0.clone()))),
                };
                attributes.extend(value.map(|value| (key.clone(), value)));
            }
            routes.push(Route { condition: condition?, to: to?, attributes });
        }
        let default = match &*c.default {
            [] => None,
            _ => Some(self.way(&c.default, &format!("{path}.default"))?),
        };
        Some(Action::Route { routes, default })
    }

    /// Entries must come to the end whichever way they take.
    fn refuse_circles(&mut self, steps: &[Step], first: usize) {
        for (i, id) in self.ids.iter().enumerate() {
            let (mut seen, mut open) = (vec![false; steps.len()], steps[first + i].ways());
            while let Some(at) = open.pop() {
                if at == first + i {
                    let message = format!("entries of {id:?} would come back to it");
                    return self.problems.push(Problem::at(format!("operators.{i}"), message));
                }
                if let Some(seen) = seen.get_mut(at).filter(|seen| !**seen) {
                    *seen = true;
                    open.extend(steps[at].ways());
                }
            }
        }
    }
}

/// How the parts of a container's line are put together.
pub fn container_rule(max_log_size: ByteSize) -> Rule {
    Rule {
        field: Field::root(Root::Body),
        with: String::new(),
        newest: false,
        most: None,
        most_unmatched: None,
        most_bytes: most_bytes(max_log_size),
        after: Some(CONTAINER_PATIENCE),
        most_sources: 2,
    }
}

fn most_bytes(size: ByteSize) -> usize {
    usize::try_from(size.get()).ok().filter(|most| *most > 0).unwrap_or(MOST_BYTES)
}

/// Where trace context is looked for that no parser has read.
fn trace_places() -> [Field; 2] {
    [Field::root(Root::Body), Field::root(Root::Attributes)]
}

/// The inside of `EXPR(…)`.
fn in_expr(text: &str) -> Option<&str> {
    text.strip_prefix("EXPR(")?.strip_suffix(')')
}
