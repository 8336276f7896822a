//! `/etc/vsbuild/guest.conf`: the guest as a whole, and what it does when the run names no function.
//!
//! | key | times | meaning |
//! |---|---|---|
//! | `hostname` | at most once | the guest's name; `vsbuild` if not given |
//! | `timeout` | at most once | seconds of guest time that each thing may take which is waited for: containerd, a container's port, a reply, the end of a container; 300 if not given |
//! | `namespace` | at most once | containerd's namespace, where the images are; `default` if not given |
//! | `container` | at most once | name of a container to run to its end; the other keys only stand beside this one |
//! | `rootfs` | once | absolute path of its root file system, in the image |
//! | `arg` | at least once | its program, then the arguments, in order |
//! | `env` | any | `NAME=value` for its environment |

use std::time::Duration;

use super::{entries, Mistake};

/// Where the configuration lies in the guest.
pub const PATH: &str = "/etc/vsbuild/guest.conf";

/// A guest's configuration.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// The guest's host name.
    pub hostname: String,
    /// containerd's namespace.
    pub namespace: String,
    /// The container to run.
    pub container: Option<Container>,
    /// How long to wait for whatever is waited for.
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

/// Reads the text of a configuration.
pub fn parse(text: &str) -> Result<Config, Mistake> {
    let (mut hostname, mut namespace, mut timeout) = (None, None, None);
    let (mut name, mut rootfs) = (None, None);
    let (mut args, mut env) = (Vec::new(), Vec::new());

    for entry in entries(PATH, text) {
        let entry = entry?;
        match entry.key {
            "hostname" => entry.once(&mut hostname, entry.value.to_owned())?,
            "namespace" => entry.once(&mut namespace, entry.name()?)?,
            "container" => entry.once(&mut name, entry.name()?)?,
            "rootfs" => entry.once(&mut rootfs, entry.path()?)?,
            "arg" => args.push(entry.value.to_owned()),
            "env" if !entry.value.contains('=') => {
                return Err(
                    entry.mistake(format!("`{}` is not of the form NAME=value", entry.value))
                );
            }
            "env" => env.push(entry.value.to_owned()),
            "timeout" => entry.once(&mut timeout, entry.number("a number of seconds")?)?,
            _ => return Err(entry.unknown()),
        }
    }

    let missing = |key: &str| Mistake::of_file(PATH, format!("`{key}` is missing"));
    let container = match (name, rootfs) {
        (Some(_), _) if args.is_empty() => return Err(missing("arg")),
        (Some(name), Some(rootfs)) => Some(Container { name, rootfs, args, env }),
        (Some(_), None) => return Err(missing("rootfs")),
        (None, None) if args.is_empty() && env.is_empty() => None,
        (None, _) => return Err(missing("container")),
    };
    Ok(Config {
        hostname: hostname.unwrap_or_else(|| "vsbuild".to_owned()),
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
        container,
        timeout: Duration::from_secs(timeout.unwrap_or(300)),
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
        let text = "# what to run\n\nhostname h\nnamespace n\ncontainer hello\nrootfs /srv/r\narg /bin/echo\n\
                    arg  two  words, \"as\" they stand \nenv A=b=c\ntimeout 7\n";
        assert_eq!(
            parse(text),
            Ok(Config {
                hostname: "h".into(),
                namespace: "n".into(),
                container: Some(Container {
                    name: "hello".into(),
                    rootfs: "/srv/r".into(),
                    args: vec!["/bin/echo".into(), " two  words, \"as\" they stand ".into()],
                    env: vec!["A=b=c".into()],
                }),
                timeout: Duration::from_secs(7),
            })
        );
    }

    #[test]
    fn an_empty_file_is_a_guest_that_only_has_functions() {
        let config = parse("").expect("nothing is required");
        assert_eq!((&*config.hostname, &*config.namespace), ("vsbuild", "default"));
        assert_eq!((config.container, config.timeout.as_secs()), (None, 300));
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
        assert_eq!(missing("env A=b\n"), format!("{PATH}: `container` is missing"));
        assert_eq!(missing("container c\narg a\n"), format!("{PATH}: `rootfs` is missing"));
        assert_eq!(missing("container c\nrootfs /r\n"), format!("{PATH}: `arg` is missing"));
    }
}
