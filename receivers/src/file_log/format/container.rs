//! Lines of container runtimes: docker's JSON, and the time, stream, tag and text of CRI-O and containerd. And what the
//! paths of their files say of Kubernetes.

use std::borrow::Cow;
use std::path::Path;

use pipeline::json::{Members, Raw};

use super::civil::{Civil, rfc3339};

/// What a runtime says of a piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// When, as it is written.
    pub time: Cow<'a, str>,
    /// `stdout` or `stderr`.
    pub stream: Cow<'a, str>,
    /// CRI's tags: `F`, `P`.
    pub tag: Option<&'a str>,
    /// What the program has written, without the end of the line.
    pub text: Cow<'a, str>,
    /// Whether the program's line goes on in another piece.
    pub partial: bool,
}

impl Output<'_> {
    /// When, in nanoseconds since 1970.
    pub fn unix_nanos(&self) -> Option<u64> {
        rfc3339(self.time.as_bytes()).and_then(|(civil, _)| Civil::unix_nanos(&civil, 0))
    }
}

/// Reads a line of any runtime.
pub fn any(line: &str) -> Option<Output<'_>> {
    if line.starts_with('{') { docker(line) } else { cri(line) }
}

/// Reads `{"log":"…\n","stream":"stdout","time":"…"}`.
pub fn docker(line: &str) -> Option<Output<'_>> {
    let (mut log, mut stream, mut time) = (None, None, None);
    for member in Members::of(line) {
        let (key, value) = member.ok()?;
        let Raw::Str(value) = value else { continue };
        match key.raw {
            "log" => log = Some(value.text()),
            "stream" => stream = Some(value.text()),
            "time" => time = Some(value.text()),
            _ => {}
        }
    }
    let (text, partial) = match log? {
        Cow::Borrowed(text) => (Cow::Borrowed(text), true),
        Cow::Owned(mut text) => {
            let ended = text.ends_with('\n');
            if ended {
                text.truncate(text.len() - 1);
                text.truncate(text.len() - usize::from(text.ends_with('\r')));
            }
            (Cow::Owned(text), !ended)
        }
    };
    Some(Output { time: time?, stream: stream.unwrap_or_default(), tag: None, text, partial })
}

/// Reads `2026-11-20T15:31:26.681620000Z stdout F …`.
pub fn cri(line: &str) -> Option<Output<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(' ').unwrap_or((rest, ""));
    if !matches!(stream, "stdout" | "stderr") || rfc3339(time.as_bytes())?.1 != time.len() {
        return None;
    }
    let partial = tag.split(':').any(|t| t == "P");
    let text = text.strip_suffix('\r').unwrap_or(text);
    Some(Output { time: time.into(), stream: stream.into(), tag: Some(tag), text: text.into(), partial })
}

/// Resource attributes by the path of a pod's log: `…/NAMESPACE_POD_UID/CONTAINER/RESTARTS.log`, also rotated and
/// compressed.
pub fn of_path(path: &Path) -> Option<[(&'static str, String); 5]> {
    let mut names = path.components().rev().map(|c| c.as_os_str().to_str());
    let (file, container, pod) = (names.next()??, names.next()??, names.next()??);
    let (restarts, rest) = file.split_once('.')?;
    let is_log = rest == "log" || rest.starts_with("log.");
    let mut parts = pod.splitn(3, '_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let is_uid = !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let counts = !restarts.is_empty() && restarts.bytes().all(|b| b.is_ascii_digit());
    (is_log && is_uid && counts && !namespace.is_empty() && !pod.is_empty()).then(|| {
        [
            ("k8s.namespace.name", namespace.to_owned()),
            ("k8s.pod.name", pod.to_owned()),
            ("k8s.pod.uid", uid.to_owned()),
            ("k8s.container.name", container.to_owned()),
            ("k8s.container.restart_count", restarts.to_owned()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_runtime_are_read() {
        for (line, want) in [
            (
                r#"{"log":"hi \"you\"\n","stream":"stderr","time":"2026-11-20T15:31:26.68162Z"}"#,
                Some(("stderr", "hi \"you\"", false)),
            ),
            (r#"{"log":"begin","stream":"stdout","time":"2026-11-20T15:31:26Z"}"#, Some(("stdout", "begin", true))),
            ("2026-11-20T15:31:26.681620000Z stdout F hi  you", Some(("stdout", "hi  you", false))),
            ("2026-11-20T16:31:26.681620000+01:00 stderr P begin ", Some(("stderr", "begin ", true))),
            ("2026-11-20T15:31:26Z stdout F:x y\r", Some(("stdout", "y", false))),
            ("2026-11-20T15:31:26Z stdout F", Some(("stdout", "", false))),
            (r#"{"message":"of a program"}"#, None),
            ("2026-11-20T15:31:26Z INFO F x", None),
            ("yesterday stdout F x", None),
            ("", None),
        ] {
            let got = any(line);
            assert_eq!(got.as_ref().map(|o| (&*o.stream, &*o.text, o.partial)), want, "{line}");
        }
        assert_eq!(any("2026-11-20T16:31:26+01:00 stdout F x").unwrap().unix_nanos(), Some(1_795_188_686_000_000_000));
    }

    #[test]
    fn paths_of_pods_say_where_they_are() {
        let facts = |path: &str| of_path(Path::new(path)).map(|f| f.map(|(_, value)| value).join(" "));
        let want = Some("default vllm-0 49cc7c1f-d370 main 3".to_owned());
        for file in ["3.log", "3.log.20261120-153126", "3.log.20261120-153126.gz"] {
            assert_eq!(facts(&format!("/var/log/pods/default_vllm-0_49cc7c1f-d370/main/{file}")), want, "{file}");
        }
        for other in ["/var/log/syslog", "/var/log/pods/a_b/main/0.log", "/var/log/pods/a_b_c0/main/x.log", "0.log"] {
            assert_eq!(facts(other), None, "{other}");
        }
    }
}
