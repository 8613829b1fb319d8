//! The receiver on the operating system's files, where what the operating system does matters: inodes, renames, open files
//! without a name, links, the checkpoint on disk.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use pipeline::doors::Doors;
use tokio::time::timeout;

use super::*;

async fn start(folder: &Path, sink: &Sink, poll_interval: &str) -> Running {
    let settings = format!(
        "include: ['{}/logs/*']\nstart_at: beginning\npoll_interval: {poll_interval}\nfingerprint_size: 64",
        folder.display()
    );
    let config: Config = testing::decode(&settings).unwrap();
    let world = World::new();
    let context = Context { doors: Doors::real(), data_dir: folder.join("data"), ..world.context("file_log/real") };
    let receiver = Factory::build(config, context).unwrap();
    let (stop, ready) = (CancellationToken::new(), Arc::new(Notify::new()));
    let task = world.tasks.spawn(receiver.run(sink.outputs(), Life::new(stop.clone(), ready.clone())));
    ready.notified().await;
    Running { stop, task }
}

/// The next lines, in any order.
async fn next(sink: &Sink, from: usize, to: usize) {
    let many = to + 1 - from;
    let batches = timeout(Duration::from_secs(60), sink.wait_for_items(many)).await.expect("the lines come");
    _ = sink.take();
    let mut got = bodies(&batches);
    got.sort();
    assert_eq!(got, lines(from, to));
}

fn write(file: &mut File, from: usize, to: usize) {
    file.write_all(numbered(from, to).as_bytes()).unwrap();
}

#[tokio::test]
async fn files_of_the_operating_system_are_followed_through_everything_that_happens_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join("logs").join(name);
    fs::create_dir(folder.path().join("logs")).unwrap();
    let sink = Sink::new();
    let running = start(folder.path(), &sink, "5ms").await;

    let mut file = File::create(at("a.log")).unwrap();
    write(&mut file, 10, 20);
    next(&sink, 10, 20).await;

    fs::rename(at("a.log"), at("a.log.1")).unwrap();
    write(&mut file, 21, 22);
    let mut file = File::create(at("a.log")).unwrap();
    write(&mut file, 23, 30);
    next(&sink, 21, 30).await;

    fs::copy(at("a.log"), at("a.log.2")).unwrap();
    file.set_len(0).unwrap();
    fs::write(at("a.log"), numbered(31, 33)).unwrap();
    next(&sink, 31, 33).await;

    let mut gone = File::create(at("b.log")).unwrap();
    write(&mut gone, 34, 34);
    next(&sink, 34, 34).await;
    fs::remove_file(at("b.log")).unwrap();
    write(&mut gone, 35, 36);
    next(&sink, 35, 36).await;

    fs::write(folder.path().join("target"), numbered(37, 37)).unwrap();
    symlink(folder.path().join("target"), at("link.log")).unwrap();
    next(&sink, 37, 37).await;

    running.stop().await;
    fs::rename(at("a.log"), at("a.log.3")).unwrap();
    fs::write(at("a.log"), numbered(38, 39)).unwrap();
    let running = start(folder.path(), &sink, "5ms").await;
    next(&sink, 38, 39).await;
    running.stop().await;
    assert!(folder.path().join("data/file_log.real.offsets.json").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn changes_that_the_operating_system_tells_of_are_found_before_it_is_time_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join("logs").join(name);
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::create_dir(folder.path().join("elsewhere")).unwrap();
    let target = folder.path().join("elsewhere/b");
    fs::write(&target, numbered(10, 10)).unwrap();
    symlink(&target, at("b.log")).unwrap();
    let sink = Sink::new();
    // Without being told, it would look once an hour.
    let running = start(folder.path(), &sink, "1h").await;
    let mut file = File::create(at("a.log")).unwrap();
    write(&mut file, 11, 20);
    next(&sink, 10, 20).await;
    write(&mut file, 21, 21);
    next(&sink, 21, 21).await;
    fs::OpenOptions::new().append(true).open(&target).unwrap().write_all(b"line 22\n").unwrap();
    next(&sink, 22, 22).await;
    running.stop().await;
}
