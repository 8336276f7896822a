//! Two texts as a unified diff.

use std::fmt::Write;

use similar::{Algorithm, DiffTag, capture_diff_slices, group_diff_ops};

use super::report::ContentDiff;

/// The most bytes of a file that is compared by lines.
pub const TEXT_MAX: u64 = 1 << 20;
/// The most lines of one: the time that takes grows with their square where all of them differ.
pub const LINES_MAX: usize = 10_000;
/// Lines that are shown around a change.
const CONTEXT: usize = 3;

/// The text of a file, if a person can read it.
pub(super) fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c');
    (!text.contains(odd)).then_some(text)
}

/// The lines that differ; none if there are too many.
pub(super) fn compare(before: &str, after: &str) -> Option<ContentDiff> {
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (before, after) = (lines(before), lines(after));
    if before.len().max(after.len()) > LINES_MAX {
        return None;
    }
    let ops = capture_diff_slices(Algorithm::Myers, &before, &after);
    let (mut added, mut removed, mut unified) = (0, 0, String::new());
    for group in group_diff_ops(ops, CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        let (old_head, new_head) = (range(&old), range(&new));
        // Writing to a String cannot fail.
        let _ = writeln!(unified, "@@ -{old_head} +{new_head} @@");
        for op in &group {
            let (tag, old, new) = op.as_tag_tuple();
            if tag == DiffTag::Equal {
                before[old].iter().for_each(|text| line(&mut unified, ' ', text));
                continue;
            }
            removed += old.len();
            added += new.len();
            before[old].iter().for_each(|text| line(&mut unified, '-', text));
            after[new].iter().for_each(|text| line(&mut unified, '+', text));
        }
    }
    Some(ContentDiff::Text { added, removed, unified })
}

/// A range of lines as POSIX has it in the head of a hunk.
fn range(lines: &std::ops::Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        count => format!("{},{count}", lines.start + 1),
    }
}

fn line(unified: &mut String, sign: char, text: &str) {
    unified.push(sign);
    unified.push_str(text);
    if !text.ends_with('\n') {
        unified.push_str("\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_are_told_as_diff_tells_them() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let after = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk";
        let expected = "@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -8,3 +8,4 @@\n h\n i\n j\n+k\n\\ No newline at end of file\n";
        let found = compare(before, after);
        let unified = expected.to_owned();
        assert_eq!(found, Some(ContentDiff::Text { added: 2, removed: 1, unified }));
        assert_eq!(compare(&"x\n".repeat(LINES_MAX + 1), ""), None);
    }

    #[test]
    fn what_has_control_characters_is_no_text() {
        assert_eq!(readable(b"a\tb\n"), Some("a\tb\n"));
        assert_eq!(readable(b"a\0b"), None);
        assert_eq!(readable(b"\xff"), None);
    }
}
