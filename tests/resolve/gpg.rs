use std::{path::PathBuf, process::Command};

use crate::{run, skip};

/// A GnuPG of our own, with its own keys.
pub(crate) struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    pub(crate) fn new() -> Option<Self> {
        if run("gpg", &["--version"]).is_none() || run("gpgv", &["--version"]).is_none() {
            skip("this host has no gpg and gpgv");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(home.path(), private).unwrap();
        Some(Self { home })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs gpg as if it were `time`, `20200101T000000`, or now.
    pub(crate) fn gpg(&self, time: Option<&str>, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.env("LC_ALL", "C").arg("--homedir").arg(self.home.path());
        command.args(["--batch", "--yes", "--quiet", "--pinentry-mode=loopback", "--passphrase="]);
        if let Some(time) = time {
            command.arg("--faked-system-time").arg(format!("{time}!"));
        }
        let output = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg {arguments:?}: {said}");
        output.stdout
    }

    pub(crate) fn key(&self, time: Option<&str>, name: &str, usage: &str, expires: &str) {
        self.gpg(time, &["--quick-generate-key", name, "ed25519", usage, expires]);
    }

    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let listed = self.gpg(None, &["--list-keys", "--with-colons", name]);
        let listed = String::from_utf8(listed).unwrap();
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    pub(crate) fn export(&self, names: &[&str]) -> Vec<u8> {
        self.gpg(None, &[&["--export"], names].concat())
    }

    pub(crate) fn sign(
        &self,
        time: Option<&str>,
        name: &str,
        text: &str,
        options: &[&str],
    ) -> Vec<u8> {
        let file = self.path("text");
        std::fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        let user = ["--local-user", name, "--output", "-", "--clearsign", &file];
        self.gpg(time, &[options, &user].concat())
    }

    /// Whether gpgv finds a good signature, as apt reads its answer.
    pub(crate) fn gpgv(&self, ring: &[u8], document: &[u8]) -> bool {
        let (keyring, file) = (self.path("ring.gpg"), self.path("document"));
        std::fs::write(&keyring, ring).unwrap();
        std::fs::write(&file, document).unwrap();
        let output = Command::new("gpgv")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--status-fd", "1", "--keyring"])
            .arg(&keyring)
            .arg(&file)
            .output()
            .unwrap();
        let status = String::from_utf8_lossy(&output.stdout);
        let said =
            |word: &str| status.lines().any(|line| line.starts_with(&format!("[GNUPG:] {word} ")));
        said("GOODSIG") && said("VALIDSIG")
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}
