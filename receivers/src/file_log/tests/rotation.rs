//! Files that are renamed, replaced, cut, copied and deleted while they are read.

use super::*;

/// Longer than a file is taken for a copy in the making, or is held open when it is gone.
const PATIENCE: Duration = Duration::from_secs(31);

#[tokio::test(start_paused = true)]
async fn a_file_that_is_renamed_and_replaced_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    rig.files.append("/logs/a.log", numbered(3, 3));
    rig.files.mv("/logs/a.log", "/logs/a.log.1");
    rig.files.append("/logs/a.log.1", numbered(4, 4));
    rig.files.put("/logs/a.log", numbered(5, 6));
    assert_eq!(rig.lines_after(1).await, lines(3, 6));
    rig.files.append("/logs/a.log", numbered(7, 7));
    assert_eq!(rig.lines_after(1).await, lines(7, 7));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_only_renamed_goes_on_under_its_new_name() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    sleep(A_POLL).await;
    rig.files.mv("/logs/a.log", "/logs/b.log");
    rig.files.append("/logs/b.log", numbered(3, 3));
    sleep(A_POLL).await;
    let batches = rig.sink.take();
    assert_eq!(bodies(&batches), lines(1, 3));
    let mut names = Vec::new();
    for_each_record(&batches, |_, r| names.extend(attributes(r)));
    assert_eq!(names, ["log.file.name=a.log", "log.file.name=a.log", "log.file.name=b.log"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_moved_out_of_the_pattern_is_read_to_its_end_while_it_grows() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    sleep(A_POLL).await;
    rig.files.append("/logs/a.log", numbered(3, 3));
    rig.files.mv("/logs/a.log", "/old/a.log");
    rig.files.put("/logs/a.log", numbered(10, 10));
    sleep(PATIENCE / 2).await;
    rig.files.append("/old/a.log", numbered(4, 4));
    sleep(PATIENCE / 2).await;
    rig.files.append("/old/a.log", "line 5");
    sleep(A_POLL * 4).await;
    let mut got = rig.lines();
    got.sort();
    assert_eq!(got, ["line 1", "line 10", "line 2", "line 3", "line 4", "line 5"]);
    sleep(PATIENCE).await;
    assert_eq!(rig.files.open_files(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_deleted_is_read_to_its_end_and_then_closed() {
    let rig = Rig::new("force_flush_period: 0");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    sleep(A_POLL).await;
    rig.files.append("/logs/a.log", "line 3\nline 4");
    rig.files.rm("/logs/a.log");
    assert_eq!(rig.lines_after(1).await, lines(1, 3));
    assert_eq!(rig.files.open_files(), 1);
    sleep(PATIENCE).await;
    assert_eq!(rig.lines(), ["line 4"]);
    sleep(A_POLL).await;
    assert_eq!(rig.files.open_files(), 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_file_that_gets_the_inode_of_a_deleted_one_is_a_new_file() {
    let rig = Rig::new("max_concurrent_files: 2");
    // The one file that stays open is another one.
    rig.files.put("/logs/0.log", "first\n");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["first", "line 1", "line 2"]);
    let inode = rig.files.inode("/logs/a.log");
    rig.files.rm("/logs/a.log");
    rig.files.put("/logs/b.log", numbered(3, 9));
    assert_eq!(rig.files.inode("/logs/b.log"), inode);
    assert_eq!(rig.lines_after(1).await, lines(3, 9));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_copied_and_cut_between_two_looks_loses_and_repeats_nothing() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 200));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 200));
    rig.files.append("/logs/a.log", numbered(201, 210));
    rig.files.copy("/logs/a.log", "/logs/a.log.1");
    rig.files.truncate("/logs/a.log", 0);
    rig.files.append("/logs/a.log", numbered(211, 220));
    let mut got = rig.lines_after(1).await;
    got.sort();
    assert_eq!(got, lines(201, 220));
    rig.files.append("/logs/a.log", numbered(221, 221));
    assert_eq!(rig.lines_after(1).await, lines(221, 221));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_seen_before_the_file_is_cut_waits_for_it() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 200));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 200));
    // The copy is made in pieces, and the file still grows.
    let contents = rig.files.contents("/logs/a.log");
    for part in [0, 100, 1500, contents.len()] {
        rig.files.put("/logs/a.log.1", &contents[..part]);
        rig.files.append("/logs/a.log", if part == 1500 { numbered(201, 202) } else { String::new() });
        sleep(A_POLL).await;
    }
    rig.files.append("/logs/a.log.1", numbered(201, 202));
    assert_eq!(rig.lines_after(1).await, lines(201, 202));
    rig.files.append("/logs/a.log", numbered(203, 203));
    rig.files.append("/logs/a.log.1", numbered(203, 203));
    rig.files.truncate("/logs/a.log", 0);
    rig.files.append("/logs/a.log", numbered(204, 204));
    let mut got = rig.lines_after(1).await;
    got.sort();
    assert_eq!(got, lines(203, 204));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_and_its_copy_that_are_both_written_after_the_cut_are_both_read() {
    let rig = Rig::new("include: ['/logs/*']");
    rig.files.put("/logs/a.log", numbered(1, 200));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 200));
    rig.files.copy("/logs/a.log", "/logs/a.log.1");
    rig.files.truncate("/logs/a.log", 0);
    let mut got = Vec::new();
    for i in (201..220).step_by(2) {
        rig.files.append("/logs/a.log", numbered(i, i));
        rig.files.append("/logs/a.log.1", numbered(i + 1, i + 1));
        got.extend(rig.lines_after(1).await);
    }
    got.sort();
    assert_eq!(got, lines(201, 220));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_copied_out_of_the_pattern_and_cut_goes_on_from_its_beginning() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 100));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 100));
    rig.files.copy("/logs/a.log", "/old/a.log");
    rig.files.truncate("/logs/a.log", 0);
    sleep(A_POLL).await;
    rig.files.append("/logs/a.log", numbered(101, 102));
    assert_eq!(rig.lines_after(1).await, lines(101, 102));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_and_outgrows_its_old_length_between_two_looks_is_read_from_its_beginning() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 10));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 10));
    rig.files.put("/logs/a.log", numbered(11, 40));
    assert_eq!(rig.lines_after(1).await, lines(11, 40));
    // As long as before, to the byte.
    rig.files.put("/logs/a.log", numbered(41, 70));
    assert_eq!(rig.lines_after(1).await, lines(41, 70));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_to_a_shorter_one_with_the_same_start_is_read_as_on_truncate_says() {
    for (on_truncate, want, then) in
        [("read_whole_file", lines(1, 3), lines(4, 4)), ("read_new", vec![], lines(4, 4)), ("ignore", vec![], vec![])]
    {
        let rig = Rig::new(&format!("on_truncate: {on_truncate}"));
        rig.files.put("/logs/a.log", numbered(1, 10));
        let running = rig.start().await;
        assert_eq!(rig.lines_after(1).await, lines(1, 10));
        rig.files.truncate("/logs/a.log", numbered(1, 3).len());
        assert_eq!(rig.lines_after(1).await, want, "{on_truncate}");
        rig.files.append("/logs/a.log", numbered(4, 4));
        assert_eq!(rig.lines_after(1).await, then, "{on_truncate}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_files_with_the_same_first_bytes_are_both_read() {
    let rig = Rig::new("");
    let header = format!("{}\n", "#".repeat(2000));
    rig.files.put("/logs/a.log", format!("{header}a1\n"));
    rig.files.put("/logs/b.log", format!("{header}b1\n"));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(2).await.len(), 4);
    rig.files.put("/logs/c.log", format!("{header}c1\n"));
    assert_eq!(rig.lines_after(1).await, [header.trim(), "c1"]);
    rig.files.append("/logs/b.log", "b2\n");
    assert_eq!(rig.lines_after(1).await, ["b2"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_shorter_than_its_fingerprint_may_begin_as_another_one_does() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", "banner\na1\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["banner", "a1"]);
    // So far it only repeats the beginning of the other one, so it may be a copy.
    rig.files.put("/logs/b.log", "banner\n");
    assert_eq!(rig.lines_after(1).await, [""; 0]);
    rig.files.append("/logs/b.log", "b1\n");
    assert_eq!(rig.lines_after(1).await, ["banner", "b1"]);
    rig.files.append("/logs/a.log", "a2\n");
    assert_eq!(rig.lines_after(1).await, ["a2"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_file_that_is_not_cut_is_read_as_a_file_of_its_own_after_a_while() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 2));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 2));
    rig.files.copy("/logs/a.log", "/logs/b.log");
    sleep(PATIENCE - A_POLL * 8).await;
    assert_eq!(rig.lines(), [""; 0]);
    assert_eq!(rig.lines_after(8).await, lines(1, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_turned_to_a_new_file_is_followed_and_the_old_one_read_to_its_end() {
    let rig = Rig::new("");
    rig.files.put("/pods/0.txt", numbered(1, 1));
    rig.files.symlink("/pods/0.txt", "/logs/pod.log");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 1));
    rig.files.append("/pods/0.txt", numbered(2, 2));
    rig.files.put("/pods/1.txt", numbered(3, 3));
    rig.files.symlink("/pods/1.txt", "/logs/pod.log");
    assert_eq!(rig.lines_after(1).await, lines(2, 3));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_several_paths_lead_to_is_read_once() {
    let rig = Rig::new("include: ['/logs/*', '/logs/a*', /other/x]");
    rig.files.put("/logs/a.log", numbered(1, 1));
    rig.files.hard_link("/logs/a.log", "/logs/b.log");
    rig.files.symlink("/logs/a.log", "/other/x");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 1));
    rig.files.rm("/logs/a.log");
    rig.files.append("/logs/b.log", numbered(2, 2));
    assert_eq!(rig.lines_after(1).await, lines(2, 2));
    running.stop().await;
}
