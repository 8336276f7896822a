use std::collections::BTreeMap;

use serde::Serialize;

use super::{Said, Stage};
use crate::digest::Digest;

/// What happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Everything that the guest said, in order.
    pub said: Vec<Said>,
    /// The kernel's last words, if it panicked.
    pub panic: Option<String>,
    /// Whether the run was stopped because it took too long.
    pub timed_out: bool,
    /// How long it took, in seconds of the host.
    pub host_seconds: f64,
}

/// Whether a run was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The container ran, said what it should and everything ended in order.
    Good,
    /// It did not; this is why.
    Bad(String),
}

impl Outcome {
    /// All lines that the container wrote to its standard output.
    pub fn output(&self) -> impl Iterator<Item = &str> {
        self.said
            .iter()
            .filter(|said| said.stage == Stage::Output && said.stream.as_deref() == Some("stdout"))
            .filter_map(|said| said.text.as_deref())
    }

    /// Judges the run: an orderly end with code 0, and a line of output that contains `expect`.
    pub fn verdict(&self, expect: Option<&str>) -> Verdict {
        let last = |stage| self.said.iter().rev().find(|said| said.stage == stage);
        let error = last(Stage::Error).and_then(|said| said.text.clone());
        let reached = self.said.last().map_or("nothing at all", |said| said.stage.name());
        let why = if let Some(panic) = &self.panic {
            panic.clone()
        } else if self.timed_out {
            format!("it took too long; the last that was heard from the guest was `{reached}`")
        } else {
            match last(Stage::Exit).and_then(|said| said.code) {
                None => format!(
                    "the machine stopped without a last word; the guest reached `{reached}`"
                ),
                Some(0) => match expect {
                    Some(text) if !self.output().any(|line| line.contains(text)) => {
                        format!("the container did not print `{text}`")
                    }
                    _ if last(Stage::ContainerExited).is_none() => "no container ran".to_owned(),
                    _ => return Verdict::Good,
                },
                Some(code) => {
                    error.unwrap_or_else(|| format!("the container exited with code {code}"))
                }
            }
        };
        Verdict::Bad(why)
    }
}

/// A run on paper: `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Which image.
    pub image: String,
    /// What it ran on.
    pub on: String,
    /// Every file that went in, by digest.
    pub files: BTreeMap<String, Digest>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Cores.
    pub cores: u32,
    /// The result.
    pub verdict: Verdict,
    /// What happened.
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::read;

    fn outcome(lines: &[&str]) -> Outcome {
        let line = |rest: &&str| {
            read(format!("{{\"vsbuild\":1,\"uptime_us\":1,{rest}}}").as_bytes()).unwrap()
        };
        Outcome { said: lines.iter().map(line).collect(), ..Outcome::default() }
    }

    const OUTPUT: &str = r#""stage":"output","stream":"stdout","text":"HELLO""#;
    const EXITED: &str = r#""stage":"container-exited","name":"hello","code":0"#;
    const EXIT: &str = r#""stage":"exit","code":0"#;

    #[test]
    fn a_run_is_good_only_if_the_container_said_what_it_should() {
        assert_eq!(outcome(&[OUTPUT, EXITED, EXIT]).verdict(Some("HELLO")), Verdict::Good);
        let bad = |outcome: Outcome| match outcome.verdict(Some("HELLO")) {
            Verdict::Good => panic!("this run was not good"),
            Verdict::Bad(why) => why,
        };
        assert_eq!(bad(outcome(&[EXITED, EXIT])), "the container did not print `HELLO`");
        assert_eq!(bad(outcome(&[OUTPUT, EXIT])), "no container ran");
        assert!(bad(outcome(&[OUTPUT, EXITED])).contains("without a last word"));
        assert!(bad(outcome(&[])).contains("nothing at all"));
        let failed = [r#""stage":"error","text":"containerd died""#, r#""stage":"exit","code":70"#];
        assert_eq!(bad(outcome(&failed)), "containerd died");
        let slow = Outcome { timed_out: true, ..outcome(&[OUTPUT]) };
        assert!(bad(slow).contains("`output`"));
        let panicked = Outcome { panic: Some("Kernel panic".into()), ..outcome(&[OUTPUT]) };
        assert_eq!(bad(panicked), "Kernel panic");
    }
}
