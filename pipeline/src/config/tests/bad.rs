//! Bad configs and everything that is said about them, from `bad_configs.txt`: a title, the config, the messages.
//! `UPDATE_EXPECTED=1` writes what is said now, to be read before it is committed.

use std::fmt::Write as _;

use super::components::{inputs, registry, surroundings};
use crate::config::load;
use crate::config::report::Style;

const TITLE: &str = "######## ";
const MESSAGES: &str = "-------- messages\n";

#[test]
fn bad_configs_say_everything_that_is_wrong_and_where() {
    let expected = include_str!("bad_configs.txt");
    let mut said = String::new();
    let mut cases = 0;
    for case in expected.split(TITLE).skip(1) {
        let (title, rest) = case.split_once('\n').expect("a title");
        let config = rest.split(MESSAGES).next().unwrap_or(rest);
        let mut world = surroundings();
        let text = config.to_owned();
        let read_file = world.read_file.clone();
        world.read_file = std::sync::Arc::new(move |path| match path.to_str() {
            Some("c.yaml") => Ok(text.clone().into_bytes()),
            _ => read_file(path),
        });
        let loaded = load(&inputs(&["c.yaml"], &[]), &registry(), &world);
        let messages = loaded.report.render(Style::Plain);
        assert_eq!(loaded.plan.is_none(), loaded.report.errors() > 0, "{title}");
        let _ = write!(said, "{TITLE}{title}\n{config}{MESSAGES}{messages}\n");
        cases += 1;
    }
    let head = expected.split(TITLE).next().unwrap_or_default();
    let said = format!("{head}{}\n", said.trim_end());
    assert!(cases >= 40, "{cases} cases");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/bad_configs.txt");
        std::fs::write(path, &said).expect("the sources are writable");
    } else if said != expected {
        let (line, (is, was)) =
            said.lines().zip(expected.lines()).enumerate().find(|(_, (a, b))| a != b).unwrap_or((0, ("", "")));
        panic!("bad_configs.txt, line {}:\n   now: {is}\nbefore: {was}", line + 1);
    }
}
