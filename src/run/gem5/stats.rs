//! gem5's `stats.txt`, as text.

/// Statistics about the host, which differ from run to run.
const HOST: [&str; 7] = [
    "hostSeconds",
    "hostTickRate",
    "hostMemory",
    "hostInstRate",
    "hostOpRate",
    "host_seconds",
    "host_mem_usage",
];

/// The text without what is about the host.
pub(super) fn without_host(text: &str) -> String {
    let kept = text.lines().filter(|line| {
        let name = line.split_whitespace().next().unwrap_or_default();
        !HOST.contains(&name)
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// The first line in which two texts differ: the statistic, and what it was before and is now.
pub(super) fn first_difference(before: &str, now: &str) -> Option<(String, String, String)> {
    let mut befores = before.lines();
    let mut nows = now.lines();
    loop {
        let (before, now) = (befores.next(), nows.next());
        if before == now {
            before?;
            continue;
        }
        let words = |line: Option<&str>| {
            let mut words = line.unwrap_or_default().split_whitespace().map(str::to_owned);
            (words.next(), words.next().unwrap_or_else(|| "nothing".to_owned()))
        };
        let ((name, before), (now_name, now)) = (words(before), words(now));
        return Some((name.or(now_name).unwrap_or_default(), before, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_host_is_left_out() {
        let text =
            "simTicks  10  # Ticks\nhostSeconds  0.5 # Real time\nhostTickRate 3 # x\nsimInsts 7\n";
        assert_eq!(without_host(text), "simTicks  10  # Ticks\nsimInsts 7\n");
    }

    #[test]
    fn the_first_statistic_that_differs_is_named() {
        let differs =
            |name: &str, a: &str, b: &str| Some((name.to_owned(), a.to_owned(), b.to_owned()));
        assert_eq!(first_difference("a 1\nb 2\n", "a 1\nb 3\n"), differs("b", "2", "3"));
        assert_eq!(first_difference("a 1\n", "a 1\nc 3\n"), differs("c", "nothing", "3"));
        assert_eq!(first_difference("a 1\n", "a 1\n"), None);
    }
}
