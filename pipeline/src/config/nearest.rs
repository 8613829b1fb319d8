//! The name that somebody may have meant.

/// The name most like `wrong`, if one is near enough to be worth saying.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = match wrong.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        6..=10 => 3,
        _ => 4,
    };
    let flat = flattened(wrong);
    names
        .into_iter()
        .filter(|name| *name != wrong)
        .map(|name| (if flattened(name) == flat { 0 } else { distance(wrong, name) }, name))
        .filter(|(distance, name)| *distance <= bound && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Without case and word separators, so that `maxSize` and `max-size` both meet `max_size`.
fn flattened(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two short words; long words count as far apart.
fn distance(a: &str, b: &str) -> usize {
    const MOST: usize = 64;
    let a: Vec<char> = a.chars().take(MOST + 1).collect();
    let b: Vec<char> = b.chars().take(MOST + 1).collect();
    if a.len() > MOST || b.len() > MOST {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
