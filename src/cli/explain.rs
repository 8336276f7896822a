//! What a failed build means for a person.

use super::problem::{Failure, Problem};
use crate::{
    cache,
    realise::{BuildError, Error, Failed, LayError, Status},
    remote, store,
};

/// What helps when the store has lost something.
const DAMAGED: &str =
    "vsbuild store verify puts aside what is damaged; the next build makes it again";
/// The signal that nothing can refuse.
const SIGKILL: i32 = 9;

/// The problem behind an error of making things.
pub(super) fn build(error: Error) -> Problem {
    match &error {
        Error::Fetch { source, .. } => {
            let help = source.hint();
            help.into_iter().fold(Problem::from_error(Failure::Fetch, &error), Problem::help)
        }
        Error::Build { name, source: BuildError::Failed(failed) } => script(name, failed),
        Error::Build { name, source: BuildError::NoOutput } => {
            Problem::new(Failure::Build, format!("the script of {name} left nothing in $out"))
                .help("$out is a directory, empty at first: whatever is in it in the end is the output")
                .help(format!("what the script printed: vsbuild log {name}"))
        }
        Error::Build { source: BuildError::Sandbox(_), .. } => {
            Problem::from_error(Failure::Sandbox, &error)
        }
        Error::Differs { key, .. } => Problem::from_error(Failure::Mismatch, &error)
            .help(
                "the same inputs should give the same bytes: `vsbuild store verify` finds damage here; if there is none,\n\
                 the recipe's script lets something of this machine or moment into its output",
            )
            .help(format!("vsbuild store forget {key} lets the new one be believed")),
        Error::Disagree { .. } => Problem::from_error(Failure::Mismatch, &error)
            .help(
                "somebody's machine, compiler or key is not what it should be, or the recipe lets something of the machine or\n\
                 moment into its output; nothing was taken",
            )
            .help("who is known to be wrong goes to `revoked` in [trust]; --no-substitute asks nobody"),
        Error::NotMade { .. } => Problem::from_error(Failure::Input, &error),
        Error::Cache(error) => cache(error),
        Error::Build { source: BuildError::Conflicts(_), .. } => {
            Problem::from_error(Failure::Build, &error).help(
                "`replace` in a rootfs recipe names paths where the later layer is to win, `exclude` packages that are\n\
                 not wanted",
            )
        }
        Error::Lay(LayError::Read { .. }) => {
            Problem::from_error(Failure::Mismatch, &error).help(DAMAGED)
        }
        Error::Build { .. }
        | Error::Lay(LayError::Write(_))
        | Error::Layout { .. }
        | Error::Partition { .. }
        | Error::NoKernel { .. } => Problem::from_error(Failure::Build, &error),
        Error::Store(source) => store(source),
        Error::Io(_) => Problem::from_error(Failure::Other, &error),
    }
}

/// The problem behind an error of a cache.
pub(super) fn cache(error: &cache::Error) -> Problem {
    match error {
        cache::Error::Store(error) => store(error),
        cache::Error::Remote(error) => remote(error),
        cache::Error::Absent { .. } => Problem::from_error(Failure::Fetch, error)
            .help("the first `vsbuild cache push` to an address makes one"),
        cache::Error::OtherFormat { .. } => Problem::from_error(Failure::Fetch, error)
            .help("something else is there: name another directory, path, prefix or repository"),
        cache::Error::Damaged(_) => Problem::from_error(Failure::Mismatch, error).help(DAMAGED),
        cache::Error::Busy { .. } => Problem::from_error(Failure::Other, error).help(
            "try again later; what a killed program was about is forgotten after half an hour",
        ),
        cache::Error::BadName(_) => Problem::from_error(Failure::Input, error),
        cache::Error::Io(_) => Problem::from_error(Failure::Other, error),
    }
}

fn remote(error: &remote::Error) -> Problem {
    match error {
        remote::Error::Unusable { .. } => Problem::from_error(Failure::Input, error),
        remote::Error::Denied { address, .. } => {
            let help = match address.split(':').next() {
                Some("file") => "whoever owns the directory lets you in: chmod, chown, or the umask of those who push",
                Some("http" | "https") => {
                    "it is shown the token of `token-file`, in the [[caches]] with this very address"
                }
                Some("s3") => "it is shown AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                _ => "it is shown the credentials of `docker login`",
            };
            Problem::from_error(Failure::Fetch, error).help(help)
        }
        remote::Error::Unable { .. } => Problem::from_error(Failure::Fetch, error)
            .help("go to where it keeps its files and use that directory, or serve it: vsbuild cache serve"),
        remote::Error::Full { .. } => Problem::from_error(Failure::Fetch, error)
            .help("make room there: vsbuild cache gc ADDRESS --older-than 30d; the push then goes on where it was"),
        remote::Error::Refused { .. } => Problem::from_error(Failure::Fetch, error)
            .help("what was sent or brought is kept; the server's own log may say more"),
        remote::Error::Unreachable { .. } => Problem::from_error(Failure::Fetch, error)
            .help("what was sent or brought is kept; the same command goes on where it was"),
        remote::Error::Wrong { .. } => Problem::from_error(Failure::Mismatch, error)
            .help("nothing of it was taken; a push of the same from where it was built puts right what is missing there"),
        remote::Error::Io(_) => Problem::from_error(Failure::Other, error),
    }
}

fn store(error: &store::Error) -> Problem {
    match error {
        store::Error::BadTree { .. }
        | store::Error::WrongDigest { .. }
        | store::Error::BadRecord { .. }
        | store::Error::Absent(_) => Problem::from_error(Failure::Mismatch, error).help(DAMAGED),
        store::Error::OtherFormat { .. } => Problem::from_error(Failure::Other, error)
            .help("name another directory with --store DIR"),
        store::Error::Io(_)
        | store::Error::Foreign { .. }
        | store::Error::BadName(_)
        | store::Error::CannotMake { .. } => Problem::from_error(Failure::Other, error),
    }
}

fn script(name: &str, failed: &Failed) -> Problem {
    let Failed { status, network_attempts, tail, log, sandbox } = failed;
    let how = match status {
        Status::Exited(_) => format!("ended with {status}"),
        Status::Killed(_) | Status::TimedOut => format!("was {status}"),
    };
    let mut message = format!("the script of {name} {how}");
    if *network_attempts > 0 {
        message += "\n       it tried to reach a network; there is none in the sandbox: what a build needs is named\n       \
                    in its recipe as an input";
    }
    if !tail.is_empty() {
        message += "\n       the last lines of its log:";
        tail.iter().for_each(|line| message += &format!("\n         {line}"));
    }
    let mut problem =
        Problem::new(Failure::Build, message).help(format!("the whole log: {}", log.display()));
    if *status == Status::Killed(SIGKILL) {
        problem = problem.help(
            "the kernel does that when memory runs out: fewer jobs take less, as with --jobs 1",
        );
    }
    match sandbox {
        Some(dir) => {
            problem.help(format!("to look around where it failed: vsbuild shell {}", dir.display()))
        }
        None => problem.help(format!(
            "to look around where it fails: vsbuild build {name} --keep-failed, then vsbuild shell"
        )),
    }
}
