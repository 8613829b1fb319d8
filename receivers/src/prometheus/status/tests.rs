//! The pages, over a receiver that runs.

use std::time::Duration;

use pipeline::testing::World;
use serde_json::Value;
use tokio::time::sleep;

use crate::prometheus::tests::{far, start};

/// What a page shows.
fn shown(world: &World, uri: &str) -> Option<String> {
    let (parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
    let page = world.pages.find(parts.uri.path())?;
    Some(String::from_utf8(page.show(&parts).into_body().to_vec()).unwrap())
}

fn json(world: &World, query: &str) -> Value {
    serde_json::from_str(&shown(world, &format!("/api/v1/targets{query}")).unwrap()).unwrap()
}

const YAML: &str = "
config:
  scrape_configs:
  - job_name: up
    scrape_interval: 10s
    basic_auth: {username: hidden-user, password: hidden-password}
    params: {module: [m], auth_token: [hidden-token]}
    static_configs: [{targets: ['a:1'], labels: {zone: '<z1>'}}, {targets: ['b:1'], labels: {__meta_x: dropped}}]
    relabel_configs: [{action: drop, source_labels: [__meta_x], regex: dropped}]
  - job_name: down
    scrape_interval: 10s
    static_configs: [{targets: ['nobody:1']}]
";

#[tokio::test(start_paused = true)]
async fn targets_are_shown_in_prometheus_shape_while_the_receiver_runs() {
    let world = World::new();
    let _a = far(&world, "a:1").await;
    let bench = start(world.clone(), YAML);
    sleep(Duration::from_millis(1)).await;
    let first = &json(&world, "?scrapePool=down")["data"]["activeTargets"][0].clone();
    assert_eq!((&first["health"], &first["lastScrape"]), (&"unknown".into(), &"0001-01-01T00:00:00Z".into()));
    sleep(Duration::from_secs(11)).await;

    let all = json(&world, "");
    assert_eq!(all["status"], "success");
    let active = all["data"]["activeTargets"].as_array().unwrap();
    assert_eq!(active.iter().map(|t| t["scrapePool"].as_str().unwrap()).collect::<Vec<_>>(), ["down", "up"]);
    let up = &active[1];
    assert_eq!(up["labels"], serde_json::json!({"instance": "a:1", "job": "up", "zone": "<z1>"}));
    assert_eq!(up["discoveredLabels"]["__address__"], "a:1");
    assert_eq!(up["discoveredLabels"]["__param_auth_token"], "[REDACTED]");
    assert_eq!(up["scrapeUrl"], "http://a:1/metrics?auth_token=[REDACTED]&module=m");
    assert_eq!((&up["health"], &up["lastError"]), (&"up".into(), &"".into()));
    assert_eq!((&up["scrapeInterval"], &up["scrapeTimeout"]), (&"10s".into(), &"10s".into()));
    assert!(up["lastScrape"].as_str().unwrap().starts_with("2026-01-01T00:00:"));
    assert!(up["lastScrapeDuration"].is_f64() && up["globalUrl"] == up["scrapeUrl"]);
    assert_eq!(active[0]["health"], "down");
    assert!(active[0]["lastError"].as_str().unwrap().contains("cannot connect to nobody:1"));
    assert_eq!(all["data"]["droppedTargets"][0]["discoveredLabels"]["__meta_x"], "dropped");
    assert_eq!(all["data"]["droppedTargets"][0]["scrapePool"], "up");
    assert_eq!(all["data"]["droppedTargetCounts"], serde_json::json!({"down": 0, "up": 1}));

    let data = &json(&world, "?state=active&scrapePool=up")["data"];
    assert_eq!((data["activeTargets"].as_array().unwrap().len(), &data["droppedTargets"]), (1, &serde_json::json!([])));
    assert_eq!(data["droppedTargetCounts"], Value::Null);
    let data = &json(&world, "?state=Dropped")["data"];
    assert_eq!((&data["activeTargets"], data["droppedTargets"].as_array().unwrap().len()), (&serde_json::json!([]), 1));
    assert_eq!(json(&world, "?scrapePool=other")["data"]["activeTargets"], serde_json::json!([]));

    let (world, _) = bench.end().await;
    assert_eq!(shown(&world, "/targets"), None, "and no longer");
}

#[tokio::test(start_paused = true)]
async fn the_page_for_people_escapes_and_hides() {
    let world = World::new();
    let _a = far(&world, "a:1").await;
    let bench = start(world.clone(), YAML);
    let second = start(world.clone(), &YAML.replace("nobody", "someone"));
    sleep(Duration::from_secs(11)).await;
    let page = shown(&world, "/targets").unwrap();
    for part in [
        "4 targets in 4 jobs, 2 down",
        "zone=\"&lt;z1&gt;\"",
        "cannot connect to nobody:1",
        "1 target dropped by relabelling",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for secret in ["hidden-user", "hidden-password", "hidden-token"] {
        assert!(!page.contains(secret) && !json(&world, "").to_string().contains(secret), "{secret}");
    }
    assert!(!page.contains("<script") && !page.contains("src="));
    let down = shown(&world, "/targets?health=down&scrapePool=up").unwrap();
    assert!(down.contains("1/1 up") && !down.contains("a:1/metrics"), "{down}");
    bench.end().await;
    assert!(shown(&world, "/targets").unwrap().contains("2 targets in 2 jobs"), "the other receiver still runs");
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_lines_in_a_file_of_their_own() {
    let world = World::new();
    let yaml = "config: {global: {scrape_failure_log_file: /log/f.json}, scrape_configs: [{job_name: x, \
        scrape_interval: 10s, params: {token: [hidden]}, static_configs: [{targets: ['nobody:1']}]}]}";
    let bench = start(world.clone(), yaml);
    sleep(Duration::from_secs(21)).await;
    bench.end().await;
    let text = String::from_utf8(world.files.contents("/log/f.json")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!((&lines[0]["job_name"], &lines[0]["level"]), (&"x".into(), &"ERROR".into()));
    assert_eq!(lines[0]["target"], "http://nobody:1/metrics?token=[REDACTED]");
    assert!(lines[0]["msg"].as_str().unwrap().contains("cannot connect to nobody:1"));
    assert!(lines[0]["time"].as_str().unwrap().starts_with("2026-01-01T00:00:"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_scraped_is_told() {
    let world = World::new();
    let rule = "relabel_configs: [{target_label: __scheme__, replacement: http}]";
    let yaml = format!("config: {{scrape_configs: [{{job_name: x, static_configs: [{{targets: ['c/d']}}], {rule}}}]}}");
    let bench = start(world.clone(), &yaml);
    sleep(Duration::from_secs(1)).await;
    let page = shown(&world, "/targets").unwrap();
    assert!(page.contains("relabel_configs: target &quot;c/d&quot; of job &quot;x&quot;"), "{page}");
    bench.end().await;
}
