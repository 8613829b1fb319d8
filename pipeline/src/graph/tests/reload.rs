//! Reloads of graphs that work: what stays, what changes, what is undone. Nothing is lost or refused.

use super::*;
use crate::telemetry::State;

mod random;

impl Planned {
    async fn reload(&self, running: &mut super::super::Running) -> Result<Reloaded, Vec<String>> {
        let reloaded = running.reload(&self.plan).await;
        reloaded.map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn built(&self) -> Vec<String> {
        self.diary.read().into_iter().filter(|line| line.starts_with("build")).collect()
    }

    /// Lets everything happen that can happen now.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn dropped(&self) -> u64 {
        self.count("slipring_dropped_items_total", &[])
    }
}

fn named(kind: Kind, name: &str) -> (Kind, ComponentId) {
    (kind, id(name))
}

/// One of everything.
fn simple() -> Planned {
    Planned::new().receiver("in").processor("p", counting).exporter("out").pipeline("logs", "in", "p", "out")
}

/// A processor that says how many batches it has seen, as state.
fn counting(_: &Diary, _: &Context) -> Result<Stage, Error> {
    struct Counting(Mutex<usize>);
    impl Processor for Counting {
        fn process(&self, batch: Batch) -> Result<Batch, Refused> {
            let mut seen = self.0.lock().unwrap();
            *seen += 1;
            Ok(logs([format!("{}#{seen}", names(&batch).join(" "))]))
        }
    }
    Ok(Stage::Plain(Box::new(Counting(Mutex::new(0)))))
}

#[tokio::test(start_paused = true)]
async fn a_reload_to_the_same_changes_nothing() {
    let planned = simple();
    let mut running = planned.start().await.unwrap();
    planned.send("in", logs(["a"])).await.unwrap();
    let built = planned.built();
    let reloaded = planned.reload(&mut running).await.unwrap();
    assert_eq!(reloaded, Reloaded { kept: 3, ..Reloaded::default() });
    planned.send("in", logs(["b"])).await.unwrap();
    assert_eq!(planned.built(), built);
    stop_cleanly(running).await;
    assert_eq!(planned.delivered("out"), ["a#1", "b#2"]);
    assert_eq!((planned.diary.times("run in"), planned.diary.times("start out")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_built_anew_and_its_neighbours_keep_their_state() {
    let old = simple();
    let mut running = old.start().await.unwrap();
    old.send("in", logs(["a"])).await.unwrap();
    let new = old
        .next()
        .receiver("in")
        .processor("p", counting)
        .processor("q", |_, _| plain(Ok))
        .exporter("out")
        .exporter("more")
        .pipeline("logs", "in", "q p", "out more")
        .changed(Kind::Exporter, "out", 1);
    let reloaded = new.reload(&mut running).await.unwrap();
    let expected = Reloaded {
        added: vec![named(Kind::Processor, "q"), named(Kind::Exporter, "more")],
        changed: vec![named(Kind::Exporter, "out")],
        removed: vec![],
        kept: 2,
    };
    assert_eq!(reloaded, expected);
    assert_eq!(reloaded.to_string(), "added: processor q, exporter more; changed: exporter out; kept: 2");
    new.send("in", logs(["b"])).await.unwrap();
    stop_cleanly(running).await;
    assert_eq!(new.delivered("out"), ["a#1", "b#2"], "the processor has gone on counting");
    assert_eq!(new.delivered("more"), ["b#2"]);
    assert_eq!((new.diary.times("run in"), new.diary.times("close out")), (1, 2));
    assert_conserved(&new.world.meter);
}

#[tokio::test(start_paused = true)]
async fn a_changed_processor_starts_afresh_and_what_the_old_one_holds_is_handed_on() {
    let plan = |from: &Planned, version| {
        let plan =
            from.next().receiver("in").processor("h", holding).exporter("out").pipeline("logs", "in", "h", "out");
        plan.changed(Kind::Processor, "h", version)
    };
    let old = plan(&Planned::new(), 0);
    let mut running = old.start().await.unwrap();
    old.send("in", logs(["a"])).await.unwrap();
    let new = plan(&old, 1);
    new.reload(&mut running).await.unwrap();
    new.send("in", logs(["b"])).await.unwrap();
    new.settle().await;
    assert_eq!((new.delivered("out"), new.diary.times("close h")), (vec!["a".to_owned()], 1));
    let same = plan(&new, 1);
    same.reload(&mut running).await.unwrap();
    same.settle().await;
    assert_eq!(same.diary.times("close h"), 1, "one that is the same holds on");
    stop_cleanly(running).await;
    assert_eq!(same.delivered("out"), ["a", "b"]);
    assert_conserved(&same.world.meter);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_holds_data_stays_while_everything_around_it_changes() {
    let old = Planned::new()
        .receiver("in")
        .processor("h", holding)
        .processor("p", counting)
        .exporter("out")
        .pipeline("logs", "in", "h p", "out");
    let mut running = old.start().await.unwrap();
    old.send("in", logs(["a"])).await.unwrap();
    let new = old
        .next()
        .receiver("in")
        .processor("q", |_, _| plain(Ok))
        .processor("h", holding)
        .exporter("other")
        .pipeline("logs", "in", "q h", "other");
    new.reload(&mut running).await.unwrap();
    new.send("in", logs(["b"])).await.unwrap();
    new.settle().await;
    assert_eq!(new.diary.times("close h"), 0);
    stop_cleanly(running).await;
    assert_eq!((new.delivered("out"), new.delivered("other")), (vec![], vec!["a".to_owned(), "b".to_owned()]));
    assert_conserved(&new.world.meter);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_was_told_another_thing_about_what_is_behind_it_is_built_anew() {
    let plan = |from: &Planned, wait_for_result| {
        let queue = QueueSettings { wait_for_result, ..QueueSettings::default() };
        let settings = delivery::Settings { queue, ..delivery::Settings::default() };
        let plan = from.next().receiver("in").processor("h", holding).exporter_with("out", settings);
        plan.pipeline("logs", "in", "h", "out").changed(Kind::Exporter, "out", u32::from(wait_for_result))
    };
    let old = plan(&Planned::new(), false);
    let mut running = old.start().await.unwrap();
    old.send("in", logs(["a"])).await.unwrap();
    plan(&old, true).reload(&mut running).await.unwrap();
    old.settle().await;
    assert_eq!(old.diary.times("close h"), 1);
    stop_cleanly(running).await;
    assert_eq!(old.delivered("out"), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_gets_its_answer_from_what_was_there_when_it_began() {
    let direct = delivery::Settings::direct;
    let old = Planned::new().receiver("in").exporter_with("out", direct()).pipeline("logs", "in", "", "out");
    old.far["out"].then(Answer::Deliver.after(Duration::from_secs(3)));
    let mut running = old.start().await.unwrap();
    let (answer, first) = tokio::sync::oneshot::channel();
    old.near["in"].send((logs(["a"]), answer)).await.unwrap();
    old.settle().await;
    let new = old.next().receiver("in").exporter_with("other", direct()).pipeline("logs", "in", "", "other");
    let begun = Instant::now();
    new.reload(&mut running).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for it");
    assert_eq!((first.await.unwrap(), begun.elapsed()), (Ok(()), Duration::from_secs(3)));
    assert_eq!(new.send("in", logs(["b"])).await, Ok(()));
    stop_cleanly(running).await;
    assert_eq!((new.delivered("out"), new.delivered("other")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(new.diary.times("close out"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_is_gone_drains_in_the_background_for_as_long_as_a_stop_may_take() {
    let mut settings = delivery::Settings::default();
    settings.retry.initial_interval = Duration::from_secs(1);
    settings.retry.multiplier = 1.0;
    let old = Planned::new().receiver("in").exporter_with("out", settings).pipeline("logs", "in", "", "out");
    old.far["out"].always(Answer::retry("http_503"));
    let mut running = old.start().await.unwrap();
    old.send("in", logs(["a"])).await.unwrap();
    let new = old.next().receiver("in").exporter("other").pipeline("logs", "in", "", "other");
    new.reload(&mut running).await.unwrap();
    new.send("in", logs(["b"])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(new.delivered("other"), ["b"]);
    old.far["out"].always(Answer::Deliver);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((new.delivered("out"), new.diary.times("close out")), (vec!["a".to_owned()], 1));
    assert_eq!(new.states(), ["receiver in Ok", "exporter other Ok"]);
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_may_get_its_first_pipeline_of_a_signal_and_lose_it_again() {
    let plan = |from: &Planned, traces: bool| {
        let plan = from.next().receiver("in").exporter("out").pipeline("logs", "in", "", "out");
        if traces { plan.pipeline("traces", "in", "", "out") } else { plan }
    };
    let old = plan(&Planned::new(), false);
    let mut running = old.start().await.unwrap();
    let shows = || old.world.meter.text().contains("otelcol_receiver_accepted_spans_total");
    assert!(!shows(), "nothing is counted that cannot come");
    let new = plan(&old, true);
    new.reload(&mut running).await.unwrap();
    assert_eq!(new.send("in", batch(Signal::Traces, ["s"])).await, Ok(()));
    assert!(shows());
    plan(&old, false).reload(&mut running).await.unwrap();
    assert_eq!(new.diary.times("run in"), 1);
    stop_cleanly(running).await;
    assert_eq!(new.delivered("out"), ["s"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_receiver_ends_before_the_new_one_starts_as_it_may_want_the_same_port() {
    let old = simple();
    let mut running = old.start().await.unwrap();
    let new = old.next().receiver("in").processor("p", counting).exporter("out").pipeline("logs", "in", "p", "out");
    let new = new.changed(Kind::Receiver, "in", 1);
    let (answer, waits) = tokio::sync::oneshot::channel();
    new.reload(&mut running).await.unwrap();
    new.near["in"].send((logs(["a"]), answer)).await.unwrap();
    assert_eq!(waits.await.unwrap(), Ok(()));
    let lived: Vec<_> = new.diary.read().into_iter().filter(|line| line.ends_with(" in")).collect();
    assert_eq!(lived, ["build in", "run in", "build in", "end in", "run in"]);
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_built_leaves_everything_untouched() {
    let old = simple();
    let mut running = old.start().await.unwrap();
    let new = old
        .next()
        .receiver_by("in", |_| Err("no such certificate".into()))
        .exporter_that_fails("new", "cannot read ca.pem")
        .pipeline("logs", "in", "", "new")
        .changed(Kind::Receiver, "in", 1);
    let errors = new.reload(&mut running).await.unwrap_err();
    assert_eq!(errors, ["exporter new: cannot read ca.pem", "receiver in: no such certificate"]);
    assert_eq!(old.send("in", logs(["a"])).await, Ok(()));
    assert_eq!(old.states(), ["receiver in Ok", "processor p Ok", "exporter out Ok"]);
    stop_cleanly(running).await;
    assert_eq!((old.delivered("out"), old.diary.times("run in")), (vec!["a#1".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_start_brings_the_old_ones_back() {
    let old = Planned::new().receiver("in").receiver("stays").receiver("goes").exporter("out").pipeline(
        "logs",
        "in stays goes",
        "",
        "out",
    );
    let mut running = old.start().await.unwrap();
    let new = old
        .next()
        .receiver("in")
        .receiver("stays")
        .receiver_that("bad", |_, _| async { Err("port 4317 is taken".into()) })
        .exporter("out")
        .exporter("new")
        .pipeline("logs", "in stays bad", "", "out new")
        .changed(Kind::Receiver, "in", 1)
        .changed(Kind::Exporter, "out", 1);
    assert_eq!(new.reload(&mut running).await.unwrap_err(), ["receiver bad: port 4317 is taken"]);
    for (receiver, runs) in [("in", 3), ("stays", 1), ("goes", 2)] {
        assert_eq!(old.send(receiver, logs([receiver])).await, Ok(()));
        assert_eq!(old.diary.times(&format!("run {receiver}")), runs, "{receiver}");
    }
    old.settle().await;
    assert_eq!(
        (new.delivered("out"), new.delivered("new")),
        (["in", "stays", "goes"].map(String::from).to_vec(), vec![])
    );
    assert_eq!(old.diary.times("close new"), 1);
    // It can be mended.
    let mended = new.next().receiver("in").exporter("new").pipeline("logs", "in", "", "new");
    mended.changed(Kind::Receiver, "in", 2).reload(&mut running).await.unwrap();
    assert_eq!(old.send("in", logs(["a"])).await, Ok(()));
    stop_cleanly(running).await;
    assert_eq!(new.delivered("new"), ["a"]);
    assert_conserved(&old.world.meter);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_not_ready_in_time_is_one_that_does_not_start() {
    let old = simple();
    let mut running = old.start().await.unwrap();
    let new = old
        .next()
        .receiver_that("slow", |_, life| async move {
            life.stopped().await;
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "slow", "", "out");
    assert_eq!(new.reload(&mut running).await.unwrap_err(), ["receiver slow: it was not ready within 30s"]);
    assert_eq!(old.send("in", logs(["a"])).await, Ok(()));
    stop_cleanly(running).await;
}

/// An exporter that wants the one port there is.
struct Listens {
    port: Arc<Mutex<Option<u32>>>,
    version: u32,
    works: bool,
}

impl Exporter for Listens {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        let mut port = self.port.lock().unwrap();
        let free = port.is_none() && self.works;
        if free {
            *port = Some(self.version);
        }
        Box::pin(async move { if free { Ok(()) } else { Err("port 9090 is taken".into()) } })
    }

    fn export<'a>(&'a self, _: &'a Batch) -> BoxFuture<'a, crate::component::Exported> {
        Box::pin(async { Ok(crate::component::Receipt::default()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let mut port = self.port.lock().unwrap();
        if *port == Some(self.version) {
            *port = None;
        }
        Box::pin(async {})
    }
}

#[tokio::test(start_paused = true)]
async fn an_exporter_gets_the_port_of_the_one_before_it_which_gets_it_back_where_the_reload_fails() {
    let port = Arc::new(Mutex::new(None));
    let plan = |from: &Planned, version, works| {
        let port = port.clone();
        let build = move |_| -> Result<Box<dyn Exporter>, Error> {
            Ok(Box::new(Listens { port: port.clone(), version, works }))
        };
        let mut plan = from.next().receiver("in").changed(Kind::Exporter, "out", version);
        let planned = PlannedExporter { build: Arc::new(build), delivery: delivery::Settings::direct() };
        plan.plan.exporters.insert(id("out"), planned);
        plan
    };
    let old = plan(&Planned::new(), 1, true).pipeline("logs", "in", "", "out");
    let mut running = old.start().await.unwrap();
    plan(&old, 2, true).pipeline("logs", "in", "", "out").reload(&mut running).await.unwrap();
    old.settle().await;
    assert_eq!(*port.lock().unwrap(), Some(2));
    let errors = plan(&old, 3, false).pipeline("logs", "in", "", "out").reload(&mut running).await.unwrap_err();
    assert_eq!(errors, ["exporter out: port 9090 is taken"]);
    assert_eq!(*port.lock().unwrap(), Some(2));
    let later = plan(&old, 4, true)
        .receiver_that("bad", |_, _| async { Err("no".into()) })
        .pipeline("logs", "in bad", "", "out");
    assert_eq!(later.reload(&mut running).await.unwrap_err(), ["receiver bad: no"]);
    assert_eq!(*port.lock().unwrap(), Some(2));
    assert_eq!(old.send("in", logs(["a"])).await, Ok(()));
    stop_cleanly(running).await;
    assert_eq!(*port.lock().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn extensions_are_kept_changed_and_closed_after_those_they_helped() {
    let plan = |from: &Planned, extensions: &[&str], version| {
        let plan = from.next().receiver("in").exporter("out").pipeline("logs", "in", "", "out");
        let plan = extensions.iter().fold(plan, |plan, name| plan.extension(name));
        plan.changed(Kind::Extension, "guard", version)
    };
    let old = plan(&Planned::new(), &["guard", "watch"], 0);
    let mut running = old.start().await.unwrap();
    plan(&old, &["watch", "guard", "new"], 1).reload(&mut running).await.unwrap();
    old.settle().await;
    let times = |what: &str| ["guard", "watch", "new"].map(|name| old.diary.times(&format!("{what} {name}")));
    assert_eq!((times("start"), times("close")), ([2, 1, 1], [1, 0, 0]));
    let errors = plan(&old, &["watch", "guard", "taken"], 1).reload(&mut running).await.unwrap_err();
    assert_eq!(errors, ["extension taken: port 13133 is taken"]);
    plan(&old, &["watch"], 0).reload(&mut running).await.unwrap();
    old.settle().await;
    assert_eq!((times("start"), times("close")), ([2, 1, 1], [2, 0, 1]));
    stop_cleanly(running).await;
    assert_eq!(times("close"), [2, 1, 1]);
    assert!(old.world.health.all().iter().all(|status| status.state == State::Stopped), "{:?}", old.states());
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_for_an_extension_that_is_built_anew_is_built_anew_with_it() {
    let plan = |from: &Planned, version| {
        let (diary, batches) = (from.diary.clone(), from.asked.get("in").cloned());
        let plan = from.next().receiver("in").receiver("other");
        let batches = batches.unwrap_or_else(|| plan.asked["in"].clone());
        let plan = plan.receiver_by("in", move |context| {
            context.extensions.find(&id("guard"))?;
            Ok(Box::new(Source { id: context.id, batches: batches.clone(), diary: diary.clone() }))
        });
        let plan = plan.extension("guard").exporter("out").pipeline("logs", "in other", "", "out");
        // As a file of it that has changed would do it: what refers to it has the same config.
        plan.changed(Kind::Extension, "guard", version)
    };
    let old = plan(&Planned::new(), 0);
    let mut running = old.start().await.unwrap();
    let reloaded = plan(&old, 1).reload(&mut running).await.unwrap();
    assert_eq!(reloaded.changed, [named(Kind::Receiver, "in"), named(Kind::Extension, "guard")]);
    assert_eq!(plan(&old, 1).reload(&mut running).await.unwrap().changed, []);
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_reload_ends_everything_and_loses_nothing() {
    let old = Planned::new().receiver("in").processor("h", holding).exporter("out").pipeline("logs", "in", "h", "out");
    let mut running = old.start().await.unwrap();
    old.send("in", logs(["a"])).await.unwrap();
    let new = old
        .next()
        .receiver("in")
        .receiver("more")
        .receiver_that("slow", |_, life| async move {
            life.stopped().await;
            Ok(())
        })
        .processor("h", holding)
        .exporter("out")
        .exporter("new")
        .pipeline("logs", "in more slow", "h", "out new")
        .changed(Kind::Receiver, "in", 1)
        .changed(Kind::Processor, "h", 1)
        .changed(Kind::Exporter, "out", 1);
    let reload = timeout(Duration::from_secs(5), new.reload(&mut running));
    let sent = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        new.send("more", logs(["b"])).await
    };
    let (reloaded, sent) = tokio::join!(reload, sent);
    assert!(reloaded.is_err(), "it is cut off");
    assert_eq!(sent, Ok(()));
    stop_cleanly(running).await;
    let mut delivered = new.delivered("out");
    delivered.sort();
    assert_eq!((delivered, new.delivered("new")), (vec!["a".to_owned(), "b".to_owned()], vec!["b".to_owned()]));
    assert_eq!(new.dropped(), 0);
    assert_conserved(&new.world.meter);
}

#[tokio::test(start_paused = true)]
async fn reloads_that_follow_each_other_do_not_wait_for_what_retires() {
    let plan = |from: &Planned, version| {
        let plan = from.next().receiver("in").exporter("out").pipeline("logs", "in", "", "out");
        plan.changed(Kind::Exporter, "out", version)
    };
    let old = plan(&Planned::new(), 0);
    old.far["out"].always(Answer::Deliver.after(Duration::from_secs(2)));
    let mut running = old.start().await.unwrap();
    let begun = Instant::now();
    for version in 1..=20 {
        old.send("in", logs([version])).await.unwrap();
        plan(&old, version).reload(&mut running).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    stop_cleanly(running).await;
    assert_eq!(old.delivered("out").len(), 20);
    assert_eq!(old.diary.times("close out"), 21);
    assert_conserved(&old.world.meter);
}

#[tokio::test(start_paused = true)]
async fn when_all_receivers_have_ended_a_reload_may_bring_new_ones() {
    let old = Planned::new()
        .receiver_that("soon", |_, life| async move {
            life.ready();
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "soon", "", "out");
    let mut running = old.start().await.unwrap();
    let new = old.next().receiver("in").exporter("out").pipeline("logs", "in", "", "out");
    new.reload(&mut running).await.unwrap();
    assert!(timeout(Duration::from_secs(1), running.ended()).await.is_err(), "there is one again");
    assert_eq!(new.send("in", logs(["a"])).await, Ok(()));
    let none = new
        .next()
        .receiver_that("soon", |_, life| async move {
            life.ready();
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "soon", "", "out");
    none.reload(&mut running).await.unwrap();
    assert!(running.ended().await.is_none());
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_component_whose_files_have_changed_is_built_anew() {
    let plan = |from: &Planned| {
        let diary = from.diary.clone();
        let batches = from.asked.get("in").cloned();
        let plan = from.next().receiver("in");
        let batches = batches.unwrap_or_else(|| plan.asked["in"].clone());
        plan.receiver_by("in", move |context| {
            let read = context.doors.files.read_small(std::path::Path::new("/etc/jobs.yml"), 100);
            diary.note(format!("read {}", String::from_utf8(read?)?));
            let _ = context.doors.files.read_small(std::path::Path::new("/proc/meminfo"), 100);
            Ok(Box::new(Source { id: context.id, batches: batches.clone(), diary: diary.clone() }))
        })
        .exporter("out")
        .pipeline("logs", "in", "", "out")
    };
    let old = Planned::new();
    let files = old.world.doors.files.clone();
    let write = |path: &str, text: &str| files.replace(std::path::Path::new(path), text.as_bytes()).unwrap();
    write("/etc/jobs.yml", "one");
    write("/proc/meminfo", "1");
    let old = plan(&old);
    let mut running = old.start().await.unwrap();
    write("/proc/meminfo", "2");
    assert_eq!(plan(&old).reload(&mut running).await.unwrap().changed, []);
    write("/etc/jobs.yml", "two");
    assert_eq!(plan(&old).reload(&mut running).await.unwrap().changed, [named(Kind::Receiver, "in")]);
    assert_eq!(old.diary.times("read two"), 1);
    stop_cleanly(running).await;
}
