//! Which files are read, how many are open, and what keeps some of them from being read.

use std::io::ErrorKind;

use pipeline::testing::series;

use super::*;

#[tokio::test(start_paused = true)]
async fn excluded_and_old_files_are_left_alone() {
    let rig = Rig::new("include: ['/logs/**/*.log']\nexclude: ['/logs/**/debug*.log']\nexclude_older_than: 1h");
    rig.files.put("/logs/old.log", "old\n");
    sleep(Duration::from_secs(3700)).await;
    rig.files.put("/logs/x/debug-1.log", "excluded\n");
    rig.files.put("/logs/x/y/a.log", "a\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["a"]);
    rig.files.append("/logs/old.log", "young\n");
    assert_eq!(rig.lines_after(1).await, ["old", "young"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn thousands_of_files_are_read_with_few_open() {
    let rig = Rig::new("max_concurrent_files: 16");
    for i in 0..3000 {
        rig.files.put(format!("/logs/{i:04}.log"), format!("{i:04} one\n"));
    }
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await.len(), 3000);
    assert!(rig.files.open_files() <= 8, "{} open", rig.files.open_files());
    for i in (0..3000).step_by(100) {
        rig.files.append(format!("/logs/{i:04}.log"), format!("{i:04} two\n"));
    }
    let want: Vec<_> = (0..3000).step_by(100).map(|i| format!("{i:04} two")).collect();
    assert_eq!(rig.lines_after(1).await, want);
    assert!(rig.files.open_files() <= 8, "{} open", rig.files.open_files());
    let gauge = |name| series(&rig.world.meter, name)[0].count();
    assert_eq!(gauge("otelcol_fileconsumer_open_files"), rig.files.open_files() as u64);
    assert_eq!(gauge("otelcol_fileconsumer_reading_files"), 3000);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_that_do_not_change_are_not_opened_again() {
    let rig = Rig::new("max_concurrent_files: 4");
    for i in 0..100 {
        rig.files.put(format!("/logs/{i}.log"), format!("line of {i}\n"));
    }
    let running = rig.start().await;
    sleep(A_POLL * 2).await;
    let opened = rig.files.opened();
    sleep(A_POLL * 20).await;
    assert_eq!(rig.files.opened(), opened);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_opened_keeps_others_from_nothing_and_is_read_when_it_can_be() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", "a\n");
    rig.files.put("/logs/b.log", "b\n");
    rig.files.fail("/logs/a.log", ErrorKind::PermissionDenied);
    let running = rig.start().await;
    assert_eq!(rig.lines_after(4).await, ["b"]);
    rig.files.heal("/logs/a.log");
    assert_eq!(rig.lines_after(1).await, ["a"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_attributes_of_a_file_are_added_on_request() {
    let rig = Rig::new(
        "include_file_name: false
include_file_path: true
include_file_name_resolved: true
include_file_path_resolved: true
include_file_owner_name: true
include_file_owner_group_name: true
include_file_permissions: true
attributes: { log.file.path: mine }",
    );
    rig.files.put("/pods/0.txt", "x\n");
    rig.files.symlink("/pods/0.txt", "/logs/a.log");
    rig.files.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\ndynamo:x:1000:100::/:/bin/sh\n");
    let running = rig.start().await;
    let batches = rig.sink.wait_for_items(1).await;
    for_each_record(&batches, |_, record| {
        assert_eq!(
            attributes(record),
            [
                "log.file.name_resolved=0.txt",
                "log.file.path_resolved=/pods/0.txt",
                "log.file.owner.name=dynamo",
                "log.file.owner.group.name=100",
                "log.file.permissions=0644",
                "log.file.path=mine",
            ]
        );
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_many_files_the_first_ones_by_an_order_are_read() {
    let rig = Rig::new(
        "ordering_criteria:
  regex: '^/logs/(?P<name>[a-z]+)-(?P<number>\\d+)-(?P<day>\\d+)\\.log$'
  group_by: '^/logs/(?P<name>[a-z]+)-'
  top_n: 2
  sort_by:
    - { regex_key: day, sort_type: timestamp, format: '%Y%m%d' }
    - { regex_key: number, sort_type: numeric, ascending: true }",
    );
    for name in ["a-2-20261120", "a-10-20261120", "a-1-20261119", "b-1-20200101", "b-x-20200101"] {
        rig.files.put(format!("/logs/{name}.log"), format!("{name}\n"));
    }
    let running = rig.start().await;
    let mut got = rig.lines_after(1).await;
    got.sort();
    assert_eq!(got, ["a-10-20261120", "a-2-20261120", "b-1-20200101"]);
    rig.files.put("/logs/a-7-20261121.log", "newest\n");
    assert_eq!(rig.lines_after(1).await, ["newest"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_are_removed_on_request_when_everything_in_them_has_arrived() {
    let rig = Rig::new("delete_after_read: true");
    rig.sink.then(Err(pipeline::component::Refused::retry("full", "later")));
    rig.files.put("/logs/a.log", "one\ntwo");
    let running = rig.start().await;
    sleep(A_POLL).await;
    assert!(rig.files.exists("/logs/a.log"));
    assert_eq!(rig.lines_after(12).await, ["one", "two"]);
    assert!(!rig.files.exists("/logs/a.log"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_a_header_become_attributes_of_all_records() {
    let rig = Rig::new(
        "include_file_name: false
header:
  pattern: '^#'
  metadata_operators:
    - { type: regex_parser, regex: '^# ?(?P<pair>.*)$', parse_to: body }
    - { type: key_value_parser, parse_from: body.pair, delimiter: ':', pair_delimiter: ',' }",
    );
    rig.files.put("/logs/a.log", "# model: m, tp: 2\n");
    let running = rig.start().await;
    sleep(A_POLL).await;
    rig.files.append("/logs/a.log", "#rank:0\none\n");
    sleep(A_POLL).await;
    running.kill().await;
    rig.files.append("/logs/a.log", "# two\n");
    let running = rig.start().await;
    sleep(A_POLL).await;
    let mut got = Vec::new();
    for_each_record(&rig.sink.take(), |_, r| got.push(format!("{} {}", show(r.body), attributes(r).join(" "))));
    assert_eq!(got, ["one model=m tp=2 rank=0", "# two model=m tp=2 rank=0"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attributes_may_be_expressions() {
    let rig = Rig::new(
        "include_file_name: false\nattributes: { size: EXPR(len(body)) }\nresource: { first: EXPR(body ?? 1), b: c }",
    );
    rig.files.put("/logs/a.log", "abc\n");
    let running = rig.start().await;
    let batches = rig.sink.wait_for_items(1).await;
    for_each_record(&batches, |_, record| assert_eq!(attributes(record), ["size=3"]));
    let resource = resources(&batches[0].parts()[0]).next().unwrap().unwrap();
    assert_eq!(resource.attributes().find("first").unwrap().unwrap().as_text(), Some("abc"));
    assert_eq!(resource.attributes().find("b").unwrap().unwrap().as_text(), Some("c"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_somebody_has_for_himself_is_read_when_he_is_done_where_locks_are_asked_for() {
    for (settings, at_once) in [("acquire_fs_lock: true", lines(3, 4)), ("", lines(1, 4))] {
        let rig = Rig::new(settings);
        rig.files.put("/logs/a.log", numbered(1, 2));
        rig.files.take_lock("/logs/a.log");
        rig.files.put("/logs/b.log", numbered(3, 4));
        let running = rig.start().await;
        assert_eq!(rig.lines_after(2).await, at_once);
        rig.files.give_lock("/logs/a.log");
        assert_eq!(rig.lines_after(2).await.len(), 4 - at_once.len());
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_system_is_told_what_will_not_be_read_again_where_that_is_asked_for() {
    for (settings, forgotten) in [("file_cache_advise: true", 14), ("", 0)] {
        let rig = Rig::new(settings);
        rig.files.put("/logs/a.log", numbered(1, 2));
        let running = rig.start().await;
        rig.lines_after(1).await;
        assert_eq!(rig.files.forgotten(), forgotten);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_logs_pipeline_nothing_is_read() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", "a\n");
    let running = rig.start_into(Outputs::none()).await;
    sleep(A_POLL).await;
    assert_eq!(rig.files.opened(), 0);
    running.stop().await;
}

#[test]
fn everything_wrong_with_the_settings_is_said_at_once() {
    let errors = testing::decode::<Config>(
        "
include: ['/logs/[a', '~/x.log']
exclude: ['{a']
poll_interval: 0
fingerprint_size: 15
max_log_size: 0
max_concurrent_files: 1
encoding: ebcdic
format: json
operators: [{ type: noop }]
compression: lz4
delete_after_read: true
storage: file_storage
multiline: { line_start_pattern: '(', omit_pattern: true }
header: { pattern: '^#', metadata_operators: [{ type: key_value_parser, delimiter: '' }] }
ordering_criteria: { regex: 'x(?P<n>\\d+)', sort_by: [{ regex_key: m, sort_type: numeric }, { sort_type: timestamp, regex_key: n, format: '%Q' }] }
attributes: { a: EXPR(x) }
start_at: middle
include_file_nam: true
",
    )
    .unwrap_err();
    for want in [
        "a `[` of a glob is not closed",
        "`~` is not expanded",
        "a `{` of a glob is not closed",
        "the least is 1ms",
        "the least is 16 bytes",
        "the least is 1 byte",
        "the least is 2",
        "encodings are utf-8",
        "leave out `format` or `operators`",
        "must be gzip or auto",
        "'settings::delete_after_read': needs `start_at: beginning`",
        "'settings::multiline::line_start_pattern'",
        "'settings::header::metadata_operators[0]::delimiter'",
        "\"m\" is no named group",
        "unknown directive %Q",
        "is an expression, which goes with `operators`",
        "middle",
        "did you mean `include_file_name`?",
    ] {
        assert!(errors.contains(want), "{want} is not in:\n{errors}");
    }
    let errors = testing::decode::<Config>("{}").unwrap_err();
    assert!(errors.contains("needs \"include\""), "{errors}");
}
