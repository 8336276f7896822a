use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Call, Said, Stage,
    gem5::{self, Machine, Program},
};
use crate::digest::Digest;

/// What happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Everything that the guest said, in order.
    pub said: Vec<Said>,
    /// The kernel's last words, if it panicked.
    pub panic: Option<String>,
    /// The last lines of the console before and after that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub console: Vec<String>,
    /// Whether the run was stopped because it took too long.
    pub timed_out: bool,
    /// Why the run was stopped although it had time, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// How long it took, in seconds of the host.
    pub host_seconds: f64,
    /// Whether gem5 came to the end that was wanted, which is before the guest's last word.
    #[serde(skip)]
    pub complete: bool,
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

    /// The last that was said of a stage.
    pub fn last(&self, stage: Stage) -> Option<&Said> {
        self.said.iter().rev().find(|said| said.stage == stage)
    }

    /// Judges the run: an orderly end with code 0, and what was wanted.
    pub fn verdict(&self, wanted: &Wanted<'_>) -> Verdict {
        let error = self.last(Stage::Error).and_then(|said| said.text.clone());
        let reached = self.said.last().map_or("nothing at all", |said| said.stage.name());
        let why = if let Some(panic) = &self.panic {
            panic.clone()
        } else if let Some(stuck) = &self.stuck {
            format!("{stuck}; the last that was heard from the guest was `{reached}`")
        } else if self.timed_out {
            format!("it took too long; the last that was heard from the guest was `{reached}`")
        } else {
            let code = self.last(Stage::Exit).and_then(|said| said.code);
            match code.or(self.complete.then_some(0)) {
                None => format!(
                    "the machine stopped without a last word; the guest reached `{reached}`"
                ),
                Some(0) => match self.lacks(wanted) {
                    Some(why) => why,
                    None => return Verdict::Good,
                },
                Some(code) => error
                    .or_else(|| self.wrong_replies())
                    .unwrap_or_else(|| format!("the guest ended with code {code}")),
            }
        };
        Verdict::Bad(why)
    }

    /// What a run that ended well did not do.
    fn lacks(&self, wanted: &Wanted<'_>) -> Option<String> {
        match wanted {
            Wanted::Container { expect } => match expect {
                Some(text) if !self.output().any(|line| line.contains(text)) => {
                    Some(format!("the container did not print `{text}`"))
                }
                _ if self.last(Stage::ContainerExited).is_none() => {
                    Some("no container ran".to_owned())
                }
                _ => None,
            },
            Wanted::Function(call) => {
                let invoked = self.last(Stage::Invoked);
                let done = invoked.and_then(|said| said.invocations).unwrap_or_default();
                if done == call.invocations {
                    self.wrong_replies()
                } else {
                    Some(format!("{done} of {} invocations were made", call.invocations))
                }
            }
        }
    }

    fn wrong_replies(&self) -> Option<String> {
        let said = self.last(Stage::Invoked)?;
        let all = said.invocations.unwrap_or_default() + said.warm.unwrap_or_default();
        let wrong = said.failed.filter(|failed| *failed > 0)?;
        Some(format!("{wrong} of {all} replies were wrong"))
    }
}

/// What a run must do to be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Run the image's own container, and have it print a text.
    Container {
        /// The text.
        expect: Option<&'a str>,
    },
    /// Call a function, and be answered rightly every time.
    Function(&'a Call),
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
    /// The function that was called, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// What gem5 measured.
    #[serde(flatten)]
    pub measured: Option<Measured>,
    /// The result.
    pub verdict: Verdict,
    /// What happened.
    pub outcome: Outcome,
}

/// What only a run on gem5 has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Version of these fields.
    pub format: u32,
    /// The key of the last stage: all that the result follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The machine.
    pub machine: Machine,
    /// The simulator.
    pub gem5: Program,
    /// The digest of its configuration.
    pub harness: Digest,
    /// What the run was made of.
    pub stages: Vec<gem5::Stage>,
    /// The measured invocations.
    pub invocations: Vec<gem5::Invocation>,
    /// What should be known of the result.
    pub warnings: Vec<String>,
    /// What this gem5 is known to compute wrongly and what was run has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<KnownFault>,
    /// The command that makes it again.
    pub command: String,
}

/// Something that a gem5 computes otherwise than a processor, and where the run has instructions of that kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFault {
    /// What the table of faults calls it.
    pub name: String,
    /// What gem5 does.
    pub gem5: String,
    /// What a processor does.
    pub hardware: String,
    /// `always`, or `data`: for some values only.
    pub wrong: String,
    /// What comes of it: `crash`, `values`, `flags` or `nan`.
    pub harm: String,
    /// Programs and libraries that have such instructions.
    pub places: Vec<FaultPlace>,
}

/// A program or a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlace {
    /// Containers whose files it is among; none if it is the image's own, or the kernel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Its path there.
    pub path: String,
    /// How many such instructions it has.
    pub instructions: u64,
    /// The functions that they are in, for a person.
    pub functions: String,
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

    const HELLO: Wanted<'static> = Wanted::Container { expect: Some("HELLO") };
    const OUTPUT: &str = r#""stage":"output","stream":"stdout","text":"HELLO""#;
    const EXITED: &str = r#""stage":"container-exited","name":"hello","code":0"#;
    const EXIT: &str = r#""stage":"exit","code":0"#;

    #[test]
    fn a_run_is_good_only_if_the_container_said_what_it_should() {
        assert_eq!(outcome(&[OUTPUT, EXITED, EXIT]).verdict(&HELLO), Verdict::Good);
        let bad = |outcome: Outcome| match outcome.verdict(&HELLO) {
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

    #[test]
    fn a_function_must_answer_as_often_as_it_was_asked_and_rightly() {
        let call = Call {
            function: "f".to_owned(),
            warm: 1,
            invocations: 2,
            input: None,
            generator: None,
            seed: None,
        };
        let invoked = |invocations: u32, failed: u32| {
            format!(r#""stage":"invoked","warm":1,"invocations":{invocations},"failed":{failed}"#)
        };
        let judge =
            |invoked: &str, exit: &str| outcome(&[invoked, exit]).verdict(&Wanted::Function(&call));
        let bad = |why: &str| Verdict::Bad(why.to_owned());
        assert_eq!(judge(&invoked(2, 0), EXIT), Verdict::Good);
        assert_eq!(judge(&invoked(1, 0), EXIT), bad("1 of 2 invocations were made"));
        assert_eq!(judge(OUTPUT, EXIT), bad("0 of 2 invocations were made"));
        let failed = r#""stage":"exit","code":1"#;
        assert_eq!(judge(&invoked(2, 3), failed), bad("3 of 3 replies were wrong"));
    }
}
