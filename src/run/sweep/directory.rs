use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Point, Sweep, grid, points};

/// Version of `sweep.json`.
const FORMAT: u32 = 1;
const SWEEP: &str = "sweep.json";
const MACHINE: &str = "machine.toml";

/// Why a sweep's directory cannot be used, or its points cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is another sweep in the directory.
    #[error("{} holds another sweep: {what}", dir.display())]
    Another {
        /// The directory.
        dir: PathBuf,
        /// What differs.
        what: String,
    },
    /// There is none.
    #[error("there is no sweep in {}: it has no {SWEEP}", dir.display())]
    None {
        /// The directory.
        dir: PathBuf,
    },
    /// `sweep.json` or `jobs.json` is not what this program writes.
    #[error("{} is not as vsbuild writes it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Somebody else runs the sweep.
    #[error("another vsbuild runs the sweep in {}", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// A path is not Unicode, so that it cannot stand in a command line of `sweep.json`.
    #[error("{} is not Unicode", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// A program does not start.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One of Slurm's programs failed.
    #[error("{program} failed: {message}")]
    Slurm {
        /// The program.
        program: &'static str,
        /// What it said.
        message: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a sweep comes to: `sweep.json`.
///
/// ```json
/// {
///   "format": 1,
///   "image": "functions",
///   "grid": ["caches.l2.size"],
///   "points": [
///     {
///       "function": "aes-go",
///       "values": {"caches.l2.size": "1MiB"},
///       "command": ["vsbuild", "run", "functions", "--on", "gem5", "…"]
///     }
///   ]
/// }
/// ```
///
/// The place of a point in the list is its number; its files lie in `points/NNN`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the file.
    pub format: u32,
    /// The image's recipe.
    pub image: String,
    /// The keys that vary, in the order of the grid.
    pub grid: Vec<String>,
    /// The points, by number.
    pub points: Vec<Task>,
}

/// A point as a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The function that it calls.
    pub function: String,
    /// What the grid chose.
    pub values: BTreeMap<String, serde_json::Value>,
    /// The words of the command line. The first is the program's name, not where it is.
    pub command: Vec<String>,
}

impl Plan {
    /// The commands of a sweep's points in the directory `dir`, an absolute path. `more` are options that all of them
    /// have, such as where the store is.
    ///
    /// # Errors
    ///
    /// If `dir` is not Unicode.
    pub fn new(sweep: &Sweep, dir: &Path, more: &[String]) -> Result<Self, Error> {
        let tasks = points(sweep).into_iter().enumerate().map(|(number, point)| {
            let place = place(dir, number);
            Ok(Task {
                command: command(sweep, &point, &place, more)?,
                function: point.function,
                values: point.values.into_iter().map(|(key, value)| (key, json(&value))).collect(),
            })
        });
        Ok(Self {
            format: FORMAT,
            image: sweep.image.clone(),
            grid: sweep.grid.iter().map(|(key, _)| key.clone()).collect(),
            points: tasks.collect::<Result<_, Error>>()?,
        })
    }

    /// What the grid chose for a point, in the grid's order: `caches.l2.size=1MiB clock=2GHz`.
    pub fn place(&self, number: usize) -> String {
        let Some(point) = self.points.get(number) else { return String::new() };
        let word = |key: &String| {
            let value = match point.values.get(key)? {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some(format!("{key}={value}"))
        };
        self.grid.iter().filter_map(word).collect::<Vec<_>>().join(" ")
    }

    /// Of these points the first of each function that has several: those that the others wait for, so that what all
    /// share, a booted guest and a warm function, is made once while nobody waits for it.
    pub(super) fn leaders(&self, numbers: &[usize]) -> Vec<usize> {
        let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for number in numbers {
            if let Some(point) = self.points.get(*number) {
                of.entry(&point.function).or_default().push(*number);
            }
        }
        let mut leaders: Vec<usize> = of
            .values()
            .filter(|all| all.len() > 1)
            .filter_map(|all| all.first().copied())
            .collect();
        leaders.sort_unstable();
        leaders
    }
}

/// The words of a point's command line.
fn command(
    sweep: &Sweep,
    point: &Point,
    place: &Path,
    more: &[String],
) -> Result<Vec<String>, Error> {
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| Error::NotText { path: path.to_owned() })
    };
    let calls = &sweep.calls;
    let mut words: Vec<String> =
        ["vsbuild", "run", &sweep.image, "--on", "gem5"].map(str::to_owned).into();
    words.extend(more.iter().cloned());
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    option("machine", text(&place.join(MACHINE))?);
    option("function", point.function.clone());
    option("warm", calls.warm.to_string());
    option("invocations", calls.invocations.to_string());
    for (name, value) in [("input", &calls.input), ("generator", &calls.generator)] {
        if let Some(value) = value {
            option(name, value.clone());
        }
    }
    if let Some(seed) = calls.seed {
        option("seed", seed.to_string());
    }
    option("out", text(place)?);
    Ok(words)
}

/// A value of TOML in JSON. Those of a grid are texts and numbers.
fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Integer(number) => (*number).into(),
        other => grid::plain(other).into(),
    }
}

fn place(dir: &Path, number: usize) -> PathBuf {
    dir.join("points").join(format!("{number:03}"))
}

/// A sweep on disk.
#[derive(Debug)]
pub struct Directory {
    dir: PathBuf,
    plan: Plan,
}

/// The right to run a sweep's points, until it is dropped or its owner dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "open as long as the lock is held")] File);

impl Directory {
    /// Writes what is missing of a sweep with this plan into `dir`. What is there already stays as it is.
    ///
    /// # Errors
    ///
    /// If another sweep, or the same with other machines, is there.
    pub fn make(dir: &Path, sweep: &Sweep, plan: Plan) -> Result<Self, Error> {
        let another = |what: String| Error::Another { dir: dir.to_owned(), what };
        match Self::open(dir) {
            Ok(there) if there.plan == plan => (),
            Ok(there) => return Err(another(difference(&there.plan, &plan))),
            Err(Error::None { .. }) => (),
            Err(error) => return Err(error),
        }
        fs::create_dir_all(dir)?;
        for (number, point) in points(sweep).iter().enumerate() {
            let place = place(dir, number);
            let (file, text) = (place.join(MACHINE), point.machine_toml());
            match fs::read_to_string(&file) {
                Ok(there) if there == text => (),
                Ok(_) => return Err(another(format!("point {number:03} has another machine"))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&place)?;
                    write(&file, text.as_bytes())?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let text = serde_json::to_string_pretty(&plan).expect("a plan is plain data");
        // Last, so that a directory with this file has all the others.
        write(&dir.join(SWEEP), (text + "\n").as_bytes())?;
        Ok(Self { dir: dir.to_owned(), plan })
    }

    /// Finds the sweep in a directory.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(SWEEP);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::None { dir: dir.to_owned() });
            }
            text => text?,
        };
        let plan =
            serde_json::from_str(&text).map_err(|source| Error::Unreadable { path, source })?;
        Ok(Self { dir: dir.to_owned(), plan })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// What it holds.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the files of a point are.
    pub fn point(&self, number: usize) -> PathBuf {
        place(&self.dir, number)
    }

    /// Takes the right to run the sweep.
    pub fn lock(&self) -> Result<Lock, Error> {
        let file = lock_file(&self.dir.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy { dir: self.dir.clone() }),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

/// What a person should know of two plans that differ.
fn difference(there: &Plan, new: &Plan) -> String {
    if there.image != new.image {
        return format!("it is of {}, not of {}", there.image, new.image);
    }
    if there.points.len() != new.points.len() {
        return format!("it has {} points, not {}", there.points.len(), new.points.len());
    }
    let differs = |(_, (one, other)): &(usize, (&Task, &Task))| one != other;
    let first = there.points.iter().zip(&new.points).enumerate().find(differs);
    first.map_or_else(
        || "its grid is another".to_owned(),
        |(number, (one, _))| format!("point {number:03} is `{}`", one.command.join(" ")),
    )
}

/// Opens a file to lock it.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Writes a file that is there whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    file.write_all(bytes)?;
    // What tempfile makes is for its owner only; the nodes of a cluster may ask as somebody else.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(more: &str) -> Sweep {
        let text = format!(
            "image = \"i\"\nfunctions = [\"f\", \"e\"]\n[machine]\npreset = \"simple\"\n{more}\n\
             [grid]\nclock = [\"1GHz\", \"2GHz\"]\n"
        );
        Sweep::parse(&text, &|_| Ok(())).unwrap()
    }

    fn make(dir: &Path, sweep: &Sweep, more: &[&str]) -> Result<Directory, Error> {
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        Directory::make(dir, sweep, Plan::new(sweep, dir, &more)?)
    }

    #[test]
    fn a_point_is_an_ordinary_command_line() {
        let plan = Plan::new(&sweep(""), Path::new("/d"), &["--gem5".into(), "/g".into()]).unwrap();
        assert_eq!(
            plan.points[1].command.join(" "),
            "vsbuild run i --on gem5 --gem5 /g --machine /d/points/001/machine.toml --function f \
             --warm 1 --invocations 10 --out /d/points/001"
        );
        assert_eq!(plan.place(1), "clock=2GHz");
    }

    #[test]
    fn the_same_sweep_is_the_same_directory_and_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), &sweep(""), &[]).unwrap();
        let read = || fs::read(dir.path().join(SWEEP)).unwrap();
        let before = read();
        fs::remove_file(dir.path().join(SWEEP)).unwrap();
        make(dir.path(), &sweep(""), &[]).unwrap();
        assert_eq!(read(), before);
        let refused = make(dir.path(), &sweep("cores = 4"), &[]).unwrap_err().to_string();
        assert!(refused.contains("point 000 has another machine"), "{refused}");
        let refused = make(dir.path(), &sweep(""), &["--gem5", "/g"]).unwrap_err().to_string();
        assert!(refused.contains("point 000 is `vsbuild run i"), "{refused}");
        assert_eq!(read(), before);
        assert!(matches!(Directory::open(&dir.path().join("no")), Err(Error::None { .. })));
    }

    #[test]
    fn a_sweep_is_run_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(dir.path(), &sweep(""), &[]).unwrap();
        let lock = made.lock().unwrap();
        assert!(matches!(made.lock(), Err(Error::Busy { .. })));
        drop(lock);
        made.lock().unwrap();
    }

    #[test]
    fn the_first_point_of_each_function_leads_the_others() {
        let plan = Plan::new(&sweep(""), Path::new("/d"), &[]).unwrap();
        assert_eq!(plan.leaders(&[0, 1, 2, 3]), [0, 2]);
        assert_eq!(plan.leaders(&[1, 2, 3]), [2]);
    }
}
