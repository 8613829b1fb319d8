//! From bytes in a file to lines.

use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn lines_that_are_there_and_lines_that_come_become_records() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", numbered(1, 3));
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, lines(1, 3));
    rig.files.append("/logs/a.log", numbered(4, 5));
    assert_eq!(rig.lines_after(1).await, lines(4, 5));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_has_the_line_as_body_its_file_as_attribute_and_the_time_of_reading() {
    let rig = Rig::new("resource: { service.name: frontend }\nattributes: { env: prod }");
    rig.files.put("/logs/a.log", "hello\n");
    let running = rig.start().await;
    let batches = rig.sink.wait_for_items(1).await;
    let resource = resources(&batches[0].parts()[0]).next().unwrap().unwrap();
    assert_eq!(resource.attributes().find("service.name").unwrap().unwrap().as_text(), Some("frontend"));
    for_each_record(&batches, |scope, record| {
        assert_eq!(scope, "slipring/file_log");
        assert_eq!(record.body.as_text(), Some("hello"));
        assert_eq!((record.time, record.observed_time / 1_000_000_000), (0, 1_767_225_600));
        assert_eq!((record.severity_number, record.severity_text), (0, ""));
        assert_eq!(attributes(record), ["log.file.name=a.log", "env=prod"]);
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_written_in_pieces_is_one_record() {
    let rig = Rig::new("force_flush_period: 0");
    let running = rig.start().await;
    for piece in ["he".as_bytes(), b"l", b"lo \xc3", b"\xa9\nnex"] {
        rig.files.append("/logs/a.log", piece);
        sleep(A_POLL).await;
    }
    assert_eq!(rig.lines(), ["hello é"]);
    rig.files.append("/logs/a.log", "t\n");
    assert_eq!(rig.lines_after(1).await, ["next"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_last_line_without_an_end_is_taken_when_nothing_has_come_for_the_flush_period() {
    let rig = Rig::new("force_flush_period: 2s");
    rig.files.put("/logs/a.log", "one\ntw");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(4).await, ["one"]);
    rig.files.append("/logs/a.log", "o");
    assert_eq!(rig.lines_after(4).await, [""; 0]);
    assert_eq!(rig.lines_after(5).await, ["two"]);
    rig.files.append("/logs/a.log", "\nthree\n");
    assert_eq!(rig.lines_after(1).await, ["three"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn carriage_returns_byte_order_marks_white_space_and_empty_lines_are_taken_off() {
    let rig = Rig::new("");
    rig.files.put("/logs/a.log", "\u{feff}one\r\n\r\n  two \t\r\n\n \nthree\n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["one", "two", "three"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn white_space_is_kept_on_request() {
    let rig = Rig::new("preserve_leading_whitespaces: true\npreserve_trailing_whitespaces: true");
    rig.files.put("/logs/a.log", "  two \t\r\n \n");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["  two \t", " "]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_utf8_are_passed_on_as_the_encoding_says() {
    for (encoding, want) in [
        ("utf-8", "a\u{fffd}b [log.file.name=a.log, slipring.error=invalid UTF-8 was replaced]"),
        ("ascii", "a\u{fffd}b [log.file.name=a.log, slipring.error=invalid UTF-8 was replaced]"),
        ("utf-8-raw", "bytes [97, 255, 98] [log.file.name=a.log]"),
        ("nop", "bytes [97, 255, 98, 10] [log.file.name=a.log]"),
    ] {
        let rig = Rig::new(&format!("encoding: {encoding}"));
        rig.files.put("/logs/a.log", b"a\xffb\n");
        let running = rig.start().await;
        let batches = rig.sink.wait_for_items(1).await;
        let mut got = String::new();
        for_each_record(&batches, |_, r| got = format!("{} [{}]", show(r.body), attributes(r).join(", ")));
        assert_eq!(got, want, "{encoding}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_of_other_encodings_become_text() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    for (encoding, bytes) in
        [("utf-16le", wide("\u{feff}héllo 中\r\nnext\n")), ("gbk", b"h\xa8\xa6llo \xd6\xd0\nnext\n".to_vec())]
    {
        let rig = Rig::new(&format!("encoding: {encoding}\nforce_flush_period: 0"));
        let running = rig.start().await;
        for piece in bytes.chunks(3) {
            rig.files.append("/logs/a.log", piece);
            sleep(A_POLL).await;
        }
        assert_eq!(rig.lines(), ["héllo 中", "next"], "{encoding}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_longer_than_a_read_and_than_the_limit_are_whole_split_or_cut() {
    let long = "x".repeat(700_000);
    let longer = "y".repeat(1_500_000);
    for (behavior, want) in
        [("split", vec![700_000, 1 << 20, 1_500_000 - (1 << 20), 3]), ("truncate", vec![700_000, 1 << 20, 3])]
    {
        let rig = Rig::new(&format!("max_log_size_behavior: {behavior}"));
        rig.files.put("/logs/a.log", format!("{long}\n{longer}\r\nend\n"));
        let running = rig.start().await;
        let got: Vec<_> = rig.lines_after(8).await.iter().map(String::len).collect();
        assert_eq!(got, want, "{behavior}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_line_that_was_cut_is_left_out_even_when_it_comes_later() {
    let rig = Rig::new("max_log_size: 4\nmax_log_size_behavior: truncate");
    rig.files.put("/logs/a.log", "abcdefg");
    let running = rig.start().await;
    assert_eq!(rig.lines_after(1).await, ["abcd"]);
    running.kill().await;
    let running = rig.start().await;
    rig.files.append("/logs/a.log", "hij\nkl\n");
    assert_eq!(rig.lines_after(1).await, ["kl"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_record_knows_its_number_and_place_in_the_file_across_restarts() {
    let rig = Rig::new("include_file_record_number: true\ninclude_file_record_offset: true\ninclude_file_name: false");
    rig.files.put("/logs/a.log", "one\n\ntwo\n");
    let mut all = Vec::new();
    for _ in 0..2 {
        let running = rig.start().await;
        sleep(A_POLL).await;
        running.stop().await;
        for_each_record(&rig.sink.take(), |_, r| all.push(attributes(r).join(" ")));
        rig.files.append("/logs/a.log", "three\n");
    }
    assert_eq!(
        all,
        [
            "log.file.record_number=1 log.file.record_offset=0",
            "log.file.record_number=2 log.file.record_offset=5",
            "log.file.record_number=3 log.file.record_offset=9"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_and_hold_many_lines() {
    let rig = Rig::new("");
    let text: String = (0..20_000).map(|i| format!("{i} {}\n", "x".repeat(100))).collect();
    rig.files.put("/logs/a.log", &text);
    let running = rig.start().await;
    let batches = rig.sink.wait_for_items(20_000).await;
    let sizes: Vec<_> = batches.iter().map(Batch::byte_len).collect();
    assert!(sizes.iter().all(|s| *s < 600_000) && sizes.len() < 10, "{sizes:?}");
    assert_eq!(bodies(&batches).join("\n") + "\n", text);
    running.stop().await;
}

/// Text that looks like what processes write, cut and joined at random.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop_oneof![
        Just(&br#"{"time":"2026-11-20T15:31:26.726627Z","level":"INFO","message":"#[..]),
        Just(&br#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"bb984f8a387a4d39""#[..]),
        Just(&br#"{"a":{"b":[1,2.5e3,null,true]},"a":"\u00e9\ud83d"}"#[..]),
        Just(&b"\x1b[2m2026-11-20T15:33:50Z\x1b[0m ERROR x: y"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\xff\xfe\xef\xbb\xbf"[..]),
        Just(&b",}]:\"\\"[..]),
    ];
    let piece = (scrap, any::<prop::sample::Index>(), any::<bool>())
        .prop_map(|(scrap, cut, whole)| if whole { scrap.to_vec() } else { scrap[..cut.index(scrap.len())].to_vec() });
    prop::collection::vec(prop_oneof![4 => piece, 1 => prop::collection::vec(any::<u8>(), 0..20)], 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_bytes_a_file_holds_its_lines_become_records(bytes in scraps()) {
        crate::file_log::fuzz::file(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_pieces_a_file_is_written_in_its_lines_come_out_whole_and_once(
        lines in prop::collection::vec("[a-zé ]{0,40}", 0..40),
        cuts in prop::collection::vec(0usize..2000, 0..20),
        size in 16usize..64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let want: Vec<_> = lines.iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
        let text: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\n").into_bytes()).collect();
        let mut cuts: Vec<_> = cuts.into_iter().filter(|c| *c < text.len()).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let got = runtime.block_on(async {
            let rig = Rig::new(&format!("force_flush_period: 0\nfingerprint_size: {size}\ninitial_buffer_size: 16"));
            let running = rig.start().await;
            for pair in cuts.windows(2) {
                rig.files.append("/logs/a.log", &text[pair[0]..pair[1]]);
                sleep(A_POLL).await;
            }
            running.stop().await;
            rig.lines()
        });
        prop_assert_eq!(got, want);
    }
}
