//! Which cores the function runs on, and which the rest of the system.
//!
//! With more than one core the function gets the last one for itself, by the `cpuset` controller of control groups: its
//! container is in a group of crun's making, everything that init starts, and init itself, in a group of ours. Kernel threads
//! stay where they are: those that could be moved have nothing to do.

use std::fs;

use super::Failure;

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";
/// The group of everything but containers.
const REST: &str = "/sys/fs/cgroup/rest";

/// A division of the machine's cores, each part as `cpuset.cpus` has it.
#[derive(Debug, PartialEq)]
pub struct Cores {
    /// For the function.
    pub function: String,
    /// For all else.
    pub rest: String,
    /// Whether those are different ones.
    divided: bool,
}

impl Cores {
    /// Divides the cores of this machine, and moves init to its part. Before anything is started that should go with it.
    pub fn divide() -> Result<Cores, Failure> {
        let path = format!("{GROUPS}/cpuset.cpus.effective");
        let online = fs::read_to_string(&path).map_err(Failure::doing(&path))?;
        let cores = divided(online.trim()).ok_or_else(|| {
            Failure::Guest(format!("{path}: `{}` is no list of cores", online.trim()))
        })?;
        if cores.divided {
            fs::create_dir(REST).map_err(Failure::doing(REST))?;
            set(REST, "cpuset.cpus", &cores.rest)?;
            set(REST, "cgroup.procs", "1")?;
        }
        Ok(cores)
    }

    /// Binds a container, whose control group is there, to the function's part.
    pub fn pin_function(&self, container: &str) -> Result<(), Failure> {
        self.pin(container, &self.function)
    }

    /// Binds a container, whose control group is there, to the part of the rest.
    pub fn pin_other(&self, container: &str) -> Result<(), Failure> {
        self.pin(container, &self.rest)
    }

    fn pin(&self, container: &str, cores: &str) -> Result<(), Failure> {
        if !self.divided {
            return Ok(());
        }
        set(&format!("{GROUPS}/vsbuild/{container}"), "cpuset.cpus", cores)
    }
}

fn set(group: &str, file: &str, value: &str) -> Result<(), Failure> {
    let path = format!("{group}/{file}");
    fs::write(&path, value).map_err(Failure::doing(path))
}

/// The last core for the function; on a single core nothing is divided. `online` is a list of ranges.
fn divided(online: &str) -> Option<Cores> {
    let mut cores = Vec::new();
    for range in online.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?);
    }
    let (last, others) = cores.split_last()?;
    if others.is_empty() {
        return Some(Cores { function: last.to_string(), rest: last.to_string(), divided: false });
    }
    Some(Cores { function: last.to_string(), rest: ranges(others), divided: true })
}

/// Numbers in rising order as a list of ranges.
fn ranges(numbers: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(online: &str) -> Option<(String, String)> {
        divided(online).map(|cores| (cores.function, cores.rest))
    }

    #[test]
    fn the_function_gets_the_last_core() {
        let both = |function: &str, rest: &str| Some((function.to_owned(), rest.to_owned()));
        assert_eq!(parts("0"), both("0", "0"));
        assert_eq!(parts("0-1"), both("1", "0"));
        assert_eq!(parts("0-3"), both("3", "0-2"));
        assert_eq!(parts("0-1,4,6-7"), both("7", "0-1,4,6"));
        assert!(!divided("2").expect("one core").divided);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert_eq!(["", "a", "0-", "3-1", "-1"].map(divided), [const { None }; 5]);
    }
}
