//! The command line: what it answers, where, and with which exit code.

use std::process::Command;

/// Exit code, standard output and standard error.
fn slipring(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    let output = command.args(arguments).env("SLIPRING_TEST_TOKEN", "s3cr3t").output().expect("slipring runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const CONFIG: &str = "yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {otlp_grpc: {endpoint: 'localhost:1', \
                      headers: {authorization: 'Bearer ${env:SLIPRING_TEST_TOKEN}'}}}, \
                      service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}}}";

#[test]
fn without_a_config_the_quickstart_is_named() {
    for arguments in [&[][..], &["run"], &["validate"], &["print-config"]] {
        let (code, out, errors) = slipring(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(errors.contains("slipring run --config builtin:quickstart"), "{arguments:?}: {errors}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (code, out, _) = slipring(&["--help"]);
    assert_eq!(code, Some(0));
    for expected in ["Exit codes:", "validate", "print-config", "components", "--set", "builtin:quickstart"] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
    let (code, out, _) = slipring(&["--version"]);
    assert_eq!((code, out), (Some(0), format!("slipring {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn what_is_no_command_line_says_what_would_be() {
    let (code, _, errors) = slipring(&["valdate"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("'validate'"), "{errors}");
    let (code, _, errors) = slipring(&["--confg", "x"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("'--config'"), "{errors}");
}

#[test]
fn a_valid_config_is_0_and_a_wrong_one_2() {
    assert_eq!(slipring(&["validate", "--config", CONFIG]), (Some(0), String::new(), String::new()));
    assert_eq!(slipring(&["--config", CONFIG, "validate"]).0, Some(0));
    let over = "yaml:exporters: {otlp_grpc: {endpoint: 'localhost:2'}}";
    let (code, out, _) = slipring(&["--config", CONFIG, "print-config", "--config", over]);
    assert_eq!(code, Some(0), "configs before and behind the word are joined");
    assert!(out.contains("endpoint: localhost:2\n"), "{out}");
    let (code, out, errors) = slipring(&["validate", "--config", CONFIG, "--set", "exporters.otlp_grpc.timeout=5d"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(
        errors,
        "--set:1:29: error: 'exporters::otlp_grpc::timeout' has the unknown unit \"d\" in the duration \"5d\"; \
         units are ns, us, ms, s, m, h: write 120h\n    1 | exporters.otlp_grpc.timeout=5d\n      \
         |                             ^^\n\n1 error\n"
    );
    for command in [&["run"][..], &[], &["print-config"]] {
        let (code, _, errors) = slipring(&[command, &["--config", "/nowhere.yaml"]].concat());
        assert_eq!(code, Some(2), "{command:?}");
        assert!(errors.starts_with("/nowhere.yaml: error: cannot read the config: "), "{errors}");
    }
}

#[test]
fn the_builtin_quickstart_is_valid() {
    assert_eq!(slipring(&["validate", "--config", "builtin:quickstart"]), (Some(0), String::new(), String::new()));
}

#[test]
fn a_config_prints_merged_and_without_secrets() {
    let (code, out, errors) = slipring(&["print-config", "--config", CONFIG, "--set", "service.shutdown_timeout=1s"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(out.contains("      authorization: '[REDACTED]'\n") && out.contains("  shutdown_timeout: 1s\n"), "{out}");
    let (_, out, _) = slipring(&["print-config", "--config", CONFIG, "--mode", "unredacted", "--format", "json"]);
    assert!(out.starts_with('{') && out.contains("\"authorization\": \"Bearer s3cr3t\""), "{out}");
}

#[test]
fn components_are_listed_with_their_old_names_and_stability() {
    let (code, out, _) = slipring(&["components"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("buildinfo:\n  command: slipring\n"), "{out}");
    let listed = "deprecated_types: [prometheusremotewrite]\n    stability:\n      metrics: Beta\n";
    assert!(out.contains("\n  - name: prometheus_remote_write\n") && out.contains(listed), "{out}");
}

#[test]
fn feature_gates_are_taken_with_a_note() {
    let (code, _, errors) = slipring(&["validate", "--config", CONFIG, "--feature-gates", "a,-b"]);
    assert_eq!(code, Some(0));
    assert!(errors.starts_with("note: --feature-gates"), "{errors}");
}

#[test]
fn everything_can_be_explained_under_old_and_new_names() {
    let (code, out, _) = slipring(&["explain"]);
    assert_eq!(code, Some(0));
    for expected in ["receivers\n", "file_log", "(also filelog)", "\nservice\n", "slipring explain COMPONENT"] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
    let (code, out, _) = slipring(&["explain", "otlphttp"]);
    assert_eq!(code, Some(0));
    for expected in
        ["otlphttp is an older name of otlp_http", "\nkeys:\n", "  encoding ", "default proto", "\nexample:\n"]
    {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
    let (code, out, _) = slipring(&["explain", "exporters::otlp_grpc::sending_queue::batch::flush_timeout"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "exporters.otlp_grpc.sending_queue.batch.flush_timeout: duration, default 200ms\n\n  the longest that data wait \
         for more\n\nexample:\n  exporters:\n    otlp_grpc:\n      sending_queue:\n        batch:\n          \
         flush_timeout: 200ms\n"
    );
    let (_, out, _) = slipring(&["explain", "debug.verbosity"]);
    assert!(out.contains("one of: basic, normal, detailed"), "{out}");
    // Both of this name.
    let (_, out, _) = slipring(&["explain", "prometheus"]);
    assert!(
        out.contains("receivers.prometheus for metrics") && out.contains("exporters.prometheus for metrics"),
        "{out}"
    );
}

#[test]
fn what_cannot_be_explained_says_what_can() {
    for (question, expected) in [
        ("otlp_gprc", "did you mean `otlp_grpc`?"),
        ("exporters.logging", "use `debug`"),
        ("hostmetrics", "scrape a node_exporter with `prometheus`"),
        ("loki.endpont", "did you mean `endpoint`?"),
        ("otlp_grpc.queue_size", "did you mean `sending_queue.queue_size`?"),
        ("sending_queue", "it is a key of exporters.debug"),
        ("debug.loglevel", "use `verbosity`"),
    ] {
        let (code, out, errors) = slipring(&["explain", question]);
        let said = format!("{out}{errors}");
        assert!(said.contains(expected), "{question}: {expected} is not in:\n{said}");
        assert_eq!(code == Some(0), errors.is_empty(), "{question}: {code:?}");
    }
}

#[test]
fn the_origin_of_each_value_is_shown() {
    let arguments = ["print-config", "--origin", "--config", CONFIG, "--set", "service.shutdown_timeout=1s"];
    let (code, out, errors) = slipring(&arguments);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for expected in [
        "authorization: '[REDACTED]'",
        "# --config yaml:1:118, the variable SLIPRING_TEST_TOKEN",
        "shutdown_timeout: 1s",
        "# --set\n",
    ] {
        assert!(out.contains(expected), "{expected} is not in:\n{out}");
    }
    let over = "yaml:exporters: {otlp_grpc: {endpoint: '${env:SLIPRING_TEST_NOWHERE:-localhost:9}'}}";
    let (_, out, _) = slipring(&["print-config", "--origin", "--config", CONFIG, "--config", over]);
    assert!(out.contains("the default of the variable SLIPRING_TEST_NOWHERE"), "{out}");
}

#[test]
fn shells_complete_and_manuals_can_be_read() {
    for (shell, expected) in
        [("bash", "complete -F _slipring"), ("zsh", "#compdef slipring"), ("fish", "complete -c slipring")]
    {
        let (code, out, _) = slipring(&["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(out.contains(expected) && out.contains("print-config"), "{shell}: {out}");
    }
    let (code, out, _) = slipring(&["man"]);
    assert_eq!(code, Some(0));
    assert!(out.contains(".TH slipring 1") && out.contains("Exit codes:"), "{out}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, _, errors) = slipring(&["man", "--out", &folder.path().join("man1").display().to_string()]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for page in ["slipring.1", "slipring-validate.1", "slipring-explain.1"] {
        assert!(folder.path().join("man1").join(page).exists(), "{page}");
    }
}
