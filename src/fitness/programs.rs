//! What the programs and libraries of an image come to, taken together.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use super::{
    Harm, Wrong, guest,
    lint::{Error, Finding, Level, Subject, read},
    scan::{Family, Found, Places, Scanner},
    whose::{Owners, Place},
};
use crate::{
    digest::Digest,
    formats::elf::{self, BadElf},
    path::GuestPath,
    run::FaultPlace,
    tree::{Blobs, Tree},
};

/// One content with all that it is called.
pub(super) struct Scanned {
    paths: Vec<GuestPath>,
    found: Result<Found, BadElf>,
}

impl Scanned {
    pub(super) fn instructions(&self) -> u64 {
        self.found.as_ref().map_or(0, |found| found.instructions)
    }

    /// What it is called in the image.
    pub(super) fn paths(&self) -> &[GuestPath] {
        &self.paths
    }

    /// Where it has a fault of the table.
    pub(super) fn fault(&self, number: usize, owners: &Owners) -> Option<FaultPlace> {
        let places = self.found.as_ref().ok()?.faults.get(&number)?;
        let mut all: Vec<Place> = self.paths.iter().map(|path| owners.place(path)).collect();
        all.sort();
        let path = all.first()?.path.clone();
        let containers: BTreeSet<String> = all.into_iter().flat_map(|it| it.containers).collect();
        Some(FaultPlace {
            containers: containers.into_iter().collect(),
            path,
            instructions: places.count,
            functions: functions(places),
        })
    }

    fn path(&self, owners: &Owners) -> String {
        let mut all: Vec<String> =
            self.paths.iter().map(|path| owners.place(path).text()).collect();
        all.dedup();
        match all.as_slice() {
            [path] => path.clone(),
            [path, more @ ..] => format!("{path} (and {} more paths)", more.len()),
            [] => String::new(),
        }
    }
}

/// Larger files are no programs: the limit is far above any, and keeps a wrong image from filling the memory.
const LARGEST: u64 = 1 << 30;
/// No program is smaller than the header of ELF.
const SMALLEST: u64 = 64;
/// Where images of containers have their files in the guest.
const CONTAINERS: &str = "var/lib/containerd";
/// Where the guest has how containers are run.
const SPECS: &str = "etc/vsbuild/functions";
/// Go's collector stops the program with this in `GODEBUG`.
const STOPS: &str = "gcstoptheworld=1";

/// All files that could be programs, each content with its paths.
pub(super) fn candidates(rootfs: &Tree) -> Vec<(Digest, Vec<GuestPath>)> {
    let mut files: BTreeMap<Digest, Vec<GuestPath>> = BTreeMap::new();
    for (path, _) in rootfs.iter() {
        let Some(content) = rootfs.content(path) else { continue };
        if (SMALLEST..=LARGEST).contains(&content.size) {
            files.entry(content.digest).or_default().push(path.clone());
        }
    }
    files.into_iter().collect()
}

/// Looks through one of them; nothing if it is no program.
pub(super) fn scan(
    scanner: &Scanner,
    blobs: &dyn Blobs,
    digest: &Digest,
    paths: &[GuestPath],
) -> Result<Option<Scanned>, Error> {
    let failed = |source| Error { digest: *digest, source };
    let mut bytes = vec![0; elf::MAGIC.len()];
    let mut file = blobs.open(digest).map_err(failed)?;
    file.read_exact(&mut bytes).map_err(failed)?;
    if bytes != elf::MAGIC {
        return Ok(None);
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    let found = scanner.scan(&bytes).transpose();
    Ok(found.map(|found| Scanned { paths: paths.to_vec(), found }))
}

/// What is wrong with them, for this gem5.
pub(super) fn check(subject: &Subject<'_>, scanned: &[Scanned]) -> Result<Vec<Finding>, Error> {
    let good: Vec<(&Scanned, &Found)> =
        scanned.iter().filter_map(|it| Some((it, it.found.as_ref().ok()?))).collect();
    let owners = Owners::read(subject)?;
    let mut findings = levels(&good, &owners);
    findings.extend(lacking(&good, &owners));
    findings.extend(faults(subject, &good, &owners));
    findings.extend(collectors(subject, &good, &owners)?);
    let damaged = scanned.iter().filter_map(|it| Some((it, it.found.as_ref().err()?)));
    let damaged: Vec<String> =
        damaged.map(|(it, why)| format!("{}: {why}", it.path(&owners))).collect();
    if !damaged.is_empty() {
        let what = "files look like programs and cannot be read, so nothing is known of them";
        let help = "if they are no programs, nothing; else look at them with readelf";
        findings.push(Finding::new(Level::Note, "damaged", what, help).at(damaged));
    }
    Ok(findings)
}

/// Files that the loader of glibc refuses.
fn levels(scanned: &[(&Scanned, &Found)], owners: &Owners) -> Vec<Finding> {
    let places: Vec<String> = scanned
        .iter()
        .filter(|(_, found)| found.level > 1)
        .map(|(it, found)| format!("{}: x86-64-v{}", it.path(owners), found.level))
        .collect();
    if places.is_empty() {
        return Vec::new();
    }
    let what = "compiled for more than gem5's CPU has, which they say themselves: the dynamic loader refuses to start them";
    let help = "take builds for the baseline, x86-64-v1 (no -march=x86-64-v2 or above)";
    vec![Finding::new(Level::Error, "isa-needed", what, help).at(places)]
}

/// How a file comes to have instructions that gem5 lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// All its vector code needs them.
    Compiled,
    /// So it looks, but it asks for the CPU first.
    CompiledAndAsks,
    /// Some functions need them, and it never asks.
    Unasked,
    /// It chooses at run time.
    Chosen,
}

/// A compiler that may use AVX writes all vector code with it, none in the encoding of SSE: a file with both was compiled for
/// the baseline and chooses. That needs enough functions to go by, which a library of kernels for one CPU has too, so whether
/// it asks is looked at as well.
fn how(found: &Found) -> Option<Use> {
    const ENOUGH: usize = 10;
    let avx = found.unnamed_vex_functions;
    let compiled = avx >= ENOUGH && avx / 9 >= found.legacy_functions;
    match (found.lacking.keys().any(|family| *family != Family::Ssse3), compiled, found.asks) {
        (false, ..) => None,
        (true, true, false) => Some(Use::Compiled),
        (true, true, true) => Some(Use::CompiledAndAsks),
        (true, false, false) => {
            let unguarded = found
                .lacking
                .iter()
                .any(|(family, places)| *family != Family::Ssse3 && places.unguarded() > 0);
            Some(if unguarded && found.go.is_none() { Use::Unasked } else { Use::Chosen })
        }
        (true, false, true) => Some(Use::Chosen),
    }
}

fn lacking(scanned: &[(&Scanned, &Found)], owners: &Owners) -> Vec<Finding> {
    let mut by_use: BTreeMap<Use, Vec<String>> = BTreeMap::new();
    for (it, found) in scanned {
        let Some(how) = how(found) else { continue };
        let families = found.lacking.iter().filter(|(family, _)| **family != Family::Ssse3);
        let families: Vec<String> = families
            .map(|(family, places)| format!("{} in {}", family.name(), functions(places)))
            .collect();
        by_use.entry(how).or_default().push(format!(
            "{}: {}",
            it.path(owners),
            families.join("; ")
        ));
    }
    let mut findings: Vec<Finding> = by_use
        .into_iter()
        .map(|(how, places)| {
            let (level, check, what, help) = match how {
                Use::Compiled => (
                    Level::Error,
                    "isa-compiled",
                    "compiled for AVX throughout, which gem5's CPU has not, and they do not ask what it has",
                    "take builds for the baseline, x86-64-v1 (no -march=native, no -march=x86-64-v3)",
                ),
                Use::CompiledAndAsks => (
                    Level::Warning,
                    "isa-compiled",
                    "nearly all vector code needs AVX, which gem5's CPU has not; they ask what the CPU has, so it may be a library of variants",
                    "see that a call of it works in gem5 before measuring",
                ),
                Use::Unasked => (
                    Level::Warning,
                    "isa-unasked",
                    "some code needs instructions that gem5's CPU has not, and nothing there asks what the CPU has; tables in code can look alike",
                    "see whether those functions are called, or take builds for the baseline",
                ),
                Use::Chosen => (
                    Level::Note,
                    "isa-chosen",
                    "have code for instructions that gem5's CPU has not, and choose at run time: they take other code in gem5 than on hardware",
                    "nothing to do, but remember it when comparing with hardware",
                ),
            };
            Finding::new(level, check, what, help).at(places)
        })
        .collect();
    let nothing = scanned.iter().filter_map(|(it, found)| {
        Some(format!("{}: {}", it.path(owners), functions(found.lacking.get(&Family::Ssse3)?)))
    });
    let nothing: Vec<String> = nothing.collect();
    if !nothing.is_empty() {
        let what = "have instructions of SSSE3 that do nothing in gem5, while its CPUID offers SSSE3, so that code is chosen: results can be wrong";
        let help = "compare results with QEMU; libraries often have a switch (OPENSSL_ia32cap, GODEBUG=cpu.ssse3=off, GLIBC_TUNABLES)";
        findings.push(Finding::new(Level::Warning, "isa-nothing", what, help).at(nothing));
    }
    findings
}

/// Where instructions are that this gem5 gets wrong.
fn faults(subject: &Subject<'_>, scanned: &[(&Scanned, &Found)], owners: &Owners) -> Vec<Finding> {
    let version = &subject.faults.version;
    let of = |(number, fault): (usize, &super::Fault)| {
        let places = scanned.iter().filter_map(|(it, found)| {
            let places = found.faults.get(&number)?;
            // What Go's collector comes to has a finding of its own.
            let barrier = found.go_barrier && fault.name == "xchg-r8-rax" && places.count <= 2;
            (!barrier).then(|| format!("{}: {}", it.path(owners), functions(places)))
        });
        let places: Vec<String> = places.collect();
        if places.is_empty() {
            return None;
        }
        // What depends on values is often never wrong: compilers take care of most of these themselves.
        let level = match (fault.wrong, fault.harm) {
            (_, Harm::Crash) | (Wrong::Always, Harm::Values) => Level::Warning,
            (Wrong::Data, Harm::Values) if fault.name != "sar-narrow" => Level::Warning,
            (_, Harm::Values | Harm::Flags | Harm::Nan | Harm::Exceptions) => Level::Note,
        };
        let when = match fault.wrong {
            Wrong::Always => "always",
            Wrong::Data => "for some values",
        };
        let what = format!(
            "{}: gem5 {version} {} (a processor: {}), {when}",
            fault.name, fault.gem5, fault.hardware
        );
        let help = "compare what these compute with QEMU; vsbuild conformance says whether your gem5 has this fault";
        Some(Finding::new(level, &format!("fault-{}", fault.name), what, help).at(places))
    };
    subject.faults.faults.iter().enumerate().filter_map(of).collect()
}

/// Go programs whose collector breaks while it runs beside them.
fn collectors(
    subject: &Subject<'_>,
    scanned: &[(&Scanned, &Found)],
    owners: &Owners,
) -> Result<Vec<Finding>, Error> {
    let broken = scanned.iter().filter(|(_, found)| found.go_barrier);
    let contained = GuestPath::lenient(CONTAINERS).unwrap_or_default();
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for (it, found) in broken {
        let place = format!("{}: {}", it.path(owners), found.go.as_deref().unwrap_or("Go"));
        let in_container = it.paths.iter().all(|path| path.is_within(&contained));
        if in_container { &mut inside } else { &mut outside }.push(place);
    }
    let mut findings = Vec::new();
    if !outside.is_empty() {
        let stops = match guest::init(subject) {
            Some((_, _, content)) => contains(&read(subject, &content.digest)?, STOPS.as_bytes()),
            None => false,
        };
        findings.push(collector(stops, "started by init", outside));
    }
    if !inside.is_empty() {
        let unset = unset(subject)?;
        let finding = collector(unset.is_empty(), "in containers", inside);
        findings
            .push(finding.at(unset.into_iter().map(|spec| format!("{spec}: no GODEBUG={STOPS}"))));
    }
    Ok(findings)
}

fn collector(stops: bool, whose: &str, places: Vec<String>) -> Finding {
    let broken = "Go's collector stores wrong pointers in gem5 when it runs beside the program (xchg r8,rax in gcWriteBarrierR8)";
    if stops {
        let what =
            format!("{broken}; Go programs {whose} get GODEBUG={STOPS}, which keeps it from that");
        let help =
            "nothing to do; errata = [\"go-write-barrier-r8\"] would keep Go's usual collector";
        return Finding::new(Level::Note, "go-collector", what, help).at(places);
    }
    let what = format!("{broken}; Go programs {whose} run without GODEBUG={STOPS}");
    let help = "set GODEBUG=gcstoptheworld=1 for them, or errata = [\"go-write-barrier-r8\"] in the recipe that brings them";
    Finding::new(Level::Error, "go-collector", what, help).at(places)
}

/// How containers are run that don't stop Go's collector.
fn unset(subject: &Subject<'_>) -> Result<Vec<String>, Error> {
    let dir = GuestPath::lenient(SPECS).unwrap_or_default();
    let mut unset = Vec::new();
    for (path, _) in subject.rootfs.iter().filter(|(path, _)| path.is_within(&dir)) {
        let Some(content) = subject.rootfs.content(path) else { continue };
        if path.file_name().is_none_or(|name| !name.ends_with(b".json")) {
            continue;
        }
        let spec: serde_json::Value =
            serde_json::from_slice(&read(subject, &content.digest)?).unwrap_or_default();
        let env = spec.pointer("/process/env").and_then(|env| env.as_array());
        let stops = env.into_iter().flatten().filter_map(|it| it.as_str()).any(|variable| {
            variable
                .strip_prefix("GODEBUG=")
                .is_some_and(|value| value.split(',').any(|it| it == STOPS))
        });
        if !stops {
            unset.push(path.to_string());
        }
    }
    Ok(unset)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|it| it == wanted)
}

/// A few functions by name, and how many more there are.
fn functions(places: &Places) -> String {
    const SHOWN: usize = 3;
    let all = places.functions.len();
    let mut named: Vec<&(String, u64)> =
        places.functions.values().filter(|(name, _)| !name.is_empty()).collect();
    // Those with most of it tell most.
    named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let names: Vec<&str> = named.iter().take(SHOWN).map(|(name, _)| name.as_str()).collect();
    match (names.len(), all - names.len()) {
        (0, 1) => "1 function without a name".to_owned(),
        (0, more) => format!("{more} functions without names"),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more functions", names.join(", ")),
    }
}
