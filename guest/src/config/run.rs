//! What this run asks for: words `vsbuild.KEY=VALUE` of the kernel's command line, values percent-encoded.
//!
//! In a simulator that takes checkpoints a run can be asked for later too: with `vsbuild.ask=m5`, gem5's `m5 readfile` gives
//! more such words when containerd is ready, and again when the function is warm, and what they say wins. So one boot serves
//! every function, and one warm function every measurement.
//!
//! | key | meaning |
//! |---|---|
//! | `function` | name of the function to run; if not given, the guest does what its configuration says |
//! | `warm` | how many invocations before the measured ones; 5 if not given |
//! | `settle` | how many invocations between those and the measured ones, after a checkpoint of the warm function; 0 if not given |
//! | `invocations` | how many measured invocations; 20 if not given |
//! | `generator` | instead of the function's own |
//! | `input` | instead of the function's own |
//! | `seed` | of random inputs; 1 if not given |
//! | `ask` | `m5`: ask gem5 for more words, as above |
//!
//! Whatever else stands on the command line is the kernel's. A word for us that is not understood is a mistake: a run must
//! not measure something other than what was asked for.

use super::function::{generator_named, Generator};
use super::{is_name, Mistake};

/// Where the kernel shows its command line.
pub const COMMAND_LINE: &str = "/proc/cmdline";
/// How our words begin.
const PREFIX: &str = "vsbuild.";
/// What the simulator's words are called in messages.
const ANSWER: &str = "the file of m5 readfile";

/// What this run asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// The function to run.
    pub function: Option<String>,
    /// How many invocations before the measured ones.
    pub warm: u32,
    /// How many after those, before the measured ones.
    pub settle: u32,
    /// How many measured invocations.
    pub invocations: u32,
    /// Instead of the function's own.
    pub generator: Option<Generator>,
    /// Instead of the function's own.
    pub input: Option<String>,
    /// Of random inputs.
    pub seed: u64,
    /// Whether the simulator is asked for more.
    pub ask: bool,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            function: None,
            warm: 5,
            settle: 0,
            invocations: 20,
            generator: None,
            input: None,
            seed: 1,
            ask: false,
        }
    }
}

/// Reads a kernel command line. The last of several words with one key counts, as it does for the kernel.
pub fn parse(line: &str) -> Result<Parameters, Mistake> {
    Parameters::default().with(COMMAND_LINE, line)
}

impl Parameters {
    /// What a simulator's answer makes of them.
    pub fn answered(self, answer: &str) -> Result<Parameters, Mistake> {
        self.with(ANSWER, answer)
    }

    /// These, but for what the words of `line` say.
    fn with(mut self, file: &str, line: &str) -> Result<Parameters, Mistake> {
        for word in line.split_ascii_whitespace() {
            let Some(ours) = word.strip_prefix(PREFIX) else { continue };
            self.take(ours).map_err(|what| Mistake::of_file(file, format!("`{word}`: {what}")))?;
        }
        Ok(self)
    }

    /// One word without its prefix.
    fn take(&mut self, word: &str) -> Result<(), &'static str> {
        let (key, value) = word.split_once('=').ok_or("it has no value")?;
        let value = decoded(value).ok_or("the value is not percent-encoded UTF-8")?;
        let number = || value.parse().map_err(|_| "the value is not a number");
        match key {
            "function" if is_name(&value) => self.function = Some(value),
            "function" => return Err("the value is not the name of a function"),
            "warm" => self.warm = number()?,
            "settle" => self.settle = number()?,
            "invocations" => self.invocations = number()?,
            "generator" => {
                self.generator = Some(generator_named(&value).ok_or("there is no such generator")?);
            }
            "input" => self.input = Some(value),
            "seed" => self.seed = value.parse().map_err(|_| "the value is not a number")?,
            "ask" if value == "m5" => self.ask = true,
            "ask" => return Err("only m5 can be asked"),
            _ => return Err("there is no such parameter"),
        }
        Ok(())
    }
}

/// `%XX` as the bytes they stand for.
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        bytes.push(u8::from_str_radix(digits?, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str) -> String {
        parse(line).expect_err(line).to_string()
    }

    #[test]
    fn the_kernels_own_words_are_passed_over() {
        let run = parse("console=ttyS0 quiet vsbuild root=/dev/sda\n").expect("nothing for us");
        assert_eq!((run.function, run.warm, run.invocations, run.seed), (None, 5, 20, 1));
    }

    #[test]
    fn a_run_is_asked_for() {
        let line = "quiet vsbuild.function=aes-go vsbuild.warm=0 vsbuild.invocations=3 \
                    vsbuild.input=a%20b%25%c3%A9 vsbuild.generator=random vsbuild.seed=18446744073709551615";
        assert_eq!(
            parse(line),
            Ok(Parameters {
                function: Some("aes-go".into()),
                warm: 0,
                invocations: 3,
                generator: Some(Generator::Random),
                input: Some("a b%é".into()),
                seed: u64::MAX,
                ..Parameters::default()
            })
        );
    }

    #[test]
    fn what_the_simulator_answers_wins() {
        let asked = parse("vsbuild.ask=m5 vsbuild.warm=3").expect("a line that asks");
        assert!(asked.ask && asked.function.is_none());
        let answered = asked.answered("vsbuild.function=aes-go vsbuild.settle=2\n").expect("words");
        assert_eq!(
            (answered.function.as_deref(), answered.warm, answered.settle),
            (Some("aes-go"), 3, 2)
        );
        let mistake = answered.answered("vsbuild.warm=x").expect_err("no number").to_string();
        assert_eq!(mistake, "the file of m5 readfile: `vsbuild.warm=x`: the value is not a number");
        assert!(problem("vsbuild.ask=qemu").ends_with("only m5 can be asked"));
    }

    #[test]
    fn what_is_not_understood_stops_the_run() {
        let place = COMMAND_LINE;
        assert_eq!(
            problem("vsbuild.warn=1"),
            format!("{place}: `vsbuild.warn=1`: there is no such parameter")
        );
        assert_eq!(
            problem("vsbuild.warm=-1"),
            format!("{place}: `vsbuild.warm=-1`: the value is not a number")
        );
        assert_eq!(problem("vsbuild.warm"), format!("{place}: `vsbuild.warm`: it has no value"));
        for input in ["%", "%4", "%+1", "%zz", "%ff", "%é"] {
            let word = format!("vsbuild.input={input}");
            let expected = format!("{place}: `{word}`: the value is not percent-encoded UTF-8");
            assert_eq!(problem(&word), expected);
        }
        assert!(problem("vsbuild.function=a/b").ends_with("not the name of a function"));
        assert!(problem("vsbuild.generator=even").ends_with("no such generator"));
    }
}
