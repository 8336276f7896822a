/// What ended a gem5, of all that it said: the first panic, fatal error or fault of its own, else the last error, as a script's, else the
/// last line; no more than 300 characters of it.
pub fn last_words(log: &str) -> Option<String> {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let tells =
        |words: &'static [&str]| move |line: &&str| words.iter().any(|word| line.contains(word));
    // After a panic gem5 goes on to tell where it was, and Python what became of that.
    let said = lines()
        .find(tells(&["panic: ", "fatal: ", "encountered a segmentation fault"]))
        .or_else(|| lines().rfind(tells(&["Error", "error: ", "Program aborted"])))
        .or_else(|| lines().next_back());
    said.map(|line| line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panic_is_what_ended_it() {
        let log = "warn: x\nsrc/faults.cc:166: panic: unmapped address\nMemory Usage: 5\nProgram aborted\n";
        assert_eq!(last_words(log).unwrap(), "src/faults.cc:166: panic: unmapped address");
    }

    #[test]
    fn a_fault_of_its_own_is_told_before_the_trace_of_it() {
        let log = "gem5 has encountered a segmentation fault!\n\n--- BEGIN LIBC BACKTRACE ---\n\
            gem5.fast(main+0x18c)\nFor more info on how to address this issue, please visit x\n";
        assert_eq!(last_words(log).unwrap(), "gem5 has encountered a segmentation fault!");
    }

    #[test]
    fn the_error_of_a_script_is_its_last() {
        let log = "Traceback:\n  File \"run.py\"\nValueError: one\nDuring handling of it:\nOSError: two\n\n";
        assert_eq!(last_words(log).unwrap(), "OSError: two");
    }

    #[test]
    fn else_it_is_the_last_line() {
        assert_eq!(last_words("one\ntwo\n\n").unwrap(), "two");
        assert_eq!(last_words(""), None);
    }
}
