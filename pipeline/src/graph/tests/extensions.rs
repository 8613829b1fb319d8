//! Extensions: first to start, last to end, found by those they help; and what is known of how everybody is.

use super::*;
use crate::telemetry::State;

/// An extension that writes its life into the diary.
struct Helper {
    id: ComponentId,
    diary: Diary,
}

impl Extension for Helper {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.diary.note(format!("start {}", self.id));
        let taken = self.id.kind == "taken";
        Box::pin(async move { if taken { Err("port 13133 is taken".into()) } else { Ok(()) } })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.diary.note(format!("close {}", self.id));
        Box::pin(async {})
    }
}

impl Planned {
    pub(super) fn extension(mut self, name: &str) -> Planned {
        let diary = self.diary.clone();
        let build = move |context: Context| -> Result<Arc<dyn Extension>, Error> {
            Ok(Arc::new(Helper { id: context.id, diary: diary.clone() }))
        };
        self.plan.extensions.push((id(name), Arc::new(build)));
        self.changed(Kind::Extension, name, 0)
    }

    pub(super) fn states(&self) -> Vec<String> {
        let show = |s: crate::telemetry::Status| format!("{} {} {:?}", s.who.kind, s.who.id, s.state);
        self.world.health.all().into_iter().map(show).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn extensions_start_before_and_close_after_everything_else() {
    let planned = Planned::new()
        .extension("guard")
        .extension("watch")
        .receiver("in")
        .exporter("out")
        .pipeline("logs", "in", "", "out");
    let running = planned.start().await.unwrap();
    assert_eq!(planned.world.health.pipelines(), planned.plan.pipelines);
    assert_eq!(planned.states(), ["receiver in Ok", "exporter out Ok", "extension guard Ok", "extension watch Ok"]);
    stop_cleanly(running).await;
    let diary = planned.diary.read();
    let lived: Vec<_> = diary.iter().filter(|line| !line.starts_with("build")).map(String::as_str).collect();
    let expected =
        ["start guard", "start watch", "start out", "run in", "end in", "close out", "close watch", "close guard"];
    assert_eq!(lived, expected);
    assert!(planned.world.health.all().iter().all(|status| status.state == State::Stopped), "{:?}", planned.states());
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_does_not_start_keeps_the_process_from_starting() {
    let planned = Planned::new()
        .extension("guard")
        .extension("taken")
        .receiver("in")
        .exporter("out")
        .pipeline("logs", "in", "", "out");
    let errors = planned.start().await.err().unwrap();
    assert_eq!(errors, ["extension taken: port 13133 is taken"]);
    assert_eq!((planned.diary.times("close guard"), planned.diary.times("start out")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_needs_an_extension_finds_it_by_its_id_or_is_not_built() {
    let look = |planned: Planned, name: &'static str| {
        planned
            .receiver_by("in", move |context| {
                context.extensions.find(&id(name)).map_err(|error| format!("auth: {error}"))?;
                Ok(Box::new(Running(Box::new(|_, life| {
                    Box::pin(async move {
                        life.ready();
                        life.stopped().await;
                        Ok(())
                    })
                }))))
            })
            .exporter("out")
            .pipeline("logs", "in", "", "out")
    };
    let found = look(Planned::new().extension("guard/a"), "guard/a");
    stop_cleanly(found.start().await.unwrap()).await;
    let missing = look(Planned::new().extension("guard/a"), "guard/b");
    let errors = missing.start().await.err().unwrap();
    assert_eq!(errors, ["receiver in: auth: 'guard/b' is not in service.extensions"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_stored_only_by_what_stores() {
    let storing = QueueSettings { storage: Some(id("guard")), ..QueueSettings::default() };
    let planned = Planned::new()
        .extension("guard")
        .receiver("in")
        .exporter_with("out", delivery::Settings { queue: storing, ..delivery::Settings::default() })
        .pipeline("logs", "in", "", "out");
    let errors = planned.start().await.err().unwrap();
    assert_eq!(errors, ["exporter out: sending_queue.storage: 'guard' stores nothing"]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_panics_is_in_trouble_until_it_runs_again() {
    let planned = Planned::new()
        .receiver_that("in", |_, life| async move {
            life.ready();
            tokio::time::sleep(Duration::from_secs(1)).await;
            panic!("a bug")
        })
        .exporter("out")
        .pipeline("logs", "in", "", "out");
    let running = planned.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let status = planned.world.health.all().remove(0);
    assert_eq!(status.state, State::Recoverable);
    assert!(status.error.unwrap().0.contains("a bug"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(planned.states()[0], "receiver in Ok");
    stop_cleanly(running).await;
}
