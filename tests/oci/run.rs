//! Containers as runc starts them.

use std::process::Command;

use fs_err as fs;
use vsbuild::formats::oci::{
    Config,
    runtime::{Accounts, spec},
};

use crate::bench::{Bench, run};

#[test]
fn runc_starts_a_container_from_our_specification() {
    let bench = Bench::new();
    let bundle = bench.path("bundle");
    fs::create_dir_all(bundle.join("rootfs/bin")).unwrap();
    fs::create_dir_all(bundle.join("rootfs/srv")).unwrap();
    run("cp", &[&"/bin/busybox", &bundle.join("rootfs/bin/busybox")]);
    let config = Config {
        user: "web:log".to_owned(),
        env: vec!["WORD=hello".to_owned()],
        entrypoint: ["/bin/busybox", "sh", "-c"].map(str::to_owned).into(),
        cmd: vec![
            "echo $WORD; pwd; /bin/busybox id -u; /bin/busybox id -G; /bin/busybox cat /etc/hosts"
                .to_owned(),
        ],
        workdir: "/srv".to_owned(),
        ..Config::default()
    };
    let accounts =
        Accounts { passwd: Some("web:x:33:34:::\n"), group: Some("log:x:4:\nextra:x:50:web\n") };
    let name = format!("vsbuild-test-{}", std::process::id());
    let bytes = spec(&name, &config, &accounts).unwrap();
    // The guest's own place is not for a test to write in.
    let hosts = bench.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let text = text.replace("/run/vsbuild/hosts", hosts.to_str().unwrap());
    fs::write(bundle.join("config.json"), text).unwrap();
    let output = Command::new("runc")
        .arg("--root")
        .arg(bench.path("state"))
        .args(["run", "--bundle"])
        .arg(&bundle)
        .arg(&name)
        .output();
    let output = output.expect("runc is not installed; see ci/install");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "hello\n/srv\n33\n4 50\n127.0.0.1 localhost\n");
}
