//! What init is to do: `/etc/vsbuild/guest.conf`, written by the recipe of the image.
//!
//! # Format
//!
//! One `key value` a line; the value goes to the end of the line as it stands, so that nothing ever needs quoting, and a
//! list is a key that comes several times. Empty lines and lines that begin with `#` are skipped. It is no JSON or TOML,
//! because a parser of those would be most of this program.
//!
//! | key | times | meaning |
//! |---|---|---|
//! | `hostname` | at most once | the guest's name; `vsbuild` if not given |
//! | `container` | once | name of the container to run |
//! | `rootfs` | once | absolute path of its root file system, in the image |
//! | `arg` | at least once | its program, then the arguments, in order |
//! | `env` | any | `NAME=value` for its environment |
//! | `timeout` | at most once | seconds of guest time that containerd may take to start, and the container to end; 300 if not given |

use std::fmt;
use std::time::Duration;

/// Where the configuration lies in the guest.
pub const PATH: &str = "/etc/vsbuild/guest.conf";

/// A guest's configuration.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// The guest's host name.
    pub hostname: String,
    /// The container to run.
    pub container: Container,
    /// How long to wait for containerd to answer and, again, for the container to end.
    pub timeout: Duration,
}

/// A container whose root file system is a directory of the image.
#[derive(Debug, PartialEq)]
pub struct Container {
    /// Its name in containerd.
    pub name: String,
    /// Its root file system.
    pub rootfs: String,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
}

/// A line that can't be meant so.
#[derive(Debug, PartialEq)]
pub struct Mistake {
    /// Counted from 1; 0 if the mistake is of the file as a whole.
    line: usize,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{PATH}: {}", self.what),
            line => write!(f, "{PATH}:{line}: {}", self.what),
        }
    }
}

/// Reads the text of a configuration.
pub fn parse(text: &str) -> Result<Config, Mistake> {
    let (mut hostname, mut name, mut rootfs, mut timeout) = (None, None, None, None);
    let (mut args, mut env) = (Vec::new(), Vec::new());

    for (index, line) in text.lines().enumerate() {
        let mistake = |what: String| Mistake { line: index + 1, what };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once(' ') else {
            return Err(mistake(format!("`{line}` has no value")));
        };
        let once = |slot: &mut Option<String>| match slot.replace(value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(mistake(format!("`{key}` for the second time"))),
        };
        match key {
            "hostname" => once(&mut hostname)?,
            "container" => once(&mut name)?,
            "rootfs" if !value.starts_with('/') => {
                return Err(mistake(format!("`{value}` is not an absolute path")));
            }
            "rootfs" => once(&mut rootfs)?,
            "arg" => args.push(value.to_owned()),
            "env" if !value.contains('=') => {
                return Err(mistake(format!("`{value}` is not of the form NAME=value")));
            }
            "env" => env.push(value.to_owned()),
            "timeout" => match value.parse() {
                Ok(seconds) if timeout.replace(Duration::from_secs(seconds)).is_none() => {}
                Ok(_) => return Err(mistake("`timeout` for the second time".to_owned())),
                Err(_) => return Err(mistake(format!("`{value}` is not a number of seconds"))),
            },
            _ => return Err(mistake(format!("unknown key `{key}`"))),
        }
    }

    let missing = |key: &str| Mistake { line: 0, what: format!("`{key}` is missing") };
    let container = Container {
        name: name.ok_or_else(|| missing("container"))?,
        rootfs: rootfs.ok_or_else(|| missing("rootfs"))?,
        args,
        env,
    };
    if container.args.is_empty() {
        return Err(missing("arg"));
    }
    Ok(Config {
        hostname: hostname.unwrap_or_else(|| "vsbuild".to_owned()),
        container,
        timeout: timeout.unwrap_or(Duration::from_secs(300)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "container c\nrootfs /r\narg /bin/true\n";

    fn mistake(more: &str) -> String {
        parse(&format!("{SMALL}{more}\n")).expect_err(more).to_string()
    }

    #[test]
    fn values_are_taken_as_they_stand() {
        let text = "# what to run\n\nhostname h\ncontainer hello\nrootfs /srv/r\narg /bin/echo\n\
                    arg  two  words, \"as\" they stand \nenv A=b=c\ntimeout 7\n";
        assert_eq!(
            parse(text),
            Ok(Config {
                hostname: "h".into(),
                container: Container {
                    name: "hello".into(),
                    rootfs: "/srv/r".into(),
                    args: vec!["/bin/echo".into(), " two  words, \"as\" they stand ".into()],
                    env: vec!["A=b=c".into()],
                },
                timeout: Duration::from_secs(7),
            })
        );
    }

    #[test]
    fn defaults() {
        let config = parse(SMALL).expect("the smallest configuration");
        assert_eq!((config.hostname.as_str(), config.timeout.as_secs()), ("vsbuild", 300));
    }

    #[test]
    fn mistakes_name_their_line() {
        assert_eq!(mistake("rootfs /s"), format!("{PATH}:4: `rootfs` for the second time"));
        assert_eq!(mistake("rotfs /s"), format!("{PATH}:4: unknown key `rotfs`"));
        assert_eq!(mistake("rootfs s"), format!("{PATH}:4: `s` is not an absolute path"));
        assert_eq!(mistake("arg"), format!("{PATH}:4: `arg` has no value"));
        assert_eq!(mistake("env A"), format!("{PATH}:4: `A` is not of the form NAME=value"));
        assert_eq!(mistake("timeout soon"), format!("{PATH}:4: `soon` is not a number of seconds"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |text| parse(text).expect_err(text).to_string();
        assert_eq!(missing("rootfs /r\narg a\n"), format!("{PATH}: `container` is missing"));
        assert_eq!(missing("container c\narg a\n"), format!("{PATH}: `rootfs` is missing"));
        assert_eq!(missing("container c\nrootfs /r\n"), format!("{PATH}: `arg` is missing"));
    }
}
