//! Any text as a config of the real components: nothing panics, a plan comes out exactly when there is no error, and what
//! is printed of a good config is a good config again.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use pipeline::Registry;
use pipeline::config::report::Style;
use pipeline::config::{Format, Inputs, Redact, Surroundings, load, print};

static COMPONENTS: LazyLock<Registry> = LazyLock::new(slipring::components);

fn inputs(text: &str) -> Inputs {
    Inputs { configs: vec![format!("yaml:{text}")], ..Inputs::default() }
}

fn surroundings(text: &str) -> Surroundings {
    let file = text.as_bytes().to_vec();
    let read = move |path: &Path| match path.to_str() {
        Some("self") => Ok(file.clone()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    };
    let variables = BTreeMap::from([("SELF".to_owned(), text.to_owned()), ("ONE".to_owned(), "1".to_owned())]);
    Surroundings { read_file: Arc::new(read), variables, data_dir: PathBuf::new() }
}

fuzz_target!(|text: &str| {
    let surroundings = surroundings(text);
    let loaded = load(&inputs(text), &COMPONENTS, &surroundings);
    assert_eq!(loaded.plan.is_none(), loaded.report.errors() > 0);
    loaded.report.render(Style::Plain);
    // A dollar in a printed config is expanded once more, so that such texts may come to mean something else.
    if loaded.plan.is_some() && !text.contains('$') {
        let printed = print(&loaded.tree, Format::Yaml, Redact::Nothing);
        let again = load(&inputs(&printed), &COMPONENTS, &surroundings);
        assert!(again.plan.is_some(), "{printed}\n{}", again.report.render(Style::Plain));
    }
});
