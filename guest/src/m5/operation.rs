//! The m5 operations: names, numbers, arguments.

/// An operation, with gem5's function number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u16)]
pub enum Operation {
    /// Ends the simulation after a delay.
    Exit = 0x21,
    /// Ends it after a delay, with a code.
    Fail = 0x22,
    /// Sets the statistics to zero.
    ResetStats = 0x40,
    /// Writes the statistics.
    DumpStats = 0x41,
    /// Writes them, and sets them to zero.
    DumpResetStats = 0x42,
    /// Takes a checkpoint.
    Checkpoint = 0x43,
    /// Reads the file that the simulator was given for its guest.
    ReadFile = 0x50,
    /// Goes on with the next processor model.
    SwitchCpu = 0x52,
    /// A unit of work begins.
    WorkBegin = 0x5a,
    /// It ends.
    WorkEnd = 0x5b,
    /// Calls an exit handler of the simulation script (gem5 25 and later).
    Hypercall = 0x71,
}

/// An operation with its arguments; those it doesn't take are 0.
#[derive(Debug, PartialEq)]
pub struct Call {
    pub operation: Operation,
    pub arguments: [u64; 3],
}

/// What the command line calls an operation, and which of its arguments must be given.
struct Syntax {
    operation: Operation,
    name: &'static str,
    arguments: &'static [(&'static str, Need)],
    what: &'static str,
}

#[derive(PartialEq)]
enum Need {
    Required,
    /// 0 if not given.
    Optional,
}
use Need::{Optional, Required};

/// The names are those of gem5's own `m5`, so that scripts for it work.
const SYNTAX: [Syntax; 11] = [
    Syntax {
        operation: Operation::Exit,
        name: "exit",
        arguments: &[("DELAY", Optional)],
        what: "end the simulation",
    },
    Syntax {
        operation: Operation::Fail,
        name: "fail",
        arguments: &[("CODE", Required), ("DELAY", Optional)],
        what: "end it with a code",
    },
    Syntax {
        operation: Operation::ResetStats,
        name: "resetstats",
        arguments: &[("DELAY", Optional), ("PERIOD", Optional)],
        what: "set the statistics to zero",
    },
    Syntax {
        operation: Operation::DumpStats,
        name: "dumpstats",
        arguments: &[("DELAY", Optional), ("PERIOD", Optional)],
        what: "write the statistics",
    },
    Syntax {
        operation: Operation::DumpResetStats,
        name: "dumpresetstats",
        arguments: &[("DELAY", Optional), ("PERIOD", Optional)],
        what: "write them and set them to zero",
    },
    Syntax {
        operation: Operation::Checkpoint,
        name: "checkpoint",
        arguments: &[("DELAY", Optional), ("PERIOD", Optional)],
        what: "take a checkpoint",
    },
    Syntax {
        operation: Operation::ReadFile,
        name: "readfile",
        arguments: &[],
        what: "write the file that gem5 has for its guest to standard output",
    },
    Syntax {
        operation: Operation::SwitchCpu,
        name: "switchcpu",
        arguments: &[],
        what: "go on with the next processor model",
    },
    Syntax {
        operation: Operation::WorkBegin,
        name: "workbegin",
        arguments: &[("WORK", Required), ("THREAD", Optional)],
        what: "a unit of work begins",
    },
    Syntax {
        operation: Operation::WorkEnd,
        name: "workend",
        arguments: &[("WORK", Required), ("THREAD", Optional)],
        what: "it ends",
    },
    Syntax {
        operation: Operation::Hypercall,
        name: "hypercall",
        arguments: &[("HANDLER", Required)],
        what: "call an exit handler (gem5 25 and later)",
    },
];

impl Operation {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.syntax().name
    }

    fn syntax(self) -> &'static Syntax {
        SYNTAX.iter().find(|syntax| syntax.operation == self).expect("every operation has a syntax")
    }
}

/// Reads a command line; the error is what to print instead of acting.
pub fn parse(words: &[String]) -> Result<Call, String> {
    let Some((name, given)) = words.split_first() else { return Err(usage()) };
    let Some(syntax) = SYNTAX.iter().find(|syntax| syntax.name == name) else {
        return Err(usage());
    };
    let required = syntax.arguments.iter().filter(|(_, need)| *need == Required).count();
    if given.len() < required || given.len() > syntax.arguments.len() {
        return Err(format!("usage: m5 {}\n", synopsis(syntax)));
    }

    let mut arguments = [0; 3];
    for ((slot, word), (what, _)) in arguments.iter_mut().zip(given).zip(syntax.arguments) {
        *slot = number(word).ok_or_else(|| format!("m5: {what} is `{word}`, not a number\n"))?;
    }
    // On the command line the code, which must be given, comes first; gem5 takes the delay first.
    if syntax.operation == Operation::Fail {
        arguments.swap(0, 1);
    }
    Ok(Call { operation: syntax.operation, arguments })
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

fn usage() -> String {
    let mut text = "usage: m5 OPERATION [ARGUMENT…]\n\n".to_owned();
    for syntax in &SYNTAX {
        text += &format!("  {:32} {}\n", synopsis(syntax), syntax.what);
    }
    text + "\nDELAY and PERIOD are nanoseconds of simulated time.\n\
            M5_FORM=instruction, address or off in the environment says how to reach the simulator.\n"
}

fn synopsis(syntax: &Syntax) -> String {
    let mut text = syntax.name.to_owned();
    for (name, need) in syntax.arguments {
        text += &match need {
            Required => format!(" {name}"),
            Optional => format!(" [{name}]"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Call, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_in_gem5s_order() {
        let call = |operation, [first, second]: [u64; 2]| {
            Ok(Call { operation, arguments: [first, second, 0] })
        };
        assert_eq!(parsed("exit"), call(Operation::Exit, [0, 0]));
        assert_eq!(parsed("exit 1000"), call(Operation::Exit, [1000, 0]));
        assert_eq!(parsed("fail 3"), call(Operation::Fail, [0, 3]));
        assert_eq!(parsed("fail 3 9"), call(Operation::Fail, [9, 3]));
        assert_eq!(parsed("workbegin 0x65 1"), call(Operation::WorkBegin, [0x65, 1]));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        assert_eq!(parsed("fail"), Err("usage: m5 fail CODE [DELAY]\n".into()));
        assert_eq!(parsed("exit 1 2"), Err("usage: m5 exit [DELAY]\n".into()));
        assert_eq!(parsed("exit soon"), Err("m5: DELAY is `soon`, not a number\n".into()));
        assert!(parsed("").unwrap_err().contains("workbegin WORK [THREAD]"));
    }

    #[test]
    fn every_operation_is_on_the_command_line() {
        for syntax in &SYNTAX {
            assert_eq!(syntax.operation.name(), syntax.name);
        }
    }
}
