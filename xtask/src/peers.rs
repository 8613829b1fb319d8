//! The real peers of the tests: Debian's Prometheus, node exporter and etcd, and a Python environment with NVIDIA Dynamo (its mock engine needs
//! no GPU) and the OpenTelemetry SDK. Installed once, into a cache folder outside the checkout.

use std::path::{Path, PathBuf};

use crate::run::Step;

/// What the Python environment holds. Dynamo is installed without its dependencies: one of them is a stub that fetches
/// from elsewhere, and the mock engine does without it.
const DYNAMO: &[&str] = &["ai-dynamo==1.6.1", "ai-dynamo-runtime==1.6.1"];
const DYNAMO_NEEDS: &[&str] = &[
    "aiohttp",
    "huggingface_hub",
    "kubernetes<33",
    "msgspec",
    "nats-py",
    "numpy",
    "prometheus_client",
    "pydantic<=2.13.5",
    "PyYAML",
    "pyzmq",
    "redis",
    "requests",
    "safetensors",
    "tokenizers",
    "transformers",
    "uvloop",
];
const OPENTELEMETRY: &[&str] =
    &["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-grpc", "opentelemetry-exporter-otlp-proto-http"];

/// Where the peers are.
pub struct Peers {
    debian: Vec<(&'static str, PathBuf)>,
    python: PathBuf,
}

/// Debian's: the variable by which the tests find it, the program, the package that has it.
const DEBIAN: &[(&str, &str, &str)] = &[
    ("SLIPRING_TEST_PROMETHEUS", "/usr/bin/prometheus", "prometheus"),
    ("SLIPRING_TEST_NODE_EXPORTER", "/usr/bin/prometheus-node-exporter", "prometheus-node-exporter"),
    ("SLIPRING_TEST_ETCD", "/usr/bin/etcd", "etcd-server"),
];

impl Peers {
    /// For a person.
    pub fn describe(&self) -> String {
        let python = [("SLIPRING_TEST_PYTHON", self.python.clone())];
        let all = self.debian.iter().chain(&python);
        all.map(|(variable, path)| format!("{variable}={}\n", path.display())).collect()
    }

    /// The command with the peers' places in its environment, as the tests read them.
    pub fn for_tests(&self, step: Step) -> Step {
        let step = self.debian.iter().fold(step, |step, (variable, path)| step.env(variable, path));
        step.env("SLIPRING_TEST_PYTHON", &self.python)
    }
}

/// Installs what is missing.
pub fn install() -> Result<Peers, String> {
    Ok(Peers { debian: debian()?, python: python()? })
}

/// Runs Dynamo in `DIR` until it is stopped.
pub fn dynamo(peers: &Peers, arguments: &[String]) -> Result<(), String> {
    let script = workspace().join("tests/peers/run-dynamo");
    if arguments.is_empty() {
        return Err("usage: cargo xtask dynamo DIR".to_owned());
    }
    Step::new(script).args(arguments).env("SLIPRING_TEST_PYTHON", &peers.python).run()
}

fn debian() -> Result<Vec<(&'static str, PathBuf)>, String> {
    let missing: Vec<_> = DEBIAN.iter().filter(|peer| !Path::new(peer.1).exists()).map(|peer| peer.2).collect();
    if !missing.is_empty() {
        apt(&missing)?;
    }
    let found = |&(variable, program, package)| {
        let path = PathBuf::from(program);
        if path.exists() {
            Ok((variable, path))
        } else {
            Err(format!("{program} is not in Debian's package {package}"))
        }
    };
    DEBIAN.iter().map(found).collect()
}

fn python() -> Result<PathBuf, String> {
    // The folder's name changes with what is in it, so that a new list makes a new environment.
    let mark = DYNAMO.iter().chain(DYNAMO_NEEDS).chain(OPENTELEMETRY).fold(5381u64, |hash, name| {
        name.bytes().chain([b'\n']).fold(hash, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte))
    });
    let folder = cache().join(format!("python-{mark:016x}"));
    let python = folder.join("bin/python");
    let done = folder.join("complete");
    if done.exists() && Step::new(&python).args(["-c", "import dynamo.mocker, opentelemetry.sdk"]).succeeds() {
        return Ok(python);
    }
    if !Step::new("python3").args(["-c", "import ensurepip, venv"]).succeeds() {
        apt(&["python3", "python3-venv"])?;
    }
    Step::new("python3").args(["-m", "venv", "--clear"]).args([&folder]).run()?;
    pip(&python, &["--no-deps"], DYNAMO)?;
    pip(&python, &[], DYNAMO_NEEDS)?;
    pip(&python, &[], OPENTELEMETRY)?;
    Step::new(&python).args(["-c", "import dynamo.mocker, opentelemetry.sdk"]).run()?;
    std::fs::write(&done, "").map_err(|error| format!("cannot write {}: {error}", done.display()))?;
    Ok(python)
}

fn pip(python: &Path, options: &[&str], packages: &[&str]) -> Result<(), String> {
    Step::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(options)
        .args(packages)
        .run()
}

fn apt(packages: &[&str]) -> Result<(), String> {
    let root = Step::new("id").args(["-u"]).output()?.trim() == "0";
    let apt = |arguments: &[&str]| {
        let step = if root { Step::new("apt-get") } else { Step::new("sudo").args(["apt-get"]) };
        step.args(arguments).env("DEBIAN_FRONTEND", "noninteractive")
    };
    apt(&["update", "--quiet"]).run()?;
    apt(&["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages).run()
}

/// `$XDG_CACHE_HOME/slipring`, or `~/.cache/slipring`.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    base.unwrap_or_else(home).join("slipring")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}
