//! The OCI runtime specification of a container whose root file system is a directory of the image.
//!
//! Functions bring their specification with them; this one is for the container of `guest.conf`, which has nothing but a
//! directory, a program and its environment.

use crate::config::Container;
use crate::console::quoted;

/// What every such container has: root without dangerous capabilities, namespaces and a network of its own, the usual
/// virtual file systems.
const REST: &str = r#""mounts":[
{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec","nodev"]},
{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},
{"destination":"/dev/pts","type":"devpts","source":"devpts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620","gid=5"]},
{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},
{"destination":"/sys","type":"sysfs","source":"sysfs","options":["nosuid","noexec","nodev","ro"]},
{"destination":"/run","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]}
],"#;

/// Capabilities of root in a container, as containerd and Docker have them.
const CAPABILITIES: &str = r#"["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FSETID","CAP_FOWNER","CAP_MKNOD","CAP_NET_RAW","CAP_SETGID","CAP_SETUID","CAP_SETFCAP","CAP_SETPCAP","CAP_NET_BIND_SERVICE","CAP_SYS_CHROOT","CAP_KILL","CAP_AUDIT_WRITE"]"#;

/// Where programs are looked for, unless the container's own environment says otherwise.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Its specification as JSON. `go` is a setting that every program gets; the container's own come later and win.
pub fn of_directory(container: &Container, go: &str) -> String {
    let list = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| quoted(text.as_bytes())).collect::<Vec<_>>().join(",")
    };
    let args = list(&mut container.args.iter().map(String::as_str));
    let env = list(&mut [PATH, go].into_iter().chain(container.env.iter().map(String::as_str)));
    let rootfs = quoted(container.rootfs.as_bytes());
    let name = &container.name;
    format!(
        r#"{{"ociVersion":"1.0.2",
"process":{{"user":{{"uid":0,"gid":0}},"args":[{args}],"env":[{env}],"cwd":"/","noNewPrivileges":true,
"capabilities":{{"bounding":{CAPABILITIES},"effective":{CAPABILITIES},"permitted":{CAPABILITIES}}}}},
"root":{{"path":{rootfs}}},
{REST}
"linux":{{"cgroupsPath":"/vsbuild/{name}",
"namespaces":[{{"type":"pid"}},{{"type":"ipc"}},{{"type":"uts"}},{{"type":"mount"}},{{"type":"network"}}]}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    #[test]
    fn what_a_container_is_told() {
        let container = Container {
            name: "hello".into(),
            rootfs: "/srv/root \"fs\"".into(),
            args: vec!["/bin/echo".into(), "a \\ b".into()],
            env: vec!["A=b".into()],
        };
        let text = of_directory(&container, "GODEBUG=x=1");
        let spec = Json::read(&text).expect("JSON");
        let texts = |json: &Json| -> Vec<String> {
            json.list().iter().filter_map(Json::text).map(str::to_owned).collect()
        };
        let process = spec.get("process").expect("a process");
        assert_eq!(texts(process.get("args").expect("arguments")), ["/bin/echo", "a \\ b"]);
        assert_eq!(texts(process.get("env").expect("environment")), [PATH, "GODEBUG=x=1", "A=b"]);
        let root = spec.get("root").and_then(|root| root.get("path")?.text());
        assert_eq!(root, Some("/srv/root \"fs\""));
        let group = spec.get("linux").and_then(|linux| linux.get("cgroupsPath")?.text());
        assert_eq!(group, Some("/vsbuild/hello"));
    }
}
