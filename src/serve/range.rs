use std::ops::Range;

/// What of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    Whole,
    /// These bytes, which the file has, and which are at least one.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Beyond,
}

/// Reads the header `Range` for a file of `length` bytes (RFC 9110, section 14.2). What is not understood, and what asks for several
/// parts, is answered with the whole, as a server may.
pub(super) fn asked(header: &str, length: u64) -> Asked {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return Asked::Whole };
    let Some((first, last)) = range.split_once('-') else { return Asked::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last && first < length => {
            Asked::Part(first..last.saturating_add(1).min(length))
        }
        (Some(first), Some(last)) if first > last => Asked::Whole,
        (Some(_), Some(_)) => Asked::Beyond,
        (Some(first), None) if last.is_empty() && first < length => Asked::Part(first..length),
        (Some(_), None) if last.is_empty() => Asked::Beyond,
        (None, Some(count)) if first.is_empty() && count > 0 && length > 0 => {
            Asked::Part(length.saturating_sub(count)..length)
        }
        (None, Some(_)) if first.is_empty() => Asked::Beyond,
        _ => Asked::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (header, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-", Asked::Part(2..10)),
            ("bytes=2-100", Asked::Part(2..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=99999999999999999999999-", Asked::Beyond),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
        ] {
            assert_eq!(asked(header, 10), expected, "{header}");
        }
        assert_eq!(asked("bytes=0-", 0), Asked::Beyond);
        assert_eq!(asked("bytes=-1", 0), Asked::Beyond);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_beyond(
            header in "bytes=[0-9]{0,21}-[0-9]{0,21}|.{0,20}",
            length in any::<u64>(),
        ) {
            if let Asked::Part(part) = asked(&header, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
