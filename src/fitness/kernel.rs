//! Whether a kernel has what gem5's X86Board needs.

use std::{collections::BTreeMap, io::Read};

use flate2::read::GzDecoder;

use super::lint::{Error, Finding, Level, Subject, read};
use crate::{formats::elf::Elf, path::GuestPath, tree::Tree};

/// What must be built into a kernel: its symbol in Kconfig, a function that has it, and what for.
const NEEDED: &[(&str, &str, &str)] = &[
    ("CONFIG_ATA_PIIX", "piix_init_one", "the board's disk is behind a PIIX4 IDE controller"),
    ("CONFIG_BLK_DEV_SD", "sd_probe", "the disk is /dev/sda"),
    (
        "CONFIG_SERIAL_8250_CONSOLE",
        "univ8250_console_setup",
        "the board's console is a serial port",
    ),
    ("CONFIG_EXT4_FS", "ext4_fill_super", "the root file system is ext4"),
    ("CONFIG_PCI", "pci_scan_bus", "the IDE controller is on the PCI bus"),
    ("CONFIG_BINFMT_ELF", "load_elf_binary", "programs are ELF files"),
    (
        "CONFIG_X86_MPPARSE",
        "get_smp_config",
        "the board describes processors and interrupts in an MP table",
    ),
];
/// The most that gem5's IDE disk can address: `getLBABase` in `src/dev/storage/ide_disk.hh` has 28 bits of sectors.
const MOST_DISK: u64 = (1 << 28) * 512;
/// `X86Board` refuses more: above is the hole for I/O (`src/python/gem5/components/boards/x86_board.py`).
const MOST_MEMORY: u64 = 3 << 30;
/// Numbers of processors in an MP table are bytes, and the last two are taken.
const MOST_CORES: u32 = 254;
/// Linux' `COMMAND_LINE_SIZE` on x86, with the zero at its end.
const MOST_CMDLINE: usize = 2047;
/// No configuration of a kernel is nearly as large.
const MOST_CONFIG: u64 = 4 << 20;

/// What kernel, disk, memory, processors and command line have to be.
pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>, Error> {
    let mut findings = machine(subject);
    findings.extend(cmdline(subject));
    let vmlinux = match content(subject.kernel, "vmlinux") {
        Some(digest) => read(subject, &digest)?,
        None => Vec::new(),
    };
    let Ok(Some(elf)) = Elf::parse(&vmlinux) else {
        let what = "the kernel has no vmlinux that is an ELF file for x86-64: gem5 loads that, and no bzImage";
        let help = "let the kernel's recipe put vmlinux into its output";
        findings.push(Finding::new(Level::Error, "kernel-elf", what, help));
        return Ok(findings);
    };
    let config = match content(subject.kernel, "config") {
        Some(digest) => Some(read(subject, &digest)?),
        None => embedded(&vmlinux),
    };
    match config {
        Some(config) => findings.extend(configured(&config, subject.cores)),
        None => findings.extend(by_symbols(&elf)),
    }
    Ok(findings)
}

fn content(tree: &Tree, name: &str) -> Option<crate::digest::Digest> {
    Some(tree.content(&GuestPath::new(name).ok()?)?.digest)
}

/// The configuration that `CONFIG_IKCONFIG` puts into a kernel, compressed (`kernel/configs.c`).
fn embedded(vmlinux: &[u8]) -> Option<Vec<u8>> {
    const START: &[u8] = b"IKCFG_ST";
    let at = vmlinux.windows(START.len()).position(|bytes| bytes == START)?;
    let mut config = Vec::new();
    let packed = GzDecoder::new(vmlinux.get(at + START.len()..)?);
    packed.take(MOST_CONFIG).read_to_end(&mut config).ok()?;
    Some(config)
}

fn configured(config: &[u8], cores: u32) -> Vec<Finding> {
    let text = String::from_utf8_lossy(config);
    let set: BTreeMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    for (symbol, _, why) in NEEDED {
        match set.get(symbol) {
            Some(&"y") => (),
            Some(&"m") => missing
                .push(format!("{symbol}=m: {why}, and there is no initrd to load modules from")),
            _ => missing.push(format!("{symbol} is not set: {why}")),
        }
    }
    if !missing.is_empty() {
        findings.push(lacks(missing));
    }
    let modules = text.lines().filter(|line| line.ends_with("=m")).count();
    if modules > 0 {
        let what =
            format!("the kernel has {modules} parts as modules, which are not loaded at boot");
        let help = "set what the guest needs to y";
        findings.push(Finding::new(Level::Note, "kernel-modules", what, help));
    }
    let most = match set.get("CONFIG_NR_CPUS").and_then(|number| number.parse::<u32>().ok()) {
        Some(most) if set.contains_key("CONFIG_SMP") => most,
        _ => 1,
    };
    if cores > most {
        let what =
            format!("the image runs on {cores} cores, and its kernel is made for {most} at most");
        findings.push(Finding::new(
            Level::Error,
            "cores",
            what,
            "set CONFIG_SMP and CONFIG_NR_CPUS, or run on fewer",
        ));
    }
    findings
}

/// What can be seen without a configuration: functions that a driver has.
fn by_symbols(elf: &Elf<'_>) -> Vec<Finding> {
    if elf.functions.iter().all(|function| function.name.is_empty()) {
        let what = "the kernel has neither configuration nor symbols: whether it has the board's drivers is not known";
        let help = "let the kernel's recipe put `config` into its output";
        return vec![Finding::new(Level::Warning, "kernel-unknown", what, help)];
    }
    let missing = NEEDED.iter().filter(|(_, function, _)| elf.named(function.as_bytes()).is_none());
    let missing: Vec<String> =
        missing.map(|(symbol, function, why)| format!("{symbol} (no {function}): {why}")).collect();
    if missing.is_empty() { Vec::new() } else { vec![lacks(missing)] }
}

fn lacks(missing: Vec<String>) -> Finding {
    let what = "the kernel lacks what gem5's board needs to boot";
    let help = "set it to y in a fragment of the kernel's configuration";
    Finding::new(Level::Error, "kernel-driver", what, help).at(missing)
}

fn machine(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    if subject.disk > MOST_DISK {
        let what = format!(
            "the disk has {}, and gem5's IDE disk cannot address more than 128 GiB",
            gib(subject.disk)
        );
        findings.push(Finding::new(
            Level::Error,
            "disk-size",
            what,
            "make disk.size or disk.free smaller",
        ));
    }
    if subject.memory > MOST_MEMORY {
        let what = format!(
            "a run has {} of memory, and gem5's X86Board takes 3 GiB at most",
            gib(subject.memory)
        );
        findings.push(Finding::new(Level::Error, "memory", what, "make run.memory smaller"));
    }
    if subject.cores == 0 || subject.cores > MOST_CORES {
        let what =
            format!("a run has {} cores; gem5's X86Board has 1 to {MOST_CORES}", subject.cores);
        findings.push(Finding::new(Level::Error, "cores", what, "change run.cores"));
    }
    findings
}

fn cmdline(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let values = |name: &str| -> Vec<&str> {
        let words =
            subject.cmdline.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        words.filter(|(word, _)| *word == name).map(|(_, value)| value).collect()
    };
    if !values("console").iter().any(|console| console.split(',').next() == Some("ttyS0")) {
        let what = "the kernel's command line has no console=ttyS0: gem5 would show nothing, and no run could be judged";
        findings.push(Finding::new(Level::Error, "console", what, "add console=ttyS0 to cmdline"));
    }
    let roots = values("root");
    // The last one counts.
    let root = roots.last().copied().unwrap_or_default();
    if root != subject.root_device || !root.starts_with("/dev/sda") {
        let what = format!(
            "the kernel would look for its root on `{root}`; in gem5 the disk is /dev/sda, its root {}",
            subject.root_device
        );
        findings.push(Finding::new(
            Level::Error,
            "root",
            what,
            "leave root= out of cmdline: it is added",
        ));
    } else if roots.len() > 1 {
        let what = format!(
            "the kernel's command line has root= {} times; the last one counts: {root}",
            roots.len()
        );
        findings.push(Finding::new(
            Level::Warning,
            "root",
            what,
            "leave root= out of cmdline: it is added",
        ));
    }
    if subject.cmdline.len() > MOST_CMDLINE {
        let what = format!(
            "the kernel's command line has {} characters, and Linux takes {MOST_CMDLINE}",
            subject.cmdline.len()
        );
        findings.push(Finding::new(Level::Error, "cmdline-length", what, "make cmdline shorter"));
    }
    findings
}
