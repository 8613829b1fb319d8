//! How samples become metrics and points: types, names, fallbacks, resources, exemplars, limits.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics};
use prost::Message;

use super::*;
use crate::prometheus::relabel::config::{Config, compile};

fn decode(request: &[u8]) -> Vec<ResourceMetrics> {
    ExportMetricsServiceRequest::decode(request).unwrap().resource_metrics
}

fn value(attributes: &[KeyValue], key: &str) -> String {
    match attributes.iter().find(|a| a.key == key) {
        Some(KeyValue { value: Some(AnyValue { value: Some(any_value::Value::StringValue(v)) }), .. }) => v.clone(),
        _ => String::new(),
    }
}

/// The metrics of a body as `data type name: points`, those of the target itself left out.
fn metrics(body: &str, format: Format) -> Vec<String> {
    let mut target = Target { format, ..Target::new() };
    let request = target.scrape(body).request;
    let all: Vec<Metric> = decode(&request).into_iter().flat_map(|r| r.scope_metrics).flat_map(|s| s.metrics).collect();
    let own = |m: &&Metric| m.name != "up" && !m.name.starts_with("scrape_");
    all.iter()
        .filter(own)
        .map(|m| {
            let (data, points) = match m.data.as_ref().unwrap() {
                Data::Gauge(g) => ("gauge", g.data_points.len()),
                Data::Sum(s) if s.is_monotonic => ("monotonic sum", s.data_points.len()),
                Data::Sum(s) => ("sum", s.data_points.len()),
                Data::Histogram(h) => ("histogram", h.data_points.len()),
                Data::Summary(s) => ("summary", s.data_points.len()),
                Data::ExponentialHistogram(_) => panic!(),
            };
            let more = [(" help ", &m.description), (" unit ", &m.unit)];
            let more: String = more.iter().filter(|(_, t)| !t.is_empty()).map(|(n, t)| format!("{n}{t:?}")).collect();
            format!("{data} {} {}: {points}{more}", value(&m.metadata, "prometheus.type"), m.name)
        })
        .collect()
}

#[test]
fn types_decide_about_the_data_and_names_stay_as_they_are() {
    let body = "# HELP a_total what \\\\ it is\n# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2\n\
        # TYPE kvbm_matched_tokens counter\nkvbm_matched_tokens 1\n\
        # TYPE resources_total gauge\nresources_total 1\n\
        # TYPE c counter\nc_total 1\nc_created 2\n\
        # TYPE c_created gauge\n\
        # TYPE planner:num_p_workers gauge\nplanner:num_p_workers 1\n\
        untyped 1\n# TYPE u untyped\nu 1\n\
        # TYPE routing gauge\nrouting{le=\"5\",gt=\"1\"} 1\n";
    assert_eq!(
        metrics(body, Format::Text),
        [
            "monotonic sum counter a_total: 2 help \"what \\\\ it is\"",
            "monotonic sum counter kvbm_matched_tokens: 1",
            "gauge gauge resources_total: 1",
            "monotonic sum counter c_total: 1",
            "gauge unknown c_created: 1",
            "gauge gauge planner:num_p_workers: 1",
            "gauge unknown untyped: 1",
            "gauge unknown u: 1",
            "gauge gauge routing: 1",
        ]
    );
}

#[test]
fn open_metrics_types_have_their_data() {
    let body = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x\na_seconds_total 1\na_seconds_created 5\n\
        # TYPE i info\ni_info{v=\"1\"} 1\n\
        # TYPE s stateset\ns{s=\"on\"} 1\ns{s=\"off\"} 0\n\
        # TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\ng_bucket{le=\"+Inf\"} 2\ng_gcount 2\ng_gsum 3\n\
        # TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\nh_created 5\n# EOF\n";
    assert_eq!(
        metrics(body, Format::OpenMetrics),
        [
            "monotonic sum counter a_seconds_total: 1 help \"x\" unit \"seconds\"",
            "gauge unknown a_seconds_created: 1 help \"x\" unit \"seconds\"",
            "sum info i_info: 1",
            "sum stateset s: 2",
            "gauge gaugehistogram g_bucket: 2",
            "gauge gaugehistogram g_gcount: 1",
            "gauge gaugehistogram g_gsum: 1",
            "histogram histogram h: 1",
            "gauge unknown h_created: 1",
        ]
    );
}

#[test]
fn histograms_and_summaries_become_one_point_for_each_set_of_labels() {
    let body = "# TYPE h histogram\n\
        h_bucket{a=\"1\",le=\"0.15000000000000002\"} 1\nh_bucket{a=\"1\",le=\"5\"} 3\nh_bucket{a=\"1\",le=\"+Inf\"} 4\nh_sum{a=\"1\"} 9.5\nh_count{a=\"1\"} 4\n\
        h_bucket{a=\"2\",le=\"+Inf\"} 0\nh_sum{a=\"2\"} 0\nh_count{a=\"2\"} 0\n\
        # TYPE s summary\ns{quantile=\"0.99\"} NaN\ns{quantile=\"0.5\"} 2\ns_sum 3\ns_count 4\n\
        # TYPE python summary\npython_sum 3\npython_count 4\n";
    assert_eq!(
        metrics(body, Format::Text),
        ["histogram histogram h: 2", "summary summary s: 1", "summary summary python: 1"]
    );
    let mut target = Target::new();
    let request = target.scrape(body).request;
    let metrics = &decode(&request)[0].scope_metrics[0].metrics;
    let Some(Data::Histogram(h)) = &metrics[0].data else { panic!() };
    let point = &h.data_points[0];
    assert_eq!((point.count, point.sum), (4, Some(9.5)));
    assert_eq!(point.explicit_bounds, [0.150_000_000_000_000_02, 5.0]);
    assert_eq!(point.bucket_counts, [1, 2, 1]);
    assert_eq!(value(&point.attributes, "a"), "1");
    let Some(Data::Summary(s)) = &metrics[1].data else { panic!() };
    let quantiles: Vec<_> = s.data_points[0].quantile_values.iter().map(|q| q.quantile).collect();
    assert_eq!(quantiles, [0.5, 0.99]);
    assert_eq!(s.data_points[0].quantile_values[1].value.to_bits(), 0x7ff8_0000_0000_0001);
}

/// Bodies that no histogram or summary point can hold; what is stored is the same all the same.
#[track_caller]
fn falls_back(body: &str, expected: &[&str]) {
    assert_eq!(metrics(body, Format::Text), expected, "{body}");
    let mut target = Target::new();
    for _ in 0..2 {
        compare(body, target.scrape(body).flat());
    }
    let gone = target.scrape("other 1\n").flat();
    let stale: Vec<_> = gone.into_iter().filter(|f| f.value.is_none()).map(|f| f.series).collect();
    let all: Vec<_> = stored(body).into_iter().map(|(series, _)| series).collect();
    assert_eq!(stale, all, "{body}");
}

#[test]
fn histograms_that_otlp_cannot_say_go_as_gauges() {
    let gauges = ["gauge unknown h_bucket: 1", "gauge unknown h_sum: 1", "gauge unknown h_count: 1"];
    falls_back("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n", &gauges);
    falls_back("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n", &gauges);
    falls_back("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1.5\nh_sum 1\nh_count 1.5\n", &gauges);
    falls_back("# TYPE h histogram\nh_bucket{le=\"+Inf\"} -1\nh_sum 1\nh_count -1\n", &gauges);
    falls_back("# TYPE h histogram\nh_bucket{le=\"+Inf\"} NaN\nh_sum 1\nh_count NaN\n", &gauges);
    falls_back("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1e300\nh_sum 1\nh_count 1e300\n", &gauges);
    falls_back(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 1\nh_count 4\n",
        &["gauge unknown h_bucket: 3", "gauge unknown h_sum: 1", "gauge unknown h_count: 1"],
    );
    falls_back("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\n", &gauges[..2]);
    falls_back("# TYPE h histogram\nh_sum 1\nh_count 1\n", &gauges[1..]);
    falls_back(
        "# TYPE h histogram\nh_bucket{le=\"x\"} 1\nh_bucket 2\nh 3\n",
        &["gauge unknown h_bucket: 2", "gauge unknown h: 1"],
    );
    falls_back(
        "# TYPE h histogram\nh_bucket{le=\"-Inf\"} 0\nh_bucket{le=\"NaN\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        &["gauge unknown h_bucket: 2", "histogram histogram h: 1"],
    );
}

#[test]
fn a_histogram_without_sum_is_one_still() {
    falls_back(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n",
        &["histogram histogram h: 1"],
    );
}

#[test]
fn summaries_that_otlp_cannot_say_go_as_gauges() {
    falls_back(
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 1\n",
        &["gauge unknown s: 1", "gauge unknown s_count: 1"],
    );
    falls_back("# TYPE s summary\ns{quantile=\"0.5\"} 1\n", &["gauge unknown s: 1"]);
    falls_back(
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1.5\n",
        &["gauge unknown s: 1", "gauge unknown s_sum: 1", "gauge unknown s_count: 1"],
    );
    falls_back("# TYPE s summary\ns{quantile=\"2\"} 1\ns 5\n", &["gauge unknown s: 2"]);
}

#[test]
fn a_bound_that_was_not_normalised_is_kept_as_it_is() {
    // The type in force is the gauge's, so Prometheus leaves `le` alone, though the family is a histogram.
    let body =
        "# TYPE h histogram\n# TYPE g gauge\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
    falls_back(body, &["gauge unknown h_bucket: 1", "histogram histogram h: 1"]);
}

#[test]
fn interleaved_families_and_repeated_types_are_joined() {
    let body = "# TYPE a counter\na{x=\"1\"} 1\n# TYPE b gauge\nb 1\n# TYPE a counter\na{x=\"2\"} 1\nb{y=\"1\"} 1\n";
    assert_eq!(metrics(body, Format::Text), ["monotonic sum counter a: 2", "gauge gauge b: 2"]);
}

#[test]
fn the_same_series_twice_keeps_the_first_and_counts_the_rest() {
    let mut target = Target::new();
    for _ in 0..2 {
        let scraped = target.scrape("a{x=\"1\",y=\"2\"} 1\na{x=\"1\",y=\"2\"} 2\na{y=\"2\",x=\"1\"} 3\n");
        assert_eq!(scraped.samples(), ["a{x=\"1\",y=\"2\"} 1"]);
        assert_eq!((scraped.counts.scraped, scraped.counts.kept, scraped.counts.duplicates), (3, 3, 2));
    }
}

#[test]
fn a_family_that_changes_its_type_keeps_its_series() {
    let mut target = Target::new();
    target.check("# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 1\n", &["a{x=\"1\"} 1", "a{x=\"2\"} 1"]);
    target.check("# TYPE a counter\na{x=\"1\"} 2\n", &["a{x=\"1\"} 2", "a{x=\"2\"} stale"]);
    assert_eq!(target.scrape("# TYPE a counter\na{x=\"1\"} 2\n").counts.added, 0);
    target.check(
        "a_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        &["a_bucket{le=\"+Inf\"} 1", "a_count 1", "a_sum 1", "a{x=\"1\"} stale"],
    );
    let histogram = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n";
    let scraped = target.scrape(histogram);
    assert_eq!(scraped.samples(), ["a_bucket{le=\"+Inf\"} 1", "a_count 1", "a_sum 1"]);
    let decoded = decode(&scraped.request);
    assert!(
        decoded[0].scope_metrics[0].metrics.iter().any(|m| m.name == "a" && matches!(m.data, Some(Data::Histogram(_))))
    );
}

#[test]
fn help_that_changes_is_shown() {
    let mut target = Target::new();
    for help in ["one", "two"] {
        let request = target.scrape(&format!("# HELP a {help}\na 1\n")).request;
        assert_eq!(decode(&request)[0].scope_metrics[0].metrics[0].description, help);
    }
}

#[test]
fn a_resource_is_a_job_and_an_instance() {
    let mut target = Target::with(Rules { honor_labels: true, ..Rules::default() });
    let request = target.scrape("a 1\nb{instance=\"10.0.0.1:9000\"} 1\nc{job=\"push\",instance=\"\"} 1\n").request;
    let resources: Vec<_> = decode(&request)
        .into_iter()
        .map(|group| {
            let attributes = group.resource.unwrap().attributes;
            let names = ["service.name", "service.instance.id", "server.address", "server.port", "url.scheme"];
            (names.map(|name| value(&attributes, name)).join(" "), group.scope_metrics[0].metrics.len())
        })
        .collect();
    assert_eq!(
        resources,
        [
            ("dynamo worker:8081 worker 8081 http".to_owned(), 6),
            ("dynamo 10.0.0.1:9000 10.0.0.1 9000 http".to_owned(), 1),
            ("push worker:8081 worker 8081 http".to_owned(), 1),
        ]
    );
}

#[test]
fn labels_of_target_info_describe_the_resource() {
    let mut target = Target::new();
    let scraped = target.scrape("# TYPE target_info gauge\ntarget_info{version=\"1.6\",job=\"x\"} 1\na 1\n");
    let attributes = &decode(&scraped.request)[0].resource.as_ref().unwrap().attributes.clone();
    assert_eq!((value(attributes, "version"), value(attributes, "exported_job")), ("1.6".to_owned(), "x".to_owned()));
    assert_eq!(scraped.samples(), ["a 1", "target_info{exported_job=\"x\",version=\"1.6\"} 1"]);
    let attributes = &decode(&target.scrape("a 1\n").request)[0].resource.as_ref().unwrap().attributes.clone();
    assert_eq!(value(attributes, "version"), "1.6", "the staleness marker goes with the resource it was known by");
    let attributes = &decode(&target.scrape("a 1\n").request)[0].resource.as_ref().unwrap().attributes.clone();
    assert_eq!(value(attributes, "version"), "");
}

#[test]
fn exemplars_go_with_their_points() {
    let mut target = Target { format: Format::OpenMetrics, ..Target::new() };
    let body = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\",x=\"y\"} 0.5 1700000001.5\n\
        h_bucket{le=\"+Inf\"} 1 # {trace_id=\"short\"} 0.7\nh_count 1\nh_sum 1\n# TYPE c counter\nc_total 5 # {} 1\n# EOF\n";
    for _ in 0..2 {
        let request = target.scrape(body).request;
        let metrics = &decode(&request)[0].scope_metrics[0].metrics;
        let Some(Data::Histogram(h)) = &metrics[0].data else { panic!() };
        let exemplars = &h.data_points[0].exemplars;
        assert_eq!(exemplars.len(), 2);
        assert_eq!(exemplars[0].trace_id.len(), 16);
        assert_eq!(exemplars[0].span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert_eq!(value(&exemplars[0].filtered_attributes, "x"), "y");
        assert_eq!(exemplars[0].time_unix_nano, 1_700_000_001_500_000_000);
        assert_eq!(value(&exemplars[1].filtered_attributes, "trace_id"), "short");
        assert_eq!(exemplars[1].time_unix_nano, h.data_points[0].time_unix_nano);
        let Some(Data::Sum(c)) = &metrics[1].data else { panic!() };
        assert_eq!(c.data_points[0].exemplars.len(), 1);
    }
}

fn relabelled(yaml: &str) -> Target {
    let config: Vec<Config> = pipeline::config::testing::decode_block(yaml).unwrap();
    let mut problems = Vec::new();
    let metric_relabel = compile(&config, NameRule::Utf8, "", &mut problems);
    assert_eq!(problems, []);
    Target::with(Rules { metric_relabel, ..Rules::default() })
}

#[test]
fn metric_relabelling_changes_and_drops() {
    let mut target =
        relabelled("[{source_labels: [__name__], regex: 'go_.*', action: drop}, {regex: tmp, action: labeldrop}]");
    for _ in 0..2 {
        let scraped = target.scrape("go_threads 1\na{tmp=\"1\",x=\"2\"} 1\n");
        assert_eq!(scraped.samples(), ["a{x=\"2\"} 1"]);
        assert_eq!((scraped.counts.scraped, scraped.counts.kept), (2, 1));
    }
}

#[test]
fn a_renamed_histogram_is_a_histogram_and_a_bucket_that_is_dropped_makes_it_gauges() {
    let body = "# TYPE old histogram\nold_bucket{le=\"1\"} 1\nold_bucket{le=\"+Inf\"} 1\nold_sum 1\nold_count 1\n";
    let mut target =
        relabelled("[{source_labels: [__name__], regex: 'old(.*)', target_label: __name__, replacement: 'new$1'}]");
    let request = target.scrape(body).request;
    assert!(
        decode(&request)[0].scope_metrics[0]
            .metrics
            .iter()
            .any(|m| m.name == "new" && matches!(m.data, Some(Data::Histogram(_))))
    );
    let mut target = relabelled("[{source_labels: [le], regex: '\\+Inf', action: drop}]");
    target.check(body, &["old_bucket{le=\"1.0\"} 1", "old_count 1", "old_sum 1"]);
}

#[test]
fn instance_may_be_relabelled_away() {
    let mut target = relabelled("[{regex: instance, action: labeldrop}]");
    let flat = target.scrape("a 1\n").flat();
    assert_eq!(flat[0].series, "a{job=\"dynamo\"}");
    assert_eq!(flat.last().unwrap().series, "up{instance=\"worker:8081\",job=\"dynamo\"}");
}

#[track_caller]
fn fails(rules: Rules, body: &str, expected: &str) {
    let mut target = Target::with(rules);
    let scraped = target.read(Some(body), true);
    let error = scraped.error.as_deref().expect("the scrape fails");
    assert!(error.contains(expected), "{error}");
    assert!(scraped.samples().is_empty());
    let up = scraped.flat().into_iter().find(|f| f.series.starts_with("up{")).unwrap();
    assert_eq!(up.value, Some(0.0));
}

#[test]
fn limits_fail_the_whole_scrape() {
    let limits = |limits| Rules { limits, ..Rules::default() };
    fails(
        limits(Limits { samples: 1, ..Limits::default() }),
        "a 1\nb 1\n",
        "the scrape has 2 samples, sample_limit is 1",
    );
    fails(
        limits(Limits { labels: 3, ..Limits::default() }),
        "a{b=\"c\"} 1\n",
        "metric a has 4 labels, label_limit is 3",
    );
    fails(
        limits(Limits { label_name_length: 9, ..Limits::default() }),
        "a{b123456789=\"c\"} 1\n",
        "label_name_length_limit is 9",
    );
    fails(
        limits(Limits { label_value_length: 12, ..Limits::default() }),
        "a{b=\"1234567890123\"} 1\n",
        "label b of metric a has 13 bytes",
    );
    fails(Rules::default(), "a{b=\"1\",b=\"1\"} 1\n", "label b is there twice");
    fails(Rules::default(), "a 1\nb x\n", "line 2 of the body");
    fails(Rules { names: NameRule::Legacy, ..Rules::default() }, "{\"a.b\"} 1\n", "cannot be a metric name");
    fails(
        Rules { names: NameRule::Legacy, ..Rules::default() },
        "{a,\"b.c\"=\"d\"} 1\n".replace("{a,", "a{").as_str(),
        "cannot be a label name",
    );
}

#[test]
fn many_labels_are_no_problem_without_a_limit() {
    let labels: Vec<_> = (0..10_000).map(|i| format!("l{i:05}=\"{i}\"")).collect();
    let body = format!("a{{{}}} 1\n", labels.join(","));
    compare(&body, Target::new().scrape(&body).flat());
}

#[test]
fn external_labels_are_set_on_what_is_scraped() {
    let external_labels = vec![("cluster".to_owned(), "eu".to_owned()), ("x".to_owned(), "ours".to_owned())];
    let mut target = Target::with(Rules { external_labels, ..Rules::default() });
    target.check("a{x=\"theirs\"} 1\n", &["a{cluster=\"eu\",x=\"ours\"} 1"].map(|s| s));
}

#[test]
fn suffixes_are_trimmed_when_asked_for() {
    let mut target = Target::with(Rules { trim_suffixes: true, ..Rules::default() });
    target.format = Format::OpenMetrics;
    let body = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\n# TYPE b_total gauge\nb_total 1\n# EOF\n";
    target.check(body, &["a 1", "b_total 1"]);
}
