//! Which of gem5's faults are in what a run executes: in a function's own programs, in what runs it, and in the kernel.

use rayon::prelude::*;

use super::{
    Fault, Harm, Scanner, Wrong,
    lint::{Error, Subject},
    programs::{self, Scanned},
    whose::Owners,
};
use crate::{
    path::GuestPath,
    run::{FaultPlace, KnownFault},
};

/// Programs that run beside every function, and what they are linked with.
const BESIDE: &[&str] = &["containerd", "runc", "crun", "libc.so", "libseccomp.so", "ld-linux"];

/// The faults of the table that are in programs and libraries of a container and of those that it needs, or of all containers, in containerd and what it starts, in init and
/// in the kernel, the worst first.
pub fn touched(subject: &Subject<'_>, container: Option<&str>) -> Result<Vec<KnownFault>, Error> {
    let owners = Owners::read(subject)?;
    let started = container.map(|name| owners.with_needs(name));
    let scanner = Scanner::new(subject.faults);
    let init = super::guest::init(subject).map(|(path, ..)| path);
    let wanted = |path: &GuestPath| {
        let place = owners.place(path);
        if place.containers.is_empty() {
            let name = place.path.rsplit('/').next().unwrap_or_default();
            let beside = BESIDE.iter().any(|known| name.starts_with(known));
            return beside || init.as_ref() == Some(path);
        }
        started.as_ref().is_none_or(|started| {
            place.containers.iter().any(|owner| started.contains(owner.as_str()))
        })
    };
    let files: Vec<_> = programs::candidates(subject.rootfs)
        .into_iter()
        .filter_map(|(digest, paths)| {
            let paths: Vec<_> = paths.into_iter().filter(|path| wanted(path)).collect();
            (!paths.is_empty()).then_some((digest, paths))
        })
        .collect();
    let scanned = files
        .par_iter()
        .map(|(digest, paths)| programs::scan(&scanner, subject.blobs, digest, paths));
    let scanned: Vec<Scanned> =
        scanned.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let kernel = kernel(subject, &scanner)?;
    let of = |(number, fault): (usize, &Fault)| {
        let mut places: Vec<FaultPlace> =
            scanned.iter().chain(&kernel).filter_map(|it| it.fault(number, &owners)).collect();
        places.sort_by(|a, b| (&a.containers, &a.path).cmp(&(&b.containers, &b.path)));
        (!places.is_empty()).then(|| known(fault, places))
    };
    let mut faults: Vec<(Harm, KnownFault)> = subject
        .faults
        .faults
        .iter()
        .enumerate()
        .filter_map(|(number, fault)| Some((fault.harm, of((number, fault))?)))
        .collect();
    // The order within a kind of harm is that of the table.
    faults.sort_by_key(|(harm, _)| *harm);
    Ok(faults.into_iter().map(|(_, fault)| fault).collect())
}

fn known(fault: &Fault, places: Vec<FaultPlace>) -> KnownFault {
    KnownFault {
        name: fault.name.clone(),
        gem5: fault.gem5.clone(),
        hardware: fault.hardware.clone(),
        wrong: match fault.wrong {
            Wrong::Always => "always",
            Wrong::Data => "data",
        }
        .to_owned(),
        harm: match fault.harm {
            Harm::Crash => "crash",
            Harm::Values => "values",
            Harm::Flags => "flags",
            Harm::Nan => "nan",
            Harm::Exceptions => "exceptions",
        }
        .to_owned(),
        places,
    }
}

/// The kernel, looked through.
fn kernel(subject: &Subject<'_>, scanner: &Scanner) -> Result<Option<Scanned>, Error> {
    let path = GuestPath::lenient("vmlinux").unwrap_or_default();
    let Some(content) = subject.kernel.content(&path) else { return Ok(None) };
    programs::scan(scanner, subject.blobs, &content.digest, &[path])
}
