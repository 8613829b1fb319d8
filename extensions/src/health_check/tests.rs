use pipeline::config::ComponentId;
use pipeline::config::testing::{decode, warnings};
use pipeline::telemetry::Kind;
use pipeline::testing::World;
use pipeline::testing::conformance::extension;

use super::*;
use crate::site::get;

#[tokio::test(start_paused = true)]
async fn it_is_an_extension_like_others() {
    extension::<Factory>("{}").await;
    extension::<Factory>("{use_v2: true, http: {endpoint: 'localhost:1', status: {path: /s}}}").await;
}

async fn start(world: &World, yaml: &str) -> Arc<dyn Extension> {
    let built = Factory::build(decode(yaml).unwrap(), world.context("health_check")).unwrap();
    built.start().await.unwrap();
    built
}

#[tokio::test(start_paused = true)]
async fn the_process_is_available_from_ready_to_the_stop() {
    let world = World::new();
    let _running = start(&world, "{}").await;
    let down = r#"{"status":"Server not available","upSince":"0001-01-01T00:00:00Z","uptime":""}"#;
    assert_eq!(get(&world, "http://localhost:13133/").await, (StatusCode::SERVICE_UNAVAILABLE, down.to_owned()));
    world.health.process_is(State::Ok);
    tokio::time::advance(Duration::from_millis(62_500)).await;
    let up = r#"{"status":"Server available","upSince":"2026-01-01T00:00:00.000Z","uptime":"1m2.5s"}"#;
    assert_eq!(get(&world, "http://localhost:13133").await, (StatusCode::OK, up.to_owned()));
    assert_eq!(get(&world, "http://localhost:13133/else").await.0, StatusCode::NOT_FOUND);
    world.health.process_is(State::Stopping);
    assert_eq!(get(&world, "http://localhost:13133/").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn path_and_bodies_are_as_the_config_says() {
    let world = World::new();
    let yaml = "{endpoint: '0.0.0.0:1313', path: /ready, response_body: {healthy: fine, unhealthy: wait}}";
    let _running = start(&world, yaml).await;
    assert_eq!(get(&world, "http://0.0.0.0:1313/ready").await, (StatusCode::SERVICE_UNAVAILABLE, "wait".to_owned()));
    world.health.process_is(State::Ok);
    assert_eq!(get(&world, "http://0.0.0.0:1313/ready/").await, (StatusCode::OK, "fine".to_owned()));
    let (_, words) = get(&world, "http://0.0.0.0:1313/").await;
    assert_eq!(words, "nothing here; the state is at /ready\n");
}

#[tokio::test(start_paused = true)]
async fn the_second_version_counts_components_where_it_is_told_to() {
    let world = World::new();
    let health =
        "component_health: {include_recoverable_errors: true, include_permanent_errors: true, recovery_duration: 10s}";
    let _running = start(&world, &format!("{{use_v2: true, {health}}}")).await;
    let url = "http://localhost:13133/status?verbose";
    let far = world.health.reporter(Kind::Exporter, &ComponentId::new("debug", ""), None);
    world.health.process_is(State::Ok);
    far.recoverable("nobody there");
    assert_eq!(get(&world, url).await.0, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(get(&world, url).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    far.permanent("401");
    assert_eq!(get(&world, url).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    far.ok();
    let (status, body) = get(&world, url).await;
    assert!(status == StatusCode::OK && body.contains("\"status\": \"StatusOK\""), "{body}");
    assert_eq!(get(&world, "http://localhost:13133/").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_keeps_from_starting() {
    let world = World::new();
    let _first = start(&world, "{}").await;
    let second = Factory::build(decode("{}").unwrap(), world.context("health_check")).unwrap();
    let error = second.start().await.unwrap_err().to_string();
    assert!(error.starts_with("endpoint: cannot listen on localhost:13133: "), "{error}");
}

#[test]
fn what_has_no_effect_and_what_cannot_be_is_said() {
    let said = warnings::<Config>("{check_collector_pipeline: {enabled: true, interval: 1m}, http: {}}");
    assert!(said.contains("has no effect, as in the collector"), "{said}");
    assert!(said.contains("has no effect without use_v2: true"), "{said}");
    let errors =
        decode::<Config>("{use_v2: true, path: x, http: {config: {enabled: true, path: /c}}, grpc: {}}").unwrap_err();
    for expected in ["\"x\" is no path", "use `slipring print-config`", "over gRPC are not available"] {
        assert!(errors.contains(expected), "{errors}");
    }
    assert_eq!(in_go(Duration::from_secs(3723)), "1h2m3s");
}
