use super::*;
use crate::{
    formats::{bolt, elf::tests::file},
    path::GuestPath,
    tree::{BlobSink, Draft, Inode, Kind, MemoryBlobs, Meta, Node, Time, Tree},
};

const CONFIG: &str = "CONFIG_ATA_PIIX=y\nCONFIG_BLK_DEV_SD=y\nCONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_EXT4_FS=y\nCONFIG_PCI=y\n\
    CONFIG_BINFMT_ELF=y\nCONFIG_X86_MPPARSE=y\nCONFIG_SMP=y\nCONFIG_NR_CPUS=4\n";
const CMDLINE: &str = "console=ttyS0 quiet root=/dev/sda rw";

fn faults() -> Faults {
    Faults::of_version("24.0.0.1").unwrap()
}

fn tree(blobs: &MemoryBlobs, files: &[(&str, &[u8])]) -> Tree {
    let meta = |mode| Meta::root_owned(mode, Time::default());
    let mut draft = Draft::default();
    draft.ensure_parents(&GuestPath::new("x").unwrap(), &meta(0o755));
    for (path, bytes) in files {
        let path = GuestPath::new(path).unwrap();
        let kind = Kind::File(blobs.put(&mut &bytes[..]).unwrap());
        draft.ensure_parents(&path, &meta(0o755));
        draft.insert(path, Node::Inode(Inode { meta: meta(0o755), kind }));
    }
    draft.finish().unwrap()
}

/// What is said of an image; each finding by its level and name.
fn said(
    kernel: &[(&str, &[u8])],
    rootfs: &[(&str, &[u8])],
    change: impl FnOnce(&mut Subject<'_>),
) -> Vec<String> {
    let blobs = MemoryBlobs::default();
    let (kernel, rootfs) = (tree(&blobs, kernel), tree(&blobs, rootfs));
    let faults = faults();
    let mut subject = Subject {
        kernel: &kernel,
        rootfs: &rootfs,
        blobs: &blobs,
        cmdline: CMDLINE,
        root_device: "/dev/sda",
        disk: 1 << 30,
        memory: 1 << 30,
        cores: 2,
        faults: &faults,
    };
    change(&mut subject);
    let linted = lint(&subject).unwrap();
    linted.findings.iter().map(|it| format!("{:?} {}", it.level, it.check)).collect()
}

fn program() -> Vec<u8> {
    file(&[0xc3; 16], &[("main", 0)])
}

#[test]
fn a_sound_image_has_no_findings() {
    let vmlinux = program();
    let kernel: [(&str, &[u8]); 2] = [("vmlinux", &vmlinux), ("config", CONFIG.as_bytes())];
    let found = said(&kernel, &[("sbin/init", &program())], |_| ());
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_the_board_cannot_have_is_an_error() {
    let vmlinux = program();
    let modules = CONFIG.replace("PIIX=y", "PIIX=m");
    let kernel: [(&str, &[u8]); 2] = [("vmlinux", &vmlinux), ("config", modules.as_bytes())];
    let found = said(&kernel, &[("etc/motd", b"no init")], |subject| {
        subject.memory = 4 << 30;
        subject.disk = (128 << 30) + 512;
        subject.cores = 5;
        subject.cmdline = "quiet root=/dev/vda rw";
    });
    let errors = ["disk-size", "memory", "console", "root", "kernel-driver", "cores", "init"];
    let errors: Vec<String> = errors.iter().map(|check| format!("Error {check}")).collect();
    assert_eq!(found[..7], errors);
    assert_eq!(found[7..], ["Note kernel-modules"]);
}

#[test]
fn a_kernel_that_is_no_elf_file_is_an_error() {
    let kernel: [(&str, &[u8]); 1] = [("bzImage", b"MZ")];
    let found = said(&kernel, &[("sbin/init", &program())], |_| ());
    assert_eq!(found, ["Error kernel-elf"]);
}

#[test]
fn code_for_avx_that_never_asks_is_an_error_and_variants_are_a_note() {
    // vzeroupper; ret
    let code: Vec<u8> = [0xc5, 0xf8, 0x77, 0xc3].repeat(20);
    let names: Vec<(String, u64)> = (0..20).map(|at| (format!("f{at}"), at * 4)).collect();
    let named: Vec<(&str, u64)> = names.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    let scanner = Scanner::new(&faults());
    let found = scanner.scan(&file(&code, &named)).unwrap().unwrap();
    assert_eq!((found.unnamed_vex_functions, found.legacy_functions, found.asks), (20, 0, false));

    let vmlinux = program();
    let kernel: [(&str, &[u8]); 2] = [("vmlinux", &vmlinux), ("config", CONFIG.as_bytes())];
    let init = program();
    let compiled = file(&code, &named);
    let found = said(&kernel, &[("sbin/init", &init), ("usr/bin/x", &compiled)], |_| ());
    assert_eq!(found, ["Error isa-compiled"]);
    let variant = file(&code[..4], &[("memcpy_avx_unaligned", 0)]);
    let found = said(&kernel, &[("sbin/init", &init), ("usr/bin/x", &variant)], |_| ());
    assert_eq!(found, ["Note isa-chosen"]);
}

#[test]
fn known_faults_are_named_with_the_function_they_are_in() {
    // pshufb xmm0, xmm1; sar al, cl; xchg r8, rax; xchg r9, rax; phaddw xmm0, xmm1; ret
    let code = [
        0x66, 0x0f, 0x38, 0x00, 0xc1, 0xd2, 0xf8, 0x49, 0x90, 0x49, 0x91, 0x66, 0x0f, 0x38, 0x01,
        0xc1, 0xc3,
    ];
    let found = Scanner::new(&faults()).scan(&file(&code, &[("shuffle", 0)])).unwrap().unwrap();
    assert_eq!(found.instructions, 6);
    let table = faults();
    let names: Vec<&str> =
        found.faults.keys().map(|place| table.faults[*place].name.as_str()).collect();
    for name in ["xchg-r8-rax", "shift-zero", "sar-narrow", "pshufb-zero"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(
        found.faults.values().all(|places| places.functions.values().all(|it| it.0 == "shuffle"))
    );
    assert_eq!(found.lacking.keys().collect::<Vec<_>>(), [&Family::Ssse3]);
}

/// A snapshotter's database of two layers, the second on the first.
fn snapshots() -> Vec<u8> {
    let mut database = bolt::Database::default();
    let all = database.bucket("v1").bucket("snapshots");
    all.bucket("default/1/sha256:aa").put("id", [1]);
    let upper = all.bucket("default/2/sha256:bb");
    upper.put("id", [2]);
    upper.put("parent", "default/1/sha256:aa");
    all.bucket("default/3/sha256:cc").put("id", [3]);
    bolt::write(&database).unwrap()
}

#[test]
fn files_of_containers_are_named_by_those_who_have_them() {
    // xchg r8, rax; ret
    let faulty = file(&[0x49, 0x90, 0xc3], &[("swap", 0)]);
    let other = file(&[0x49, 0x90, 0x90, 0xc3], &[("swap", 0)]);
    let state = "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs";
    let database = snapshots();
    let inside = [
        format!("{state}/metadata.db"),
        format!("{state}/snapshots/1/fs/lib/libswap.so"),
        format!("{state}/snapshots/3/fs/bin/database"),
    ];
    let files: [(&str, &[u8]); 8] = [
        ("etc/vsbuild/functions/f.conf", b"image f\nsnapshot sha256:bb\nneeds db\n"),
        ("etc/vsbuild/functions/g.conf", b"image g\nsnapshot sha256:aa\n"),
        ("etc/vsbuild/functions/db.conf", b"image db\nsnapshot sha256:cc\n"),
        (&inside[0], &database),
        (&inside[1], &faulty),
        (&inside[2], &other),
        ("usr/bin/perl", &file(&[0x49, 0x90, 0x90, 0x90, 0xc3], &[("swap", 0)])),
        ("sbin/init", &program()),
    ];
    let blobs = MemoryBlobs::default();
    let kernel = tree(&blobs, &[("vmlinux", &file(&[0x49, 0x90], &[("kswap", 0)]))]);
    let (rootfs, faults) = (tree(&blobs, &files), faults());
    let subject = Subject {
        kernel: &kernel,
        rootfs: &rootfs,
        blobs: &blobs,
        cmdline: CMDLINE,
        root_device: "/dev/sda",
        disk: 1 << 30,
        memory: 1 << 30,
        cores: 2,
        faults: &faults,
    };
    let linted = lint(&subject).unwrap();
    let finding = linted.findings.iter().find(|it| it.check == "fault-xchg-r8-rax").unwrap();
    for place in ["f, g: /lib/libswap.so: swap", "db: /bin/database: swap", "/usr/bin/perl: swap"] {
        assert!(finding.places.iter().any(|it| it == place), "{place} in {:?}", finding.places);
    }

    let places = |container| {
        let touched = touched(&subject, container).unwrap();
        let fault = touched.into_iter().find(|fault| fault.name == "xchg-r8-rax").unwrap();
        assert_eq!((fault.harm.as_str(), fault.wrong.as_str()), ("values", "always"));
        let place = |it: crate::run::FaultPlace| (it.containers.join(" "), it.path, it.functions);
        fault.places.into_iter().map(place).collect::<Vec<_>>()
    };
    let expected = |containers: &str, path: &str, function: &str| {
        (containers.to_owned(), path.to_owned(), function.to_owned())
    };
    let kernel = expected("", "/vmlinux", "kswap");
    let library = expected("f g", "/lib/libswap.so", "swap");
    let needed = expected("db", "/bin/database", "swap");
    assert_eq!(places(Some("g")), [kernel.clone(), library.clone()]);
    assert_eq!(places(Some("f")), [kernel, needed, library]);
}
