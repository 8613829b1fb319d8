//! Targets that come and go, by each mechanism, while the receiver runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipeline::doors::Net;
use pipeline::testing::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::prometheus::cache::tests::flatten::flatten;
use crate::prometheus::tests::{Bench, far, http, start};

/// A receiver with one job that finds its targets so.
fn job(world: &World, mechanism: &str) -> Bench {
    world.files.put("/etc/resolv.conf", "nameserver 10.0.0.10\nsearch ml.svc\n");
    let yaml = format!("config: {{scrape_configs: [{{job_name: x, scrape_interval: 10s, {mechanism}}}]}}");
    start(world.clone(), &yaml)
}

/// The labels before relabelling of all targets, without those that every target has.
fn found(bench: &Bench) -> Vec<String> {
    let jobs = bench.targets.jobs();
    let own = ["__metrics_path__", "__scheme__", "__scrape_interval__", "__scrape_timeout__", "job"];
    let shown = |labels: &[(String, String)]| {
        let pairs = labels.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        pairs
            .map(|(name, value)| format!("{}={value}", name.trim_start_matches("__meta_")))
            .collect::<Vec<_>>()
            .join(" ")
    };
    jobs[0].active.iter().map(|status| shown(&status.found().discovered)).collect()
}

fn errors(bench: &Bench) -> Vec<String> {
    bench.targets.jobs()[0].errors.iter().map(|(what, error)| format!("{what}: {error}")).collect()
}

fn json(body: &str) -> Vec<u8> {
    http("200 OK\r\ncontent-type: application/json; charset=utf-8", body)
}

const HTTP: &str = "http_sd_configs: [{url: 'http://list/t?x=1', refresh_interval: 30s, bearer_token: t}]";

#[tokio::test(start_paused = true)]
async fn an_endpoint_lists_targets_and_changes_its_mind() {
    let world = World::new();
    let (list, a) = (far(&world, "list:80").await, far(&world, "a:1").await);
    list.answer(json(
        "[\n\t{\"targets\": [\"a:1\", \"b:1\"], \"labels\": {\"zone\": \"z1\", \"__meta_rack\": \"7\"}}]",
    ));
    let bench = job(&world, HTTP);
    sleep(Duration::from_secs(11)).await;
    let more = "rack=7 url=http://list/t?x=1 zone=z1";
    assert_eq!(found(&bench), [format!("__address__=a:1 {more}"), format!("__address__=b:1 {more}")]);
    assert!(!a.requests().is_empty());
    let request = &list.requests()[0];
    for line in ["GET /t?x=1 HTTP/1.1", "accept: application/json", "x-prometheus-refresh-interval-seconds: 30"] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    assert!(request.contains("authorization: Bearer t\r\n"));

    bench.sink.take();
    list.answer(json("[{\"targets\": [\"b:1\"]}]"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(found(&bench), ["__address__=b:1 url=http://list/t?x=1"]);
    let flat: Vec<_> = bench.sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    let stale = flat.iter().filter(|flat| flat.series.contains("a:1") && flat.value.is_none()).count();
    assert_eq!(stale, 6, "the series of the target that is gone, and the five about it");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_none_keeps_the_targets_and_is_told() {
    let world = World::new();
    let list = far(&world, "list:80").await;
    list.answer(json("[{\"targets\": [\"a:1\"]}]"));
    let bench = job(&world, HTTP);
    sleep(Duration::from_secs(6)).await;
    for (answer, expected) in [
        (http("503 Service Unavailable", ""), "http_sd: the endpoint answered 503 Service Unavailable"),
        (http("200 OK\r\ncontent-type: text/html", "[]"), "http_sd: the answer has the content type \"text/html\""),
        (json("[null]"), "http_sd: the answer is no list of targets"),
        (json("[{\"targets\": [1]}]"), "http_sd: the answer is no list of targets"),
        (json("[{\"target\": [\"a\"]}]"), "http_sd: the answer is no list of targets: unknown field `target`"),
        (json("{}"), "http_sd: the answer is no list of targets"),
    ] {
        list.answer(answer);
        sleep(Duration::from_secs(36)).await;
        assert!(errors(&bench)[0].starts_with(expected), "{:?}", errors(&bench));
        assert_eq!(found(&bench).len(), 1);
    }
    let series = pipeline::testing::series(&world.meter, "slipring_discovery_failures_total");
    assert!(series.iter().any(|s| s.labels["mechanism"] == "http_sd" && s.count() >= 6));
    list.answer(json("[]"));
    sleep(Duration::from_secs(36)).await;
    assert_eq!((found(&bench).len(), errors(&bench).len()), (0, 0));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn files_may_be_json_with_tabs() {
    let world = World::new();
    let bench = job(&world, "file_sd_configs: [{files: ['/sd/*.json']}]");
    bench.world.files.put("/sd/a.json", "[\n\t{\n\t\t\"targets\": [\"a:1\"],\n\t\t\"labels\": null\n\t}\n]");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(found(&bench), ["__address__=a:1 filepath=/sd/a.json"]);
    bench.world.files.put("/sd/a.json", "[");
    sleep(Duration::from_secs(11)).await;
    assert!(errors(&bench)[0].starts_with("file_sd: /sd/a.json: EOF"), "{:?}", errors(&bench));
    assert_eq!(found(&bench).len(), 1);
    bench.world.files.rm("/sd/a.json");
    sleep(Duration::from_secs(11)).await;
    assert_eq!((found(&bench).len(), errors(&bench).len()), (0, 0));
    bench.end().await;
}

/// Records of one type by name, as a server has them.
type Zone = Arc<Mutex<Vec<(&'static str, Vec<Vec<u8>>)>>>;

/// The answer of a server that has these names; a name without records is answered with a failure.
fn answer(zone: &Zone, question: &[u8]) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push_str(std::str::from_utf8(&question[at + 1..end]).unwrap());
        name.push('.');
        at = end;
    }
    let kind = &question[at + 1..at + 3];
    let known = zone.lock().unwrap().iter().find(|(known, _)| *known == name).map(|(_, records)| records.clone());
    let code = match &known {
        None => 3,
        Some(records) if records.is_empty() => 2,
        Some(_) => 0,
    };
    let records = known.unwrap_or_default();
    let mut out = question[..at + 5].to_vec();
    out[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    for record in records {
        out.extend_from_slice(&[0xc0, 12, kind[0], kind[1], 0, 1, 0, 0, 0, 30, 0, u8::try_from(record.len()).unwrap()]);
        out.extend_from_slice(&record);
    }
    out
}

fn serve_dns(world: &World, zone: &Zone) {
    let zone = zone.clone();
    world.net.answer_datagrams("10.0.0.10:53", move |question| Some(answer(&zone, question)));
}

fn srv(port: u16, host: &str) -> Vec<u8> {
    let mut record = [&[0, 1, 0, 1][..], &port.to_be_bytes()].concat();
    for label in host.split('.') {
        record.push(u8::try_from(label.len()).unwrap());
        record.extend_from_slice(label.as_bytes());
    }
    record.push(0);
    record
}

#[tokio::test(start_paused = true)]
async fn records_of_names_are_targets() {
    let world = World::new();
    let zone = Zone::default();
    zone.lock().unwrap().push(("_m._tcp.w.", vec![srv(8081, "w-0.w"), srv(8082, "w-1.w")]));
    serve_dns(&world, &zone);
    let bench = job(&world, "dns_sd_configs: [{names: [_m._tcp.w]}]");
    sleep(Duration::from_secs(1)).await;
    let expected = |n: u16| {
        format!(
            "__address__=w-{}.w:{n} dns_name=_m._tcp.w dns_srv_record_port={n} dns_srv_record_target=w-{}.w.",
            n - 8081,
            n - 8081
        )
    };
    assert_eq!(found(&bench), [expected(8081), expected(8082)]);

    zone.lock().unwrap()[0].1.pop();
    sleep(Duration::from_secs(31)).await;
    assert_eq!(found(&bench), [expected(8081)]);
    zone.lock().unwrap()[0].1.clear();
    sleep(Duration::from_secs(36)).await;
    assert_eq!(found(&bench), [expected(8081)], "a server that fails says nothing about the name");
    assert!(errors(&bench)[0].contains("dns_sd: _m._tcp.w: 10.0.0.10:53 answers"), "{:?}", errors(&bench));
    zone.lock().unwrap().clear();
    sleep(Duration::from_secs(36)).await;
    assert_eq!((found(&bench).len(), errors(&bench).len()), (0, 0), "a name that does not exist has no targets");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn addresses_get_a_port_and_names_the_search_domain() {
    let world = World::new();
    let zone = Zone::default();
    zone.lock().unwrap().push(("w.ml.svc.", vec![vec![10, 0, 0, 1]]));
    serve_dns(&world, &zone);
    let bench = job(&world, "dns_sd_configs: [{names: [w], type: A, port: 9090}]");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(&bench), ["__address__=10.0.0.1:9090 dns_name=w"]);
    bench.end().await;

    zone.lock().unwrap()[0].1 = vec![[vec![0; 15], vec![1]].concat()];
    let bench = job(&world, "dns_sd_configs: [{names: [w], type: AAAA, port: 9090}]");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(&bench), ["__address__=[::1]:9090 dns_name=w"]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_in_a_datagram_is_asked_for_over_tcp() {
    let world = World::new();
    let zone = Zone::default();
    zone.lock().unwrap().push(("w.", vec![vec![10, 0, 0, 1], vec![10, 0, 0, 2]]));
    let cut = zone.clone();
    world.net.answer_datagrams("10.0.0.10:53", move |question| {
        let mut answer = answer(&cut, question);
        answer[2] |= 2;
        answer.truncate(question.len());
        Some(answer)
    });
    let mut listener = world.net.listen("10.0.0.10:53").await.unwrap();
    world.tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut question).await.unwrap();
        let answer = answer(&zone, &question);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    });
    let bench = job(&world, "dns_sd_configs: [{names: [w.], type: A, port: 1}]");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(&bench).len(), 2);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_passed_over() {
    let world = World::new();
    let zone = Zone::default();
    zone.lock().unwrap().push(("w.", vec![vec![10, 0, 0, 1]]));
    serve_dns(&world, &zone);
    world.net.answer_datagrams("10.0.0.9:53", |_| None);
    let bench = job(&world, "dns_sd_configs: [{names: [w.], type: A, port: 1}]");
    bench.world.files.put("/etc/resolv.conf", "nameserver 10.0.0.9\nnameserver 10.0.0.10\n");
    sleep(Duration::from_secs(40)).await;
    assert_eq!(found(&bench).len(), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_found_with_other_labels_goes_on_as_it_is() {
    let world = World::new();
    let a = far(&world, "a:1").await;
    let bench = job(&world, "file_sd_configs: [{files: [/sd/a.yml]}]");
    bench.world.files.put("/sd/a.yml", "[{targets: ['a:1'], labels: {__meta_rack: '1'}}]");
    sleep(Duration::from_secs(16)).await;
    assert_eq!(found(&bench), ["__address__=a:1 filepath=/sd/a.yml rack=1"]);
    let status = bench.targets.jobs()[0].active[0].clone();
    bench.world.files.put("/sd/a.yml", "[{targets: ['a:1'], labels: {__meta_rack: '2'}}]");
    sleep(Duration::from_secs(16)).await;
    assert_eq!(found(&bench), ["__address__=a:1 filepath=/sd/a.yml rack=2"]);
    assert!(Arc::ptr_eq(&status, &bench.targets.jobs()[0].active[0]), "it is the same scraper");
    assert!(a.requests().len() >= 2);

    bench.sink.take();
    bench.world.files.put("/sd/a.yml", "[{targets: ['a:1'], labels: {__scrape_interval__: 20s}}]");
    sleep(Duration::from_secs(120)).await;
    let flat: Vec<_> = bench.sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    assert!(!flat.is_empty() && flat.iter().all(|flat| flat.value.is_some()), "its series have not ended");
    bench.end().await;
}
