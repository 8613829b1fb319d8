//! Records that stand in several lines: patterns, parts of a container's lines, entries that are put together.

use pipeline::component::Refused;

use super::*;

#[tokio::test(start_paused = true)]
async fn records_of_several_lines_are_cut_where_the_pattern_says() {
    let rig = Rig::new("multiline: { line_start_pattern: '^\\d' }");
    rig.files.put("/logs/a.log", "1 a\n  b\n2 c\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["1 a\n  b"]);
    rig.files.append("/logs/a.log", "  d\n");
    assert_eq!(rig.lines_after(1).await, [""; 0]);
    rig.files.append("/logs/a.log", "3 e\n");
    assert_eq!(rig.lines_after(1).await, ["2 c\n  d"]);
    assert_eq!(rig.lines_after(4).await, ["3 e"]);
    running.stop().await;
}

const TRACEBACKS: &str = "operators: [{ type: recombine, combine_field: body, is_first_entry: 'body not startsWith \" \"' }]\n\
                          preserve_leading_whitespaces: true";

#[tokio::test(start_paused = true)]
async fn entries_are_put_together_across_reads_and_wait_no_longer_than_they_may() {
    let rig = Rig::new(TRACEBACKS);
    rig.files.put("/logs/a.log", "one\n 1\ntwo\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["one\n 1"]);
    rig.files.append("/logs/a.log", " 2\n 3\n");
    assert_eq!(rig.lines_after(8).await, [""; 0]);
    rig.files.append("/logs/a.log", "three\n");
    assert_eq!(rig.lines_after(1).await, ["two\n 2\n 3"]);
    assert_eq!(rig.lines_after(18).await, [""; 0]);
    assert_eq!(rig.lines_after(3).await, ["three"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_wait_come_again_after_a_stop_or_a_death() {
    let rig = Rig::new(TRACEBACKS);
    rig.files.put("/logs/a.log", "one\ntwo\n 1\n");
    for kill in [true, false, true] {
        let running = rig.start().await;
        sleep(A_POLL).await;
        if kill { running.kill().await } else { running.stop().await }
    }
    assert_eq!(rig.lines(), ["one"]);
    let running = rig.start().await;
    rig.files.append("/logs/a.log", " 2\nthree\n");
    assert_eq!(rig.lines_after(1).await, ["two\n 1\n 2"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_wait_arrive_though_their_file_is_renamed_cut_or_deleted() {
    for what in ["rename", "copy", "cut", "delete"] {
        let rig = Rig::new(&format!("include: ['/logs/*']\n{TRACEBACKS}"));
        rig.files.put("/logs/a.log", format!("{}two\n", "one\n 1\n".repeat(300)));
        let running = rig.start().await;
        assert_eq!(rig.lines_after(1).await.len(), 300, "{what}");
        match what {
            "rename" => rig.files.mv("/logs/a.log", "/logs/b.log"),
            "copy" => {
                rig.files.copy("/logs/a.log", "/logs/b.log");
                rig.files.put("/logs/a.log", "new\n");
            }
            "cut" => rig.files.put("/logs/a.log", "new\n"),
            _ => rig.files.rm("/logs/a.log"),
        }
        if ["rename", "copy"].contains(&what) {
            rig.files.append("/logs/b.log", " 2\n");
        }
        let mut got = rig.lines_after(60).await;
        got.retain(|line| line != "new");
        let want = if ["rename", "copy"].contains(&what) { "two\n 2" } else { "two" };
        assert_eq!(got, [want], "{what}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_put_together_once_though_batches_are_refused() {
    let rig = Rig::new(TRACEBACKS);
    for _ in 0..3 {
        rig.sink.then(Err(Refused::retry("full", "later")));
    }
    rig.files.put("/logs/a.log", "one\n 1\ntwo\n 2\nthree\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(60).await, ["one\n 1", "two\n 2", "three"]);
    running.stop().await;
}

fn cri(stream: &str, tag: &str, text: &str) -> String {
    format!("2026-11-20T15:31:26.681620000Z {stream} {tag} {text}\n")
}

const POD: &str = "/var/log/pods/default_vllm-0_49cc7c1f-d370/main/3.log";

/// Each record: its body, attributes and resource.
fn shown(batches: &[Batch]) -> Vec<String> {
    let mut out = Vec::new();
    for part in batches.iter().flat_map(Batch::parts) {
        for resource in resources(part).map(Result::unwrap) {
            let of_resource: Vec<_> = resource
                .attributes()
                .map(|kv| kv.map(|kv| format!("{}={}", kv.key, show(kv.value))).unwrap())
                .collect();
            for scope in resource.scopes().map(Result::unwrap) {
                for record in scope.items::<LogRecord<'_>>().map(Result::unwrap) {
                    let attributes = attributes(record).join(", ");
                    let (time, severity) = (record.time, record.severity_number);
                    let body = show(record.body);
                    out.push(format!("{body} @{time} {severity} [{attributes}] [{}]", of_resource.join(", ")));
                }
            }
        }
    }
    out
}

#[tokio::test(start_paused = true)]
async fn the_preset_for_containers_unwraps_lines_joins_their_parts_and_knows_the_pod() {
    let rig = Rig::new("include: ['/var/log/pods/*/*/*.log']\nformat: container\ninclude_file_name: false");
    let json = r#"{"time":"2026-11-20T15:31:27Z","level":"WARN","model":"m"}"#;
    rig.files.put(
        POD,
        cri("stdout", "P", "be")
            + &cri("stderr", "F", "ERROR apart")
            + &cri("stdout", "F", "gin")
            + &cri("stderr", "F", json),
    );
    let running = rig.start().await;
    sleep(A_POLL).await;
    running.stop().await;
    let pod = "[k8s.namespace.name=default, k8s.pod.name=vllm-0, k8s.pod.uid=49cc7c1f-d370, k8s.container.name=main, \
               k8s.container.restart_count=3]";
    assert_eq!(
        shown(&rig.sink.take()),
        [
            format!("ERROR apart @1795188686681620000 17 [log.iostream=stderr] {pod}"),
            format!("begin @1795188686681620000 0 [log.iostream=stdout] {pod}"),
            format!("{json} @1795188687000000000 13 [log.iostream=stderr, model=m] {pod}"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_container_operator_leaves_its_facts_for_others() {
    let rig = Rig::new(
        "include: ['/var/log/pods/*/*/*.log']
include_file_name: false
operators:
  - { type: container, id: c }
  - { type: json_parser, if: 'body startsWith \"{\"', parse_ints: true }",
    );
    let docker = |log: &str| format!("{{\"log\":{log:?},\"stream\":\"stdout\",\"time\":\"2026-11-20T15:31:26Z\"}}\n");
    rig.files.put(POD, docker("{\"n\":") + &docker("1}\n") + &docker("last without end"));
    let running = rig.start().await;
    sleep(Duration::from_secs(6)).await;
    running.stop().await;
    let facts = "log.iostream=stdout";
    let pod = "[k8s.namespace.name=default, k8s.pod.name=vllm-0, k8s.pod.uid=49cc7c1f-d370, k8s.container.name=main, \
               k8s.container.restart_count=3]";
    assert_eq!(
        shown(&rig.sink.take()),
        [
            format!("{{\"n\":1}} @1795188686000000000 0 [{facts}, n=1] {pod}"),
            format!("last without end @1795188686000000000 0 [{facts}] {pod}"),
        ]
    );
}
