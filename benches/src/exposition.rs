//! Bodies of a scraped target: histograms, counters and gauges as an inference server has them, 140 bytes a sample.

use std::fmt::Write;

/// Upper bounds of the histograms' buckets.
const BOUNDS: [&str; 13] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "+Inf"];
/// Series of a histogram: its buckets, sum and count.
const SERIES: usize = BOUNDS.len() + 2;

/// A body of so many series. Their values depend on `round`, nothing else does.
pub fn body(series: usize, round: usize) -> String {
    let mut out = String::new();
    let labels = |n: usize| {
        format!(
            "dynamo_namespace=\"prod\",dynamo_component=\"backend\",model=\"Qwen/Qwen3-0.6B\",worker_id=\"{:x}\"",
            0x7f3a_0000 + n
        )
    };
    let histograms = series * 6 / 10 / SERIES;
    let counters = series / 5;
    for n in 0..histograms {
        if n % 20 == 0 {
            let name = format!("dynamo_frontend_request_stage_{}_seconds", n / 20);
            let _ = write!(out, "# HELP {name} Time spent in one stage of a request.\n# TYPE {name} histogram\n");
        }
        let (name, labels) = (format!("dynamo_frontend_request_stage_{}_seconds", n / 20), labels(n));
        let mut count = 0;
        for (i, bound) in BOUNDS.iter().enumerate() {
            count += (n + i * 7 + round) % 50 * (i + 1);
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(out, "{name}_sum{{{labels}}} {:.6}", count as f64 * 0.0123);
        let _ = writeln!(out, "{name}_count{{{labels}}} {count}");
    }
    for n in 0..series - histograms * SERIES {
        let (kind, suffix) = if n < counters { ("counter", "_total") } else { ("gauge", "") };
        let name = format!("dynamo_component_{kind}_{}{suffix}", n / 25);
        if n % 25 == 0 {
            let _ = write!(out, "# HELP {name} Something that one worker of many counts.\n# TYPE {name} {kind}\n");
        }
        let labels = labels(n);
        let _ = if n < counters {
            writeln!(out, "{name}{{{labels}}} {}", n * 1000 + round * 17)
        } else {
            writeln!(out, "{name}{{{labels}}} {:.3}", (n + round) as f64 * 0.377)
        };
    }
    out
}
