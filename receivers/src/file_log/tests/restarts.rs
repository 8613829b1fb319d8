//! What a process knows of the one before it.

use std::io::ErrorKind;
use std::path::Path;

use pipeline::config::ComponentId;
use pipeline::delivery::FileStorage;
use pipeline::doors::Files;

use super::*;

const CHECKPOINT: &str = "/data/file_log.offsets.json";

#[tokio::test(start_paused = true)]
async fn reading_goes_on_where_it_had_stopped() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 3));
    for (from, to) in [(1, 3), (4, 4), (5, 5)] {
        let running = rig.start().await;
        assert_eq!(rig.lines_after(1).await, lines(from, to));
        if to == 4 {
            running.kill().await;
        } else {
            running.stop().await;
        }
        rig.files.append("/logs/a.log", numbered(to + 1, to + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_are_kept_where_a_storage_says_or_else_in_the_data_directory() {
    for (directory, at) in
        [("", "/data/file_storage/file_log.offsets.json"), ("/var/lib/store", "/var/lib/store/file_log.offsets.json")]
    {
        let rig = Rig::new("storage: file_storage/a");
        let storage = FileStorage { directory: directory.into(), ..FileStorage::default() };
        rig.extensions.add(ComponentId::new("file_storage", "a"), Arc::new(storage));
        rig.files.put("/logs/a.log", numbered(1, 3));
        for (from, to) in [(1, 3), (4, 4)] {
            let running = rig.start().await;
            assert_eq!(rig.lines_after(1).await, lines(from, to));
            running.stop().await;
            rig.files.append("/logs/a.log", numbered(to + 1, to + 1));
        }
        assert!(rig.files.read_small(Path::new(at), 4096).is_ok(), "{at}");
        assert!(rig.files.read_small(Path::new(CHECKPOINT), 4096).is_err());
    }
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 3));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 3));
    running.stop().await;
    rig.files.append("/logs/a.log", numbered(4, 4));
    let rig = Rig { settings: rig.settings.clone() + "\nstorage: file_storage", ..rig };
    rig.extensions.add(ComponentId::new("file_storage", ""), Arc::new(FileStorage::default()));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(4, 4), "a storage that is new knows what was kept before");
    running.stop().await;
    let config: Config = testing::decode("include: [/logs/*.log]\nstorage: file_storage/none").unwrap();
    let error = Factory::build(config, Rig::new("").context()).err().unwrap().to_string();
    assert_eq!(error, "storage: 'file_storage/none' is not in service.extensions");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_when_the_process_died_comes_again() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    rig.sink.hold();
    rig.files.append("/logs/a.log", numbered(3, 4));
    sleep(A_POLL).await;
    running.kill().await;
    rig.sink.release();
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(3, 4));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_first_start_reading_begins_at_the_end_and_later_files_are_read_whole() {
    let rig = Rig::new("start_at: end");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    rig.files.append("/logs/a.log", numbered(3, 3));
    rig.files.put("/logs/b.log", numbered(4, 4));
    assert_eq!(rig.lines_after(1).await, lines(3, 4));
    running.kill().await;
    rig.files.append("/logs/a.log", numbered(5, 5));
    rig.files.put("/logs/c.log", numbered(6, 6));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(5, 6));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_where_reading_began_is_remembered_from_the_first_look_on() {
    let rig = Rig::new("start_at: end");
    rig.files.put("/logs/a.log", numbered(1, 2));
    rig.start().await.kill().await;
    rig.files.append("/logs/a.log", numbered(3, 3));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(3, 3));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_renamed_and_replaced_meanwhile_is_found_again() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 300));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 300));
    running.stop().await;
    rig.files.append("/logs/a.log", numbered(301, 301));
    rig.files.mv("/logs/a.log", "/logs/a.log.1");
    rig.files.put("/logs/a.log", numbered(302, 303));
    let running = rig.start().await;
    let mut got = rig.lines_after(1).await;
    got.sort();
    assert_eq!(got, lines(301, 303));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn large_files_that_were_moved_meanwhile_go_on_where_they_were_left() {
    let rig = Rig::new("include: ['/logs/*']");
    let line = |name: &str, i: usize| format!("{name} {i} {}\n", "x".repeat(990));
    for name in ["a", "b"] {
        rig.files.put(format!("/logs/{name}.log"), (0..3000).map(|i| line(name, i)).collect::<String>());
    }
    let running = rig.start().await;
    assert_eq!(rig.lines_after(4).await.len(), 6000);
    running.stop().await;
    for name in ["a", "b"] {
        rig.files.append(format!("/logs/{name}.log"), line(name, 3000));
        rig.files.mv(format!("/logs/{name}.log"), format!("/logs/{name}.log.1"));
    }
    rig.files.put("/logs/a.log", line("a", 3001));
    let running = rig.start().await;
    let mut got = rig.lines_after(2).await;
    got.sort();
    let want = [line("a", 3000), line("a", 3001), line("b", 3000)].map(|line| line.trim_end().to_owned());
    assert_eq!(got, want);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_copied_and_cut_meanwhile_is_found_again_in_its_copy() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 300));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 300));
    running.stop().await;
    rig.files.append("/logs/a.log", numbered(301, 301));
    rig.files.copy("/logs/a.log", "/logs/a.log.1");
    rig.files.put("/logs/a.log", numbered(302, 303));
    let running = rig.start().await;
    let mut got = rig.lines_after(1).await;
    got.sort();
    assert_eq!(got, lines(301, 303));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_inode_has_changed_meanwhile_is_known_by_its_bytes() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 300));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 300));
    running.stop().await;
    rig.files.put("/elsewhere", "takes the free number");
    rig.files.copy("/logs/a.log", "/logs/new");
    rig.files.rm("/logs/a.log");
    rig.files.mv("/logs/new", "/logs/a.log");
    rig.files.append("/logs/a.log", numbered(301, 301));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(301, 301));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_deleted_and_came_again_with_the_same_beginning_is_read_whole() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", "starting\nno such model\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["starting", "no such model"]);
    rig.files.rm("/logs/a.log");
    sleep(Duration::from_secs(40)).await;
    rig.files.put("/logs/a.log", "starting\nno such model\n");
    assert_eq!(rig.lines_after(1).await, ["starting", "no such model"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_that_cannot_be_written_keep_nothing_from_arriving() {
    let rig = Rig::new("");
    rig.files.fail(CHECKPOINT, ErrorKind::StorageFull);
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    rig.files.heal(CHECKPOINT);
    sleep(A_POLL).await;
    running.kill().await;
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_offsets_that_cannot_be_read_all_files_are_read_whole() {
    let rig = Rig::new("start_at: end");
    rig.files.put("/logs/a.log", numbered(1, 2));
    rig.files.put(CHECKPOINT, "{\"version\":1,\"fil");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_comes_back_after_a_while_goes_on_where_it_was_left() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    rig.files.mv("/logs/a.log", "/elsewhere");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.files.open_files(), 0);
    running.stop().await;
    let running = rig.start().await;
    rig.files.mv("/elsewhere", "/logs/b.log");
    rig.files.append("/logs/b.log", numbered(3, 3));
    assert_eq!(rig.lines_after(1).await, lines(3, 3));
    running.stop().await;
}
