//! Files that are compressed with gzip, also while they are being written.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_that_grows_by_members_is_read_as_it_grows() {
    let rig = Rig::new("include: ['/logs/*.gz']\ncompression: auto");
    let running = rig.start().await;
    for i in 1..5 {
        rig.files.append("/logs/a.gz", gzip(&numbered(i, i)));
        assert_eq!(rig.lines_after(1).await, lines(i, i));
    }
    running.kill().await;
    rig.files.append("/logs/a.gz", gzip(&numbered(5, 6)));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(5, 6));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_file_that_is_flushed_now_and_then_is_read_as_far_as_it_goes() {
    let rig = Rig::new("include: ['/logs/*.gz']\ncompression: gzip");
    let running = rig.start().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut written = 0;
    for (text, want) in [("line 1\nli", lines(1, 1)), ("ne 2\nline 3", lines(2, 2)), ("\n", lines(3, 3))] {
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.flush().unwrap();
        rig.files.append("/logs/a.gz", &encoder.get_ref()[written..]);
        written = encoder.get_ref().len();
        // A line that is open where the data break off is not taken for a whole one.
        assert_eq!(rig.lines_after(8).await, want);
    }
    let whole = encoder.finish().unwrap();
    rig.files.append("/logs/a.gz", &whole[written..]);
    assert_eq!(rig.lines_after(4).await, [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_rotated_and_then_compressed_goes_on_in_the_compressed_one() {
    let rig = Rig::new("include: ['/logs/*']\ncompression: auto");
    rig.files.put("/logs/a.log", numbered(1, 300));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 300));
    running.stop().await;
    let all = String::from_utf8(rig.files.contents("/logs/a.log")).unwrap() + &numbered(301, 301);
    rig.files.put("/logs/a.log.1.gz", gzip(&all));
    rig.files.put("/logs/a.log", numbered(302, 302));
    let running = rig.start().await;
    let mut got = rig.lines_after(1).await;
    got.sort();
    assert_eq!(got, lines(301, 302));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_compressed_file_is_read_whole_and_at_the_end_its_end_is_skipped() {
    let text: String = (0..100_000).map(|i| format!("line {i}\n")).collect();
    for (start_at, want) in [("beginning", 100_000), ("end", 0)] {
        let rig = Rig::new(&format!("include: ['/logs/*.gz']\ncompression: auto\nstart_at: {start_at}"));
        rig.files.put("/logs/a.gz", gzip(&text));
        let running = rig.start().await;
        assert_eq!(rig.lines_after(8).await.len(), want, "{start_at}");
        rig.files.append("/logs/a.gz", gzip("more\n"));
        assert_eq!(rig.lines_after(1).await, ["more"], "{start_at}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn damage_ends_a_compressed_file_after_what_could_be_read() {
    let rig = Rig::new("include: ['/logs/*.gz']\ncompression: auto");
    rig.files.put("/logs/a.gz", [&gzip("good\n")[..], b"bad"].concat());
    rig.files.put("/logs/b.gz", gzip("other\n"));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(8).await, ["good", "other"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rows_of_dynamos_trace_files_become_records_with_their_facts() {
    let rig = Rig::new("include: ['/tmp/dynamo-*.jsonl.gz']\nformat: dynamo_trace\ninclude_file_name: false");
    let rows = [
        r#"{"timestamp":12,"event":{"schema":"dynamo.request.trace.v1","event_type":"request_end","event_time_unix_ms":1795188686681,"event_source":"dynamo","agent_context":{"session_id":"s-1"},"request":{"request_id":"r-1","x_request_id":"tp-001","model":"m","input_tokens":7,"output_tokens":9,"ttft_ms":1.5,"worker":{"decode_worker_id":11360150215887396147,"decode_dp_rank":0},"replay":{"input_sequence_hashes":[1,2]}}}}"#,
        r#"{"schema":"dynamo.request.trace.v1","event_type":"tool_error","event_time_unix_ms":1795188686681,"tool":{"tool_call_id":"t","tool_class":"search","status":"error"}}"#,
        r#"{"timestamp":1250,"event":{"schema":"dynamo.fpm.trace.v1","source":{"namespace":"default","component":"backend","producer_id":"4192"},"capture_mode":"sampled","observed_at_unix_ms":1782777601250,"fpm":{"version":1,"worker_id":"4192","dp_rank":0,"counter_id":42,"wall_time":0.025,"scheduled_requests":{"sum_prefill_tokens":256},"queued_requests":{"num_prefill_requests":1}}}}"#,
        r#"{"level":"INFO","model":"m"}"#,
    ];
    rig.files.put("/tmp/dynamo-x.jsonl.gz", gzip(&(rows.join("\n") + "\n")));
    let running = rig.start().await;
    sleep(A_POLL).await;
    running.stop().await;
    let mut got = Vec::new();
    for_each_record(&rig.sink.take(), |_, record| {
        got.push(format!("{} {} [{}]", record.time, record.severity_number, attributes(record).join(", ")));
        assert!(rows.contains(&record.body.as_text().unwrap()));
    });
    assert_eq!(
        got,
        [
            "1795188686681000000 9 [schema=dynamo.request.trace.v1, event_type=request_end, event_source=dynamo, \
             dynamo.session.id=s-1, request_id=r-1, x_request_id=tp-001, model=m, input_tokens=7, output_tokens=9, \
             ttft_ms=Double(1.5), decode_worker_id=11360150215887396147, decode_dp_rank=0]",
            "1795188686681000000 17 [schema=dynamo.request.trace.v1, event_type=tool_error, tool_call_id=t, \
             tool_class=search, status=error]",
            "1782777601250000000 9 [schema=dynamo.fpm.trace.v1, namespace=default, component=backend, \
             producer_id=4192, capture_mode=sampled, worker_id=4192, dp_rank=0, counter_id=42, wall_time=Double(0.025), \
             scheduled.sum_prefill_tokens=256, queued.num_prefill_requests=1]",
            "0 9 [model=m]",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn payloads_in_rows_of_dynamos_trace_files_are_kept_only_if_asked_for() {
    let row = r#"{"schema":"dynamo.request.trace.v1","event_type":"request_payload","payload":{"request_id":"r-1","model":"m","request":{"messages":[{"content":"hello"}]}}}"#;
    let masked = row.replace(r#"{"messages":[{"content":"hello"}]}"#, r#""****""#);
    for (keep, expected) in [("false", masked.as_str()), ("true", row)] {
        let config = "include: ['/tmp/*.jsonl']\nstart_at: beginning\nformat: dynamo_trace\ninclude_file_name: false";
        let rig = Rig::new(&format!("{config}\nkeep_payloads: {keep}"));
        rig.files.put("/tmp/x.jsonl", format!("{row}\n"));
        let running = rig.start().await;
        sleep(A_POLL).await;
        running.stop().await;
        let mut got = Vec::new();
        for_each_record(&rig.sink.take(), |_, record| {
            got.push(format!("{} {}", record.body.as_text().unwrap(), attributes(record).join(" ")));
        });
        let facts = "schema=dynamo.request.trace.v1 event_type=request_payload request_id=r-1 model=m";
        assert_eq!(got, [format!("{expected} {facts}")], "keep_payloads: {keep}");
    }
}
