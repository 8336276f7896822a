//! Runs the points of a sweep on a cluster, as job arrays of Slurm.
//!
//! Nothing depends on who submitted: every array is written down in `slurm/jobs.json` before and after it is submitted, and
//! what became of its tasks is read from the points' directories, from `squeue`, and for what has left the queue from
//! `scontrol`. So a sweep goes on after the submitting shell has died, when the same command is given again. A task whose
//! node dies is queued again by Slurm itself.
//!
//! The directory of the sweep, the project and the store must be seen by all nodes under the same paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{Directory, Error, News, Resources, Seat, Standing, State, directory, survey};

const FORMAT: u32 = 1;
/// The most tasks of an array, unless the cluster wants fewer. A script names all its points.
const MOST_TASKS: usize = 1000;

/// How points are given to Slurm.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The program that a task runs, as the nodes see it.
    pub program: &'a Path,
    /// What a task needs.
    pub resources: &'a Resources,
    /// How many tasks of an array may run at once; as many as the cluster allows, if there is no limit.
    pub jobs: Option<usize>,
}

/// The arrays that were submitted: `slurm/jobs.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Jobs {
    format: u32,
    arrays: Vec<Array>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Array {
    /// The job's name, which no other array has.
    name: String,
    /// Slurm's number. None as long as it is not known whether the array was submitted.
    job: Option<u64>,
    /// The points, by number of the task.
    points: Vec<usize>,
}

/// Submits all points that are neither done nor in the queue. Returns how many were submitted.
///
/// The first points of all functions are an array of their own, and the rest waits for its end: what all points of a
/// function share is made once while no other node waits for it.
///
/// # Errors
///
/// If somebody else runs the sweep, or Slurm takes no jobs.
pub fn submit(
    directory: &Directory,
    submission: &Submission<'_>,
    watch: &(dyn Fn(News) + Sync),
) -> Result<usize, Error> {
    let _lock = directory.lock()?;
    fs::create_dir_all(directory.path().join("slurm"))?;
    let standings = survey(directory, &seats(directory)?);
    let queued = |standing: &Standing| {
        standing.seat.as_ref().is_some_and(|seat| seat.waits() || seat.runs())
    };
    let wanted: Vec<usize> = standings
        .iter()
        .filter(|standing| match standing.state {
            State::Done | State::Running => false,
            State::Failed(_) | State::Waiting => !queued(standing),
        })
        .map(|standing| standing.number)
        .collect();
    let (leaders, rest) = by_turn(directory, &standings, &wanted);
    let most = most_tasks();
    let mut before = Vec::new();
    for points in leaders.chunks(most) {
        before.push(submit_array(directory, submission, points, &[], watch)?);
    }
    for points in rest.chunks(most) {
        submit_array(directory, submission, points, &before, watch)?;
    }
    Ok(wanted.len())
}

/// Waits until no point of the sweep is in the queue, and tells what changes.
///
/// # Errors
///
/// If what was submitted cannot be read. A Slurm that does not answer is asked again.
pub fn wait(
    directory: &Directory,
    every: Duration,
    watch: &(dyn Fn(News) + Sync),
) -> Result<(), Error> {
    let mut known: BTreeMap<usize, State> = BTreeMap::new();
    let mut silent = false;
    loop {
        let seats = match seats(directory) {
            Ok(seats) => seats,
            Err(Error::Slurm { program, message }) => {
                if !silent {
                    watch(News::Note(format!(
                        "{program} does not answer: {message}; asking again"
                    )));
                }
                silent = true;
                thread::sleep(every);
                continue;
            }
            Err(error) => return Err(error),
        };
        silent = false;
        for Standing { number, state, .. } in survey(directory, &seats) {
            if known.get(&number) == Some(&state) {
                continue;
            }
            match &state {
                State::Running => watch(News::Began(number)),
                State::Done | State::Failed(_) => watch(News::Ended(number, state.clone())),
                State::Waiting => (),
            }
            known.insert(number, state);
        }
        if !seats.values().any(|seat| seat.waits() || seat.runs()) {
            return Ok(());
        }
        thread::sleep(every);
    }
}

/// The places of points in the queue, and the last ones of those that left it, as far as Slurm remembers.
///
/// # Errors
///
/// If Slurm does not answer, or `jobs.json` cannot be read. A sweep that was never submitted asks nobody.
pub fn seats(directory: &Directory) -> Result<BTreeMap<usize, Seat>, Error> {
    let mut jobs = read(directory)?;
    if jobs.arrays.is_empty() {
        return Ok(BTreeMap::new());
    }
    let format = "--format=%F|%K|%T|%j|%r";
    let queue = ask("squeue", &["--noheader", "--array", "--me", format])?;
    let queue: Vec<Line> = queue.lines().filter_map(line).collect();
    adopt(directory, &mut jobs, &queue)?;
    let mut seats = BTreeMap::new();
    for array in &jobs.arrays {
        let Some(job) = array.job else { continue };
        let mine = queue.iter().filter(|line| line.job == job);
        let here: BTreeMap<usize, &Line> = mine.map(|line| (line.task, line)).collect();
        let open = |(task, point): (usize, &usize)| {
            !here.contains_key(&task)
                && super::state::state(&directory.point(*point), None) != State::Done
        };
        // Those that have left the queue without a result: Slurm knows for some minutes what became of them.
        let gone = match array.points.iter().enumerate().any(open) {
            true => fates(job),
            false => BTreeMap::new(),
        };
        for (task, point) in array.points.iter().enumerate() {
            let (word, reason) = match (here.get(&task), gone.get(&task)) {
                (Some(line), _) => (line.word.clone(), line.reason.clone()),
                (None, Some(word)) => (word.clone(), String::new()),
                (None, None) => {
                    // A later array speaks for the point, also by its silence.
                    seats.remove(point);
                    continue;
                }
            };
            seats.insert(*point, Seat { task: format!("{job}_{task}"), word, reason });
        }
    }
    Ok(seats)
}

/// The points that go first, and the others. A function that has a result needs no leader, nor one whose set-up is being
/// made by a point in the queue.
fn by_turn(
    directory: &Directory,
    standings: &[Standing],
    wanted: &[usize],
) -> (Vec<usize>, Vec<usize>) {
    let function = |number: usize| directory.plan().points.get(number).map(|point| &point.function);
    let begun: BTreeSet<_> = standings
        .iter()
        .filter(|standing| matches!(standing.state, State::Done | State::Running))
        .map(|standing| function(standing.number))
        .collect();
    let mut leaders = directory.plan().leaders(wanted);
    leaders.retain(|leader| !begun.contains(&function(*leader)));
    wanted.iter().partition(|number| leaders.contains(number))
}

fn submit_array(
    directory: &Directory,
    submission: &Submission<'_>,
    points: &[usize],
    before: &[u64],
    watch: &(dyn Fn(News) + Sync),
) -> Result<u64, Error> {
    let mut jobs = read(directory)?;
    let place = std::path::absolute(directory.path())?;
    let digest = crate::digest::Digest::of(place.as_os_str().as_encoded_bytes());
    let name = format!("vsbuild-{}-{}", digest.short(), jobs.arrays.len());
    let script = directory.path().join("slurm").join(format!("{name}.sh"));
    directory::write(&script, script_of(directory, submission.program, points)?.as_bytes())?;
    jobs.arrays.push(Array { name: name.clone(), job: None, points: points.to_vec() });
    // First the intention: should this process die now, the job is found by its name.
    write(directory, &jobs)?;
    let said = ask_words("sbatch", &options(submission, &name, points.len(), before, &script))?;
    let number = said.trim().split(';').next().and_then(|number| number.parse().ok());
    let job: u64 = number.ok_or_else(|| Error::Slurm {
        program: "sbatch",
        message: format!("it names no job: {}", said.trim()),
    })?;
    if let Some(array) = jobs.arrays.last_mut() {
        array.job = Some(job);
    }
    write(directory, &jobs)?;
    watch(News::Submitted { job, points: points.len() });
    Ok(job)
}

/// The words that `sbatch` is given.
fn options(
    submission: &Submission<'_>,
    name: &str,
    tasks: usize,
    before: &[u64],
    script: &Path,
) -> Vec<String> {
    let Resources { partition, time, memory, cpus, options } = submission.resources;
    let limit = submission.jobs.map_or_else(String::new, |jobs| format!("%{jobs}"));
    let mut words = vec![
        "--parsable".to_owned(),
        format!("--job-name={name}"),
        format!("--array=0-{}{limit}", tasks.saturating_sub(1)),
        "--nodes=1".to_owned(),
        "--ntasks=1".to_owned(),
        format!("--cpus-per-task={}", cpus.unwrap_or(1)),
        // A task whose node dies is queued again.
        "--requeue".to_owned(),
        // The script says all that there is to say in the points' directories.
        "--output=/dev/null".to_owned(),
    ];
    for (option, value) in [("partition", partition), ("time", time), ("mem", memory)] {
        words.extend(value.iter().map(|value| format!("--{option}={value}")));
    }
    if !before.is_empty() {
        let before: Vec<String> = before.iter().map(u64::to_string).collect();
        words.push(format!("--dependency=afterany:{}", before.join(":")));
    }
    words.extend(options.iter().cloned());
    words.push(script.to_string_lossy().into_owned());
    words
}

/// What a task runs: the command line of its point.
fn script_of(directory: &Directory, program: &Path, points: &[usize]) -> Result<String, Error> {
    let mut script = SCRIPT.to_owned();
    for (task, number) in points.iter().enumerate() {
        let dir = directory.point(*number);
        let words = directory.plan().points.get(*number).map(|point| point.command.as_slice());
        let words = words.and_then(<[String]>::split_first).map_or(&[][..], |(_, rest)| rest);
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| Error::NotText { path: path.to_owned() })
        };
        let all = [text(&std::path::absolute(dir)?)?, text(program)?];
        let line: Vec<String> = all.iter().chain(words).map(|word| quoted(word)).collect();
        // Nothing can fail when a string is written to.
        let _ = writeln!(script, "{task}) point {} ;;", line.join(" "));
    }
    Ok(script + "esac\n")
}

const SCRIPT: &str = r#"#!/bin/sh
# Points of a sweep. A task of the array is one of them: an ordinary command line, in a directory of its own.
point() {
    dir=$1
    shift
    # Slurm starts a task again whose node was lost, even if its result had been written.
    if grep -qs '"verdict": "good"' "$dir/run.json"; then exit 0; fi
    rm -f "$dir/run.json" "$dir/error.txt"
    "$@" >"$dir/log.txt" 2>&1 </dev/null
    code=$?
    if [ ! -e "$dir/run.json" ]; then
        how="it ended with code $code and left no record, on $SLURMD_NODENAME"
        # The error itself is worth more than the code, if the program said it.
        why=$(sed -n 's/^error: //p' "$dir/log.txt" | tail -n 1)
        {
            echo "${why:+$why (}$how${why:+)}"
            echo
            tail -n 12 "$dir/log.txt"
        } >"$dir/error.txt"
    fi
    exit "$code"
}

case $SLURM_ARRAY_TASK_ID in
"#;

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:=,+@%".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A line of `squeue`.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    job: u64,
    task: usize,
    word: String,
    name: String,
    reason: String,
}

fn line(text: &str) -> Option<Line> {
    let mut fields = text.trim().splitn(5, '|');
    let mut next = || fields.next();
    Some(Line {
        job: next()?.parse().ok()?,
        task: next()?.parse().ok()?,
        word: next()?.to_owned(),
        name: next()?.to_owned(),
        reason: next()?.to_owned(),
    })
}

/// Finds the numbers of arrays that were submitted by a process which died before it could write them down.
fn adopt(directory: &Directory, jobs: &mut Jobs, queue: &[Line]) -> Result<(), Error> {
    let mut found = false;
    for array in jobs.arrays.iter_mut().filter(|array| array.job.is_none()) {
        array.job = queue.iter().find(|line| line.name == array.name).map(|line| line.job);
        found |= array.job.is_some();
    }
    if found { write(directory, jobs) } else { Ok(()) }
}

/// What became of an array's tasks, as far as the controller remembers. Where it does not, nothing is known.
fn fates(job: u64) -> BTreeMap<usize, String> {
    let said = ask("scontrol", &["--oneliner", "show", "job", &job.to_string()]);
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(name).map(str::to_owned))
    };
    let fate = |line: &str| {
        let task = field(line, "ArrayTaskId=")?.parse().ok()?;
        Some((task, field(line, "JobState=")?))
    };
    said.unwrap_or_default().lines().filter_map(fate).collect()
}

/// The most tasks that an array may have here.
fn most_tasks() -> usize {
    let said = ask("scontrol", &["show", "config"]).unwrap_or_default();
    let limit = said.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "MaxArraySize").then(|| value.trim().parse::<usize>().ok())?
    });
    limit.unwrap_or(MOST_TASKS).clamp(1, MOST_TASKS)
}

fn ask(program: &'static str, words: &[&str]) -> Result<String, Error> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    ask_words(program, &words)
}

fn ask_words(program: &'static str, words: &[String]) -> Result<String, Error> {
    let output = Command::new(program)
        .args(words)
        .env("SLURM_TIME_FORMAT", "standard")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start { program: PathBuf::from(program), source })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let message = said.lines().last().unwrap_or("it said nothing").to_owned();
            Err(Error::Slurm { program, message })
        }
    }
}

fn jobs_file(directory: &Directory) -> PathBuf {
    directory.path().join("slurm/jobs.json")
}

fn read(directory: &Directory) -> Result<Jobs, Error> {
    let path = jobs_file(directory);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Jobs { format: FORMAT, arrays: Vec::new() });
        }
        text => text?,
    };
    serde_json::from_str(&text).map_err(|source| Error::Unreadable { path, source })
}

fn write(directory: &Directory, jobs: &Jobs) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(jobs).expect("jobs are plain data");
    Ok(directory::write(&jobs_file(directory), (text + "\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_queue_is_read_whatever_the_reason_says() {
        let read = line("17|3|PENDING|vsbuild-ab-0|(Nodes required|DOWN)").unwrap();
        assert_eq!((read.job, read.task, read.word.as_str()), (17, 3, "PENDING"));
        assert_eq!(read.reason, "(Nodes required|DOWN)");
        assert_eq!(line("17|N/A|RUNNING|other|None"), None, "a job that is no array");
    }

    #[test]
    fn sbatch_is_told_what_the_sweep_asks_for_and_nothing_else() {
        let resources = Resources {
            partition: Some("long".to_owned()),
            memory: Some("4G".to_owned()),
            options: vec!["--account=lab".to_owned()],
            ..Resources::default()
        };
        let submission =
            Submission { program: Path::new("/v"), resources: &resources, jobs: Some(3) };
        let words = options(&submission, "n", 20, &[7, 8], Path::new("/s.sh")).join(" ");
        assert_eq!(
            words,
            "--parsable --job-name=n --array=0-19%3 --nodes=1 --ntasks=1 --cpus-per-task=1 --requeue \
             --output=/dev/null --partition=long --mem=4G --dependency=afterany:7:8 --account=lab /s.sh"
        );
    }

    #[test]
    fn a_word_reaches_the_program_as_it_is() {
        let out =
            Command::new("sh").args(["-c", &format!("printf %s {}", quoted("a 'b' $c"))]).output();
        assert_eq!(out.unwrap().stdout, b"a 'b' $c");
        assert_eq!(quoted("--out=/a/b"), "--out=/a/b");
    }
}
