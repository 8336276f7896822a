//! The few files in `/etc` without which a program asks the network or does not know its own user.

use std::io;

use super::{
    mounts::Root,
    spec::{BUILDER, HOSTNAME},
};
use crate::path::GuestPath;

/// An address that is reserved for examples: to ask it for a name is an attempt to use the network, and counted.
const NAME_SERVER: &str = "192.0.2.1";

/// Writes them into the overlay. Users and groups that the root has stay; the builder is added.
pub(super) fn furnish(root: &Root, home: &GuestPath) -> io::Result<()> {
    let path = |name: &str| GuestPath::new(format!("etc/{name}")).map_err(io::Error::other);
    let hosts = format!("127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n");
    root.replace(&path("hosts")?, &hosts)?;
    root.replace(&path("resolv.conf")?, &format!("nameserver {NAME_SERVER}\n"))?;
    if root.read(&path("nsswitch.conf")?)?.is_none() {
        root.replace(&path("nsswitch.conf")?, "passwd: files\ngroup: files\nhosts: files dns\n")?;
    }
    let users = root.read(&path("passwd")?)?;
    let builder = format!("builder:x:{BUILDER}:{BUILDER}:builder:{home}:/bin/sh");
    if let Some(users) = with_builder(users, "root:x:0:0:root:/:/bin/sh", &builder) {
        root.replace(&path("passwd")?, &users)?;
    }
    let groups = root.read(&path("group")?)?;
    if let Some(groups) = with_builder(groups, "root:x:0:", &format!("builder:x:{BUILDER}:")) {
        root.replace(&path("group")?, &groups)?;
    }
    Ok(())
}

/// The file with an entry for the builder's number added; none if it has one. Both files name the number third.
fn with_builder(file: Option<String>, first: &str, builder: &str) -> Option<String> {
    let mut text = file.unwrap_or_else(|| format!("{first}\n"));
    let number = BUILDER.to_string();
    if text.lines().any(|line| line.split(':').nth(2) == Some(&number)) {
        return None;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Some(format!("{text}{builder}\n"))
}

#[cfg(test)]
mod tests {
    use super::with_builder;

    #[test]
    fn the_builder_is_added_once() {
        let added =
            |file: Option<&str>| with_builder(file.map(str::to_owned), "root:x:0:", "b:x:1000:");
        assert_eq!(added(None).as_deref(), Some("root:x:0:\nb:x:1000:\n"));
        assert_eq!(added(Some("a:x:1:")).as_deref(), Some("a:x:1:\nb:x:1000:\n"));
        assert_eq!(added(Some("")).as_deref(), Some("b:x:1000:\n"));
        assert_eq!(added(Some("me:x:1000:\n")), None);
    }
}
