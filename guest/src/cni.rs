//! Gives a container its network, as the Container Network Interface has it: plugins are programs, run one after the other.
//!
//! Only `ADD` is ever asked for: when a container ends, its network namespace ends with it, and when the guest ends, so does
//! the rest. Specification: CNI 1.0.0, sections 1 (the list), 2 (what a plugin is told) and 5 (results).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::json::Json;

/// Where the list of plugins lies in the guest.
pub const LIST: &str = "/etc/cni/net.d/vsbuild.conflist";
/// Where the plugins are: Debian's place for them.
pub const PLUGINS: &str = "/usr/lib/cni";
/// What the container's interface is called inside.
const INTERFACE: &str = "eth0";

/// A container that is to be on the network.
pub struct Attachment<'a> {
    /// Its name in containerd.
    pub container: &'a str,
    /// A process in its network namespace.
    pub pid: i32,
    /// The port at which it listens. It is published on all addresses of the guest under the same number.
    pub port: u16,
}

/// One run of a plugin: the program, its environment and its standard input.
pub struct Call {
    /// Path of the program.
    pub program: String,
    /// Its environment, beside what every program of the guest gets.
    pub environment: [(&'static str, String); 5],
    /// What it is to read.
    pub input: String,
}

/// Runs the plugins of `list` in order, each with the result of the one before; gives the container's IPv4 address.
///
/// `run` runs one plugin and gives its standard output, or says why there is none.
pub fn attach(
    list: &str,
    attachment: &Attachment,
    mut run: impl FnMut(&Call) -> Result<Vec<u8>, String>,
) -> Result<Ipv4Addr, String> {
    let list = Json::read(list).map_err(|problem| format!("{LIST}: {problem}"))?;
    let setting = |key: &str| {
        let value = list.get(key).filter(|value| value.text().is_some());
        value.ok_or_else(|| format!("{LIST}: `{key}` is missing"))
    };
    let (version, name) = (setting("cniVersion")?, setting("name")?);
    let plugins = list.get("plugins").map(Json::list).unwrap_or_default();

    let mut result: Option<String> = None;
    for plugin in plugins {
        let kind = plugin.get("type").and_then(Json::text);
        let kind = kind.filter(|kind| !kind.contains('/') && *kind != "..");
        let kind = kind.ok_or_else(|| format!("{LIST}: a plugin has no `type`"))?;
        let input = input(plugin, version, name, attachment, result.as_deref());
        let call = Call {
            program: format!("{PLUGINS}/{kind}"),
            environment: environment(attachment),
            input,
        };
        let output = run(&call)?;
        let output = String::from_utf8(output)
            .map_err(|_| format!("CNI plugin {kind}: its result is not UTF-8"))?;
        Json::read(&output).map_err(|problem| format!("CNI plugin {kind}: {problem}"))?;
        result = Some(output);
    }
    let result = result.ok_or_else(|| format!("{LIST}: there are no plugins"))?;
    address(&result).ok_or_else(|| format!("the CNI plugins gave no IPv4 address: {result}"))
}

fn environment(attachment: &Attachment) -> [(&'static str, String); 5] {
    [
        ("CNI_COMMAND", "ADD".to_owned()),
        ("CNI_CONTAINERID", attachment.container.to_owned()),
        ("CNI_NETNS", format!("/proc/{}/ns/net", attachment.pid)),
        ("CNI_IFNAME", INTERFACE.to_owned()),
        ("CNI_PATH", PLUGINS.to_owned()),
    ]
}

/// The plugin's own object of the list, with what the runtime adds to it.
fn input(
    plugin: &Json,
    version: &Json,
    name: &Json,
    attachment: &Attachment,
    previous: Option<&str>,
) -> String {
    let mut input = format!(r#"{{"cniVersion":{},"name":{}"#, version.raw, name.raw);
    let publishes = plugin.get("capabilities").and_then(|all| all.get("portMappings"));
    if publishes.is_some_and(|capability| capability.raw == "true") {
        let port = attachment.port;
        let _ = write!(
            input,
            r#","runtimeConfig":{{"portMappings":[{{"hostPort":{port},"containerPort":{port},"protocol":"tcp"}}]}}"#
        );
    }
    if let Some(previous) = previous {
        let _ = write!(input, r#","prevResult":{}"#, previous.trim());
    }
    // `type` at least is there, so something always follows the brace.
    input + "," + plugin.raw[1..].trim_start()
}

/// The first IPv4 address of a result, without the length of its prefix.
fn address(result: &str) -> Option<Ipv4Addr> {
    let result = Json::read(result).ok()?;
    let addresses = result.get("ips")?.list().iter();
    let mut addresses = addresses.filter_map(|ip| ip.get("address")?.text()?.split('/').next());
    addresses.find_map(|address| address.parse().ok())
}

/// What a plugin that failed says on its standard output: code and message of its error object (section 5 of the
/// specification), or whatever else it wrote.
pub fn complaint(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let error = Json::read(&text).ok();
    let field = |key| error.as_ref()?.get(key)?.text().map(str::to_owned);
    match (field("msg"), field("details")) {
        (Some(message), Some(details)) => format!("{message}: {details}"),
        (Some(message), None) => message,
        _ => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{ "cniVersion": "1.0.0", "name": "net", "plugins": [
        { "type": "bridge", "ipam": {"type": "host-local"} },
        {"type":"portmap","capabilities":{"portMappings":true}} ] }"#;
    const RESULT: &str =
        r#"{"cniVersion":"1.0.0","ips":[{"address":"fd00::2/64"},{"address":"10.88.0.2/24"}]}"#;
    const CONTAINER: Attachment = Attachment { container: "f", pid: 42, port: 50000 };

    #[test]
    fn each_plugin_gets_its_settings_and_the_result_before() {
        let mut calls = Vec::new();
        let address = attach(TWO, &CONTAINER, |call| {
            calls.push((call.program.clone(), call.input.clone()));
            Ok(format!("{RESULT}\n").into_bytes())
        });
        assert_eq!(address, Ok(Ipv4Addr::new(10, 88, 0, 2)));
        let expected = [
            (
                "/usr/lib/cni/bridge".to_owned(),
                r#"{"cniVersion":"1.0.0","name":"net","type": "bridge", "ipam": {"type": "host-local"} }"#
                    .to_owned(),
            ),
            (
                "/usr/lib/cni/portmap".to_owned(),
                format!(
                    "{}{RESULT}{}",
                    r#"{"cniVersion":"1.0.0","name":"net","runtimeConfig":{"portMappings":[{"hostPort":50000,"containerPort":50000,"protocol":"tcp"}]},"prevResult":"#,
                    r#","type":"portmap","capabilities":{"portMappings":true}}"#
                ),
            ),
        ];
        assert_eq!(calls, expected);
        for (_, input) in calls {
            Json::read(&input).expect("what a plugin reads is JSON");
        }
    }

    #[test]
    fn a_plugin_learns_of_the_container_from_its_environment() {
        let [command, id, namespace, interface, _] =
            environment(&CONTAINER).map(|(_, value)| value);
        assert_eq!([command, id, interface], ["ADD", "f", "eth0"]);
        assert_eq!(namespace, "/proc/42/ns/net");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let attach = |list, output: &'static str| {
            attach(list, &CONTAINER, |_| Ok(output.into())).expect_err(list)
        };
        let place = "/etc/cni/net.d/vsbuild.conflist: ";
        assert_eq!(attach("{}", ""), format!("{place}`cniVersion` is missing"));
        let none = r#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#;
        assert_eq!(attach(none, ""), format!("{place}there are no plugins"));
        let path = r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../x"}]}"#;
        assert_eq!(attach(path, ""), format!("{place}a plugin has no `type`"));
        assert_eq!(attach(TWO, "}"), "CNI plugin bridge: JSON, byte 0: this is no value");
        assert_eq!(attach(TWO, "{}"), "the CNI plugins gave no IPv4 address: {}");
    }

    #[test]
    fn a_plugin_that_fails_is_quoted() {
        let error = br#"{"cniVersion":"1.0.0","code":999,"msg":"no bridge","details":"ENOENT"}"#;
        assert_eq!(complaint(error), "no bridge: ENOENT");
        assert_eq!(complaint(br#"{"msg":"short"}"#), "short");
        assert_eq!(complaint(b"panic: x\n"), "panic: x");
    }
}
