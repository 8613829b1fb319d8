//! What Linux says about memory: how much this process uses, how much it can have.

use std::path::{Path, PathBuf};

use pipeline::doors::Files;

/// Longer files than this are not what they should be.
const MOST: usize = 64 << 10;

/// Bytes of resident memory of this process.
pub fn resident_memory(files: &dyn Files) -> Option<u64> {
    kib_of_line(&read(files, Path::new("/proc/self/status"))?, "VmRSS:")
}

/// Bytes that this process can have: the least of the limits of its control groups (version 2 or 1) and the machine's
/// memory.
pub fn total_memory(files: &dyn Files) -> Option<u64> {
    let machine = read(files, Path::new("/proc/meminfo")).and_then(|text| kib_of_line(&text, "MemTotal:"));
    let own = read(files, Path::new("/proc/self/cgroup")).unwrap_or_default();
    let groups = limit_files(&own);
    groups.iter().filter_map(|path| read(files, path)?.trim().parse().ok()).chain(machine).min()
}

/// The files that may hold a limit for a process whose `/proc/self/cgroup` is `own`.
fn limit_files(own: &str) -> Vec<PathBuf> {
    let mut out =
        vec![PathBuf::from("/sys/fs/cgroup/memory.max"), PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")];
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            c if c.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        if group.components().all(|c| matches!(c, std::path::Component::Normal(_))) {
            out.extend(
                group.ancestors().filter(|g| !g.as_os_str().is_empty()).map(|g| Path::new(root).join(g).join(name)),
            );
        }
    }
    out
}

fn read(files: &dyn Files, path: &Path) -> Option<String> {
    String::from_utf8(files.read_small(path, MOST).ok()?).ok()
}

/// The bytes in a line such as `VmRSS:   1234 kB`.
fn kib_of_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_are_read() {
        let files = pipeline::doors::Doors::real().files;
        let resident = resident_memory(&*files).unwrap();
        let total = total_memory(&*files).unwrap();
        assert!(resident > 100 << 10 && resident < total, "{resident} of {total}");
        assert_eq!(kib_of_line("VmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234 << 10));
        assert_eq!(kib_of_line("VmRSS: many kB\n", "VmRSS:"), None);
    }

    #[test]
    fn limits_are_looked_for_in_every_group_above_the_process() {
        let paths = |own: &str| limit_files(own).iter().skip(2).map(|p| p.display().to_string()).collect::<Vec<_>>();
        assert_eq!(paths("0::/kube/pod1\n"), ["/sys/fs/cgroup/kube/pod1/memory.max", "/sys/fs/cgroup/kube/memory.max"]);
        assert_eq!(
            paths("5:cpu:/x\n4:memory:/docker/a\n"),
            [
                "/sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes"
            ]
        );
        assert!(paths("0::/../../etc\n0::/\nbroken\n").is_empty());
    }
}
