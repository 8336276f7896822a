use super::super::BuildError;
use crate::{
    digest::Digest,
    formats::{
        containerd::chain_ids,
        oci::{
            Config, Unpacked,
            runtime::{self, Accounts},
        },
    },
    path::GuestPath,
    plan::Container,
    store::Store,
    tree::{Blobs, Inode, Kind, Node},
};

/// gem5 gets an instruction wrong that Go's collector needs when it runs beside the program. So that a function does the
/// same on every simulator, it stops the program in all of them; other programs do not look at this.
const GO: (&str, &str) = ("GODEBUG", "gcstoptheworld=1");

/// The lines that tell the guest how to run and call a function; the guest program's `config/function.rs` reads them.
pub(super) fn text(name: &str, image: &str, diff_ids: &[Digest], invoke: &[String]) -> String {
    let snapshot = chain_ids(diff_ids.iter().copied()).pop();
    let snapshot = snapshot.map(|chain| format!("snapshot sha256:{chain}\n")).unwrap_or_default();
    let head = format!("image {image}\n{snapshot}spec /etc/vsbuild/functions/{name}.json\n");
    invoke.iter().fold(head, |text, line| text + line + "\n")
}

/// How the container is run.
pub(super) fn spec(
    name: &str,
    container: &Container<Digest>,
    config: &Config,
    image: &Unpacked,
    store: &Store,
) -> Result<Vec<u8>, BuildError> {
    let mut config = config.clone();
    if let Some(entrypoint) = &container.entrypoint {
        config.entrypoint = entrypoint.clone();
        config.cmd.clear();
    }
    if let Some(command) = &container.command {
        config.cmd = command.clone();
    }
    let named = |variable: &str, name: &str| variable.split('=').next() == Some(name);
    if !config.env.iter().any(|variable| named(variable, GO.0)) {
        config.env.push(format!("{}={}", GO.0, GO.1));
    }
    for (name, value) in &container.env {
        config.env.retain(|variable| !named(variable, name));
        config.env.push(format!("{name}={value}"));
    }
    let passwd = file("etc/passwd", image, store)?;
    let group = file("etc/group", image, store)?;
    let accounts = Accounts { passwd: passwd.as_deref(), group: group.as_deref() };
    Ok(runtime::spec(name, &config, &accounts)?)
}

/// A file of an image as text, by the highest layer that has something to say about it.
fn file(path: &str, image: &Unpacked, store: &Store) -> Result<Option<String>, BuildError> {
    let path = GuestPath::new(path)?;
    let found = image.layers.iter().rev().find_map(|layer| layer.tree.get(&path));
    let Some(Node::Inode(Inode { kind: Kind::File(content), .. })) = found else {
        return Ok(None);
    };
    let bytes = store.read(&content.digest)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
