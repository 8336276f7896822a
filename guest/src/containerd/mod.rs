//! containerd, through its gRPC API: what it takes to run a container of an image that is in its store.
//!
//! Its own client, `ctr`, would do the same, but is a Go program of 25 MB to be loaded and initialised by a simulated processor.
//! Messages: `api/services/{snapshots,containers,tasks}/v1/*.proto` of containerd 1.6; those of 1.7 are the same.

mod spec;

/// The specification of a container whose root file system is a directory.
pub use spec::of_directory as spec_of_directory;

use std::time::Duration;

use crate::grpc::{self, Channel};
use crate::protobuf::{fields, Message, Value};

/// Where containerd listens.
pub const SOCKET: &str = "/run/containerd/containerd.sock";

/// The snapshotter that the image's containers are unpacked for.
const SNAPSHOTTER: &str = "overlayfs";
/// The shim that runs a container with an OCI runtime.
const SHIM: &str = "io.containerd.runc.v2";
/// How containerd marks this shim's options (its `typeurl` package).
const OPTIONS_TYPE: &str = "containerd.runc.v1.Options";
/// The OCI runtime that the shim starts for every step of a container. It is written in C: runc, in Go, would
/// execute several times as many instructions for the same.
const RUNTIME: &str = "crun";
/// How containerd marks JSON of the OCI runtime specification (its `typeurl` package).
const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// The header that names the namespace of a request.
const NAMESPACE: &str = "containerd-namespace";
/// A snapshot with this label is not garbage, whoever refers to it.
const KEEP: &str = "containerd.io/gc.root";

/// A connection to containerd, for one namespace of it.
pub struct Client {
    channel: Channel,
    namespace: String,
    /// How long a request may take.
    limit: Duration,
}

/// What containerd makes a container of.
pub struct Make<'a> {
    /// Its name.
    pub name: &'a str,
    /// The image's name, if it has one.
    pub image: &'a str,
    /// Whether its root file system is a snapshot of its name; the specification says it otherwise.
    pub snapshot: bool,
    /// The OCI runtime specification.
    pub spec: &'a [u8],
}

/// The mounts of a snapshot, as containerd gave them.
#[derive(Default)]
pub struct Mounts(Vec<Vec<u8>>);

/// Where a container's output goes: paths of named pipes, or for both the same `file:` URL.
pub struct Streams<'a> {
    /// Of its standard output.
    pub stdout: &'a str,
    /// Of its standard error.
    pub stderr: &'a str,
}

/// Why a request failed.
#[derive(Debug)]
pub struct Failed {
    /// The request: service and method.
    pub method: &'static str,
    /// What the channel or containerd says about it.
    pub error: grpc::Error,
}

impl Client {
    /// Connects. Each request may take as long as `limit`.
    pub fn connect(namespace: &str, limit: Duration) -> Result<Client, Failed> {
        let failed = |error| Failed { method: "connecting", error };
        let channel = Channel::unix(SOCKET).map_err(failed)?;
        Ok(Client { channel, namespace: namespace.to_owned(), limit })
    }

    /// Makes a writable snapshot `name` on top of `parent`.
    pub fn prepare_snapshot(&mut self, name: &str, parent: &str) -> Result<Mounts, Failed> {
        let reply = self.call("snapshots.v1.Snapshots/Prepare", prepare(name, parent))?;
        Ok(Mounts(messages(&reply, 1)))
    }

    /// Makes a container: what is known of it before anything runs.
    pub fn create_container(&mut self, make: &Make) -> Result<(), Failed> {
        self.call("containers.v1.Containers/Create", container(make)).map(drop)
    }

    /// Makes the process of a container, which waits to be started; gives its id.
    pub fn create_task(
        &mut self,
        name: &str,
        rootfs: &Mounts,
        streams: &Streams,
    ) -> Result<i32, Failed> {
        let reply = self.call("tasks.v1.Tasks/Create", task(name, rootfs, streams))?;
        Ok(number(&reply, 2) as i32)
    }

    /// Lets the process of a container run.
    pub fn start_task(&mut self, name: &str) -> Result<(), Failed> {
        self.call("tasks.v1.Tasks/Start", Message::default().text(1, name)).map(drop)
    }

    /// Waits for the end of a container; gives its exit code.
    pub fn wait_task(&mut self, name: &str) -> Result<u8, Failed> {
        let reply = self.call("tasks.v1.Tasks/Wait", Message::default().text(1, name))?;
        Ok(number(&reply, 1) as u8)
    }

    /// `method` is that of a service of containerd.
    fn call(&mut self, method: &'static str, request: Message) -> Result<Vec<u8>, Failed> {
        let path = format!("/containerd.services.{method}");
        let metadata = [(NAMESPACE, self.namespace.as_str())];
        let reply = self.channel.call(&path, &metadata, &request.encoded(), self.limit);
        reply.map_err(|error| Failed { method, error })
    }
}

/// `PrepareSnapshotRequest`.
fn prepare(name: &str, parent: &str) -> Message {
    let label = Message::default().text(1, KEEP).text(2, "1");
    Message::default().text(1, SNAPSHOTTER).text(2, name).text(3, parent).message(4, label)
}

/// `CreateContainerRequest`; the shim's options are those of `api/types/runc/options/oci.proto`.
fn container(make: &Make) -> Message {
    let options = Message::default().text(6, RUNTIME);
    let options = Message::default().text(1, OPTIONS_TYPE).bytes(2, &options.encoded());
    let runtime = Message::default().text(1, SHIM).message(2, options);
    let spec = Message::default().text(1, SPEC_TYPE).bytes(2, make.spec);
    let mut container = Message::default().text(1, make.name).text(3, make.image);
    container = container.message(4, runtime).message(5, spec);
    if make.snapshot {
        container = container.text(6, SNAPSHOTTER).text(7, make.name);
    }
    Message::default().message(1, container)
}

/// `CreateTaskRequest`.
fn task(name: &str, rootfs: &Mounts, streams: &Streams) -> Message {
    let request = Message::default().text(1, name);
    let request = rootfs.0.iter().fold(request, |request, mount| request.bytes(3, mount));
    request.text(5, streams.stdout).text(6, streams.stderr)
}

/// The messages in a repeated field.
fn messages(bytes: &[u8], field: u32) -> Vec<Vec<u8>> {
    let fields = fields(bytes).unwrap_or_default().into_iter();
    let ours = fields.filter(|(number, _)| *number == field);
    let bytes = ours.filter_map(|(_, value)| match value {
        Value::Bytes(bytes) => Some(bytes.to_vec()),
        Value::Number(_) | Value::Fixed => None,
    });
    bytes.collect()
}

/// The number in a field: zero if it isn't there, as proto3 has it.
fn number(bytes: &[u8], field: u32) -> u64 {
    let fields = fields(bytes).unwrap_or_default().into_iter();
    let mut ours = fields.filter(|(number, _)| *number == field);
    match ours.next() {
        Some((_, Value::Number(number))) => number,
        _ => 0,
    }
}
