use pipeline::Signal;
use pipeline::config::ComponentId;
use pipeline::config::testing::{decode, warnings};
use pipeline::plan::{Pipeline, PipelineId};
use pipeline::testing::World;
use pipeline::testing::conformance::extension;

use super::*;
use crate::site::get;

#[tokio::test(start_paused = true)]
async fn it_is_an_extension_like_others() {
    extension::<Factory>("{}").await;
}

#[tokio::test(start_paused = true)]
async fn pages_show_what_runs_and_how_it_is_escaped() {
    let world = World::new();
    let built = Factory::build(decode("{}").unwrap(), world.context("zpages")).unwrap();
    built.start().await.unwrap();
    let (otlp, far) = (ComponentId::new("otlp", ""), ComponentId::new("otlp_http", "<b>"));
    world.health.describe(vec![Pipeline {
        id: PipelineId { signal: Signal::Logs, name: "a".to_owned() },
        receivers: vec![otlp.clone()],
        processors: Vec::new(),
        exporters: vec![far.clone()],
    }]);
    world.health.reporter(Kind::Extension, &ComponentId::new("zpages", ""), None).ok();
    world.health.reporter(Kind::Exporter, &far, Some(Signal::Logs)).recoverable("said <script>");
    let text = async |path: &str| get(&world, &format!("http://localhost:55679{path}")).await;

    let (status, page) = text("/debug/pipelinez").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("<td>logs/a</td><td>logs</td><td>otlp</td><td></td><td>otlp_http/&lt;b&gt;</td>"), "{page}");
    assert!(
        page.contains("<td>StatusRecoverableError</td><td>2026-01-01T00:00:00.000Z</td><td>said &lt;script&gt;</td>"),
        "{page}"
    );
    assert!(!page.contains("<script>"));
    assert!(text("/debug/extensionz").await.1.contains("<td>extension zpages</td><td></td><td>StatusOK</td>"));
    assert!(text("/debug/servicez").await.1.contains("<td>state</td><td>StatusStarting</td>"));
    assert!(text("/debug/tracez").await.1.contains("said &lt;script&gt;"));
    assert!(text("/debug/featurez").await.1.contains("no feature gates"));
    assert!(text("/").await.1.contains("/debug/tracez"));
    let (status, page) = text("/debug/%3Cscript%3E").await;
    assert!(status == StatusCode::NOT_FOUND && page.contains("Nothing is here"), "{page}");
}

#[test]
fn what_has_no_effect_is_said() {
    assert!(warnings::<Config>("expvar: {enabled: true}").contains("there are no variables of a Go program"));
    assert!(decode::<Config>("endpoint: x").unwrap_err().contains("needs a host and a port"));
}
