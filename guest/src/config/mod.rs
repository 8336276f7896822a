//! What init is to do: files that the recipe of the image wrote, and words of the kernel's command line for this run.
//!
//! # Format of the files
//!
//! One `key value` a line; the value goes to the end of the line as it stands, so that nothing ever needs quoting, and a
//! list is a key that comes several times. Empty lines and lines that begin with `#` are skipped. It is no JSON or TOML,
//! because a file that people write should say its mistakes by line. A key that is not known is a mistake.

mod function;
mod guest;
mod run;

use std::fmt;

pub use function::{
    of_guest as functions, Call, Check, Field, Function, Generator, Kind, DIRECTORY,
};
pub use guest::{parse as parse_guest, Config, Container, PATH};
pub use run::{parse as parse_run, Parameters, COMMAND_LINE};

/// Something that can't be meant so.
#[derive(Debug, PartialEq)]
pub struct Mistake {
    file: String,
    /// Counted from 1; 0 if the mistake is of the file as a whole.
    line: usize,
    what: String,
}

impl Mistake {
    /// A mistake of a file as a whole.
    pub fn of_file(file: &str, what: impl fmt::Display) -> Mistake {
        Mistake { file: file.to_owned(), line: 0, what: what.to_string() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

/// A line of a file.
struct Entry<'a> {
    file: &'a str,
    line: usize,
    key: &'a str,
    value: &'a str,
}

/// The lines of a file that say something.
fn entries<'a>(
    file: &'a str,
    text: &'a str,
) -> impl Iterator<Item = Result<Entry<'a>, Mistake>> + 'a {
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(move |(number, line)| match line.split_once(' ') {
        Some((key, value)) => Ok(Entry { file, line: number, key, value }),
        None => Err(Entry { file, line: number, key: line, value: "" }
            .mistake(format!("`{line}` has no value"))),
    })
}

impl Entry<'_> {
    fn mistake(&self, what: String) -> Mistake {
        Mistake { file: self.file.to_owned(), line: self.line, what }
    }

    fn unknown(&self) -> Mistake {
        self.mistake(format!("unknown key `{}`", self.key))
    }

    /// Keeps the value of a key that may come only once.
    fn once<T>(&self, slot: &mut Option<T>, value: T) -> Result<(), Mistake> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.mistake(format!("`{}` for the second time", self.key))),
        }
    }

    fn path(&self) -> Result<String, Mistake> {
        if self.value.starts_with('/') {
            return Ok(self.value.to_owned());
        }
        Err(self.mistake(format!("`{}` is not an absolute path", self.value)))
    }

    /// A number; `of` says what it counts.
    fn number<T: std::str::FromStr>(&self, of: &str) -> Result<T, Mistake> {
        self.value.parse().map_err(|_| self.mistake(format!("`{}` is not {of}", self.value)))
    }

    /// A name that is part of a path and the name of a container.
    fn name(&self) -> Result<String, Mistake> {
        if is_name(self.value) {
            return Ok(self.value.to_owned());
        }
        Err(self
            .mistake(format!("`{}` is not a name: letters, digits, `-`, `_` and `.`", self.value)))
    }
}

/// What containerd takes for the name of a container (its `identifiers` package).
fn is_name(text: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 76 && text.split(['-', '_', '.']).all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_containerd_takes() {
        assert!(["a", "aes-go", "aes_go.v1"].into_iter().all(is_name));
        assert!(!["", "-a", "a-", "a--b", "a/b", "..", "é"].into_iter().any(is_name));
    }
}
