//! Commands that try to get out of the sandbox, and what they see in it.
//!
//! The root file system is Debian's `busybox-static` and nothing else. Where a test needs another user or another
//! process, it starts this same test program again as an actor, with the script to run in its environment.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "sandbox/attempts.rs"]
mod attempts;
#[path = "sandbox/world.rs"]
mod world;

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    os::unix::{
        fs::{MetadataExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};
use vsbuild::sandbox::{self, Access, Error, Status};

use attempts::attempts;
use world::{
    NOBODY, World, act, chain, eventually, fingerprint, guest, is_root, is_running, open_home,
    processes, world,
};

#[test]
#[ignore = "other tests start it, with a part to play"]
fn actor() {
    let Some(home) = env::var_os("HOME").map(PathBuf::from) else { return };
    let script = env::var("SCRIPT").unwrap();
    if env::var("PART").unwrap() == "inside" {
        return fs::write("/build/answers", attempts()).unwrap();
    }
    fs::create_dir(&home).unwrap();
    let mut world = World::new(&home);
    let answer = match env::var("PART").unwrap().as_str() {
        "run" => world.print(&script),
        "shell" => {
            world.run("echo kept >/build/left; exit 3");
            world.spec.args = Vec::new();
            format!("{:?}", sandbox::shell(&world.spec).unwrap().status)
        }
        "probe" => match sandbox::probe(&world.spec.helper, &world.spec.scratch) {
            Ok(()) => "usable".to_owned(),
            Err(error) => error.to_string(),
        },
        part => panic!("no part {part}"),
    };
    sandbox::clean(&world.spec.scratch).unwrap();
    fs::write(home.join("answer"), answer).unwrap();
}

fn answer(home: &Path, mut command: Command) -> String {
    let status = command.status().unwrap();
    assert!(status.success(), "{status}");
    fs::read_to_string(home.join("acted/answer")).unwrap()
}

#[test]
fn a_command_has_exactly_the_world_it_was_given() {
    let (_home, world) = world();
    let log = world.print(
        "env | sort; pwd; id; hostname; umask; date +%Z; cat; tty; grep -E '^(Sig(Blk|Ign)|NoNew|Seccomp:|Cap)' /proc/self/status; true",
    );
    let none = "0000000000000000";
    assert_eq!(
        log,
        format!(
            "LC_ALL=C\nPATH=/bin\nPWD=/build\nSHLVL=1\nTZ=UTC\n/build\n\
             uid=1000(builder) gid=1000(builder)\nvsbuild\n0022\nUTC\nnot a tty\n\
             SigBlk:\t{none}\nSigIgn:\t{none}\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\n\
             CapAmb:\t{none}\nNoNewPrivs:\t1\nSeccomp:\t2\n"
        )
    );
}

/// What can be seen without times, inode numbers and sizes of directories, which are the host's.
const LOOK_AROUND: &str = r#"
    id; env | sort; pwd; hostname; umask; ulimit -n; ulimit -Hn; ulimit -s; ulimit -c
    find / -path /proc -prune -o -path /dev -prune -o -print | sort | while read -r path; do
        stat -c '%A %u %g %n' "$path"
    done
    cat /etc/passwd /etc/group /etc/hosts /etc/resolv.conf
    cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/cgroup
    cut -d ' ' -f 4,5 /proc/self/mountinfo
    ls -1 /dev /dev/pts /dev/shm
    ip addr
    touch mine; stat -c '%A %u %g %n' mine
    echo $$; ls -d /proc/[0-9]* | wc -l
"#;

#[test]
fn root_and_ordinary_users_see_the_same() {
    let (_home, world) = world();
    let mine = world.print(LOOK_AROUND);
    assert!(mine.contains("uid=1000(builder)") && mine.contains("-rw-r--r-- 1000 1000 mine"));
    if is_root() {
        let home = open_home();
        let mut command = act(home.path(), "run", LOOK_AROUND);
        command.uid(NOBODY).gid(NOBODY);
        assert_eq!(answer(home.path(), command), mine);
    }
}

#[test]
fn nothing_of_the_host_is_in_the_file_system() {
    let (home, world) = world();
    fs::write(home.path().join("canary"), "").unwrap();
    let log = world.print("find / -path /proc -prune -o -path '/bin/*' -prune -o -print");
    let seen: BTreeSet<_> = log.lines().collect();
    let expected = [
        "/",
        "/bin",
        "/build",
        "/dev",
        "/dev/fd",
        "/dev/full",
        "/dev/null",
        "/dev/ptmx",
        "/dev/pts",
        "/dev/pts/ptmx",
        "/dev/random",
        "/dev/shm",
        "/dev/stderr",
        "/dev/stdin",
        "/dev/stdout",
        "/dev/tty",
        "/dev/urandom",
        "/dev/zero",
        "/etc",
        "/etc/group",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/resolv.conf",
        "/tmp",
        "/var",
        "/var/tmp",
    ];
    assert_eq!(seen, expected.into());
}

#[test]
fn proc_shows_the_sandbox_only() {
    let (home, world) = world();
    let log = world.print(
        "ls /proc | grep -v '^[0-9]*$'; echo --; for pid in /proc/[0-9]*; do cat $pid/cmdline | tr '\\0' ' '; done",
    );
    let (names, processes) = log.split_once("--\n").unwrap();
    assert_eq!(names, "self\nthread-self\n");
    assert!(processes.starts_with("/bin/sh -c") && !processes.contains("vsbuild"), "{processes}");
    let log = world.print("cat /proc/1/cmdline /proc/1/environ 2>&1; ls /proc/1/fd /proc/1/root/ 2>&1; cat /proc/self/mountinfo /proc/self/mounts; true");
    let host = home.path().file_name().unwrap().to_str().unwrap();
    assert!(!log.contains(host), "{log}");
    assert_eq!(log.matches("No such file").count(), 4, "{log}");
    assert!(world.run("echo b >/proc/sysrq-trigger").0 != world.run("true").0);
}

#[test]
fn the_network_leads_nowhere_and_attempts_are_counted() {
    let (_home, world) = world();
    for attempt in [
        "nc -w 2 192.0.2.7 80",
        "nc -w 2 2001:db8::1 80",
        "nslookup example.org",
        "wget http://example.org/",
    ] {
        let (outcome, log) = world.run(attempt);
        assert!(!outcome.is_success(), "{attempt}: {log}");
        assert!(outcome.network_attempts > 0, "{attempt}: {log}");
    }
}

#[test]
fn the_loopback_interface_works_and_is_no_network() {
    let (_home, world) = world();
    let talk = "echo hello | nc -l -p 8080 & until sleep 1 | nc localhost 8080; do sleep 0.1; done; ping -c 1 vsbuild >/dev/null 2>&1; wait";
    let (outcome, log) = world.run(talk);
    assert!(log.ends_with("hello\n"), "{log}");
    assert_eq!(outcome.network_attempts, 0);
}

#[test]
fn what_a_command_leaves_running_dies_with_it() {
    let (_home, world) = world();
    let started = Instant::now();
    world.print(
        "setsid sleep 86411 & (trap '' TERM HUP INT; sleep 86411) & (sleep 86411 &) ; sleep 0.2",
    );
    assert!(processes("86411").is_empty());
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_end_of_vsbuild_is_the_end_of_the_sandbox() {
    for (signal, time) in [(Signal::SIGKILL, "86421"), (Signal::SIGINT, "86422")] {
        let home = open_home();
        let script = format!("setsid sleep {time} & sleep {time}");
        let mut actor = act(home.path(), "run", &script).process_group(0).spawn().unwrap();
        eventually("the commands start", || processes(time).len() == 2);
        let group = Pid::from_raw(i32::try_from(actor.id()).unwrap());
        match signal {
            Signal::SIGINT => nix::sys::signal::killpg(group, signal).unwrap(),
            _ => nix::sys::signal::kill(group, signal).unwrap(),
        }
        actor.wait().unwrap();
        eventually("the commands end", || processes(time).is_empty());
        let helper = home.path().join("acted/vsbuild");
        eventually("the helper ends", || !is_running(&helper));
    }
}

#[test]
fn the_root_and_inputs_are_never_written_through() {
    let (home, mut world) = world();
    let blob = home.path().join("blob");
    fs::write(&blob, "precious").unwrap();
    fs::create_dir_all(world.spec.lower.join("data/deep")).unwrap();
    fs::hard_link(&blob, world.spec.lower.join("data/one")).unwrap();
    fs::hard_link(&blob, world.spec.lower.join("data/deep/two")).unwrap();
    let input = home.path().join("input");
    fs::create_dir(&input).unwrap();
    fs::hard_link(&blob, input.join("file")).unwrap();
    world.bind(&input, "in/put", Access::ReadOnly);
    world.bind(&blob, "in/single file", Access::ReadOnly);
    let before = (fingerprint(&world.spec.lower), fingerprint(&input));
    let log = world.print(
        "cd /data; echo spoilt >one; echo more >>deep/two; cat one deep/two; chmod 000 one; touch one; rm -r /data/deep
         truncate -s 0 /bin/busybox.copy; mv /bin/ls /bin/sl; ln one three; rm /bin/busybox
         cd /in/put; for try in 'echo >file' 'echo >new' 'rm file' 'mv file other' 'chmod 777 file' 'touch file' \
            'ln file link' 'echo >\"/in/single file\"' 'rm \"/in/single file\"' 'mount -o remount,rw /in/put'; do
            (eval \"$try\") 2>/dev/null && echo \"$try\"; done; true",
    );
    assert_eq!(log, "spoilt\npreciousmore\n");
    assert_eq!((fingerprint(&world.spec.lower), fingerprint(&input)), before);
    assert_eq!(fs::read_to_string(&blob).unwrap(), "precious");
}

#[test]
fn output_is_found_in_the_scratch_directory_or_in_a_writable_bind() {
    let (home, mut world) = world();
    let out = home.path().join("out");
    fs::create_dir(&out).unwrap();
    world.bind(&out, "out", Access::ReadWrite);
    world.print("mkdir -p /made/dir; echo one >/made/dir/file; echo two >/out/file; umask");
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(read(world.spec.changed(&guest("made/dir/file"))), "one\n");
    assert_eq!(read(out.join("file")), "two\n");
    let meta = fs::metadata(out.join("file")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o644, nix::unistd::geteuid().as_raw()));
}

#[test]
fn binds_have_any_name_and_lie_in_each_other() {
    let (home, mut world) = world();
    let odd = "a b,c:d\\e\"'$x\n%ü";
    let host = home.path().join(odd);
    fs::create_dir_all(host.join("inner")).unwrap();
    fs::write(host.join("file"), "outer\n").unwrap();
    world.bind(&host, &format!("in/{odd}"), Access::ReadOnly);
    fs::write(home.path().join("other"), "covers\n").unwrap();
    world.bind(&home.path().join("other"), &format!("in/{odd}/file"), Access::ReadOnly);
    world.bind(&home.path().join("lower"), &format!("in/{odd}/inner"), Access::ReadOnly);
    world.spec.cwd = guest(&format!("in/{odd}"));
    assert_eq!(world.print("cat file; ls inner"), "covers\nbin\n");
    world.bind(&host, &format!("in/{odd}/absent"), Access::ReadOnly);
    let error = world.run_spec(&world.spec).unwrap_err();
    assert!(chain(&error).contains("absent"), "{}", chain(&error));
    assert!(!host.join("absent").exists());
}

#[test]
fn links_in_the_root_cannot_lead_the_setup_out_of_it() {
    let (home, mut world) = world();
    let outside = home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("hosts"), "mine").unwrap();
    symlink(&outside, world.spec.lower.join("absolute")).unwrap();
    symlink("../../../../../../../../../..", world.spec.lower.join("up")).unwrap();
    fs::create_dir(world.spec.lower.join("etc")).unwrap();
    symlink(outside.join("hosts"), world.spec.lower.join("etc/hosts")).unwrap();
    symlink(outside.join("hosts"), world.spec.lower.join("etc/passwd")).unwrap();
    world.bind(&home.path().join("lower"), "up/landed/here", Access::ReadOnly);
    assert_eq!(world.print("ls /landed/here; grep -c builder /etc/passwd; ls -A /up/absolute 2>/dev/null || echo none"), "absolute\nbin\netc\nup\n1\nnone\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("hosts")).unwrap(), "mine");
    fs::remove_dir_all(world.spec.lower.join("etc")).unwrap();
    symlink(&outside, world.spec.lower.join("etc")).unwrap();
    assert!(matches!(world.run_spec(&world.spec), Err(Error::Setup { .. })));
    assert_eq!(fs::read_to_string(outside.join("hosts")).unwrap(), "mine");
}

#[test]
fn the_hosts_devices_keep_their_modes() {
    let (_home, world) = world();
    let before = fs::metadata("/dev/null").unwrap().mode();
    world.print("for try in 'chmod 600 /dev/null' 'rm /dev/null' 'mknod /dev/x c 1 3' 'mknod x b 254 0'; do $try && exit 1; done; echo >/dev/null");
    assert_eq!(fs::metadata("/dev/null").unwrap().mode(), before);
}

#[test]
fn dangerous_calls_are_refused() {
    let (_home, mut world) = world();
    for host in ["/lib", "/lib64", "/usr/lib"].map(Path::new).into_iter().filter(|p| p.exists()) {
        world.bind(host, &host.display().to_string(), Access::ReadOnly);
    }
    world.bind(&env::current_exe().unwrap(), "actor", Access::ReadOnly);
    for (name, value) in [("PART", "inside"), ("SCRIPT", ""), ("HOME", "/build")] {
        world.spec.env.insert(name.to_owned(), value.to_owned());
    }
    world.spec.program = guest("actor");
    world.spec.args = ["--exact", "actor", "--ignored"].map(str::to_owned).into();
    let (outcome, log) = world.run_spec(&world.spec).unwrap();
    assert!(outcome.is_success(), "{log}");
    let answers = fs::read_to_string(world.spec.changed(&guest("build/answers"))).unwrap();
    assert_eq!(answers, "personality 0x40000\n");
}

#[test]
fn set_user_id_bits_are_refused() {
    let (_home, world) = world();
    let log = world.print(
        "cp /bin/busybox mine; for mode in u+s g+s 4755 2755 6755; do chmod $mode mine 2>/dev/null && echo $mode; done
         chmod 1777 . && chmod 755 mine && install -m 4755 mine yours 2>/dev/null; stat -c %a mine",
    );
    assert_eq!(log, "755\n");
}

#[test]
fn the_end_of_a_command_is_passed_on() {
    let (_home, mut world) = world();
    for (script, status) in [
        ("exit 0", Status::Exited(0)),
        ("exit 7", Status::Exited(7)),
        ("exit 255", Status::Exited(255)),
        ("kill -9 $$", Status::Killed(9)),
        ("kill -TERM $$", Status::Killed(15)),
        ("kill -35 $$", Status::Killed(35)),
        ("kill -9 1; kill -STOP 1; kill -TERM 1; exit 4", Status::Exited(4)),
    ] {
        assert_eq!(world.run(script).0.status, status, "{script}");
    }
    world.spec.limits.seconds = Some(1);
    let started = Instant::now();
    assert_eq!(world.run("trap '' TERM ALRM; sleep 86431").0.status, Status::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(processes("86431").is_empty());
    assert_eq!(world.run("exit 3").0.status, Status::Exited(3));
}

#[test]
fn a_setup_that_fails_is_told_from_a_command_that_fails() {
    let (home, mut world) = world();
    world.spec.program = guest("bin/absent");
    let error = chain(&world.run_spec(&world.spec).unwrap_err());
    assert!(error.contains("/bin/absent") && error.contains("No such file"), "{error}");
    world.bind(&home.path().join("absent"), "in", Access::ReadOnly);
    let error = chain(&world.run_spec(&world.spec).unwrap_err());
    assert!(error.contains("show `") && error.contains("absent"), "{error}");
    fs::write(world.spec.scratch.join("file"), "").unwrap();
    let error = sandbox::run(&world.spec, File::create("/dev/null").unwrap()).unwrap_err();
    assert!(matches!(error, Error::Scratch { .. }), "{error}");
    world.spec.scratch = open_home().keep();
    world.spec.helper = "/bin/true".into();
    let error = sandbox::run(&world.spec, File::create("/dev/null").unwrap()).unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    sandbox::clean(&world.spec.scratch).unwrap();
}

#[test]
fn many_sandboxes_run_at_once() {
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                let (_home, world) = world();
                assert_eq!(
                    world.print(&format!("sleep 0.2; echo {number}")),
                    format!("{number}\n")
                );
            });
        }
    });
}

#[test]
fn a_person_can_enter_what_a_failed_command_left() {
    let home = open_home();
    fs::write(home.path().join("input"), "cat left; hostname; exit 5\n").unwrap();
    let mut command = act(home.path(), "shell", "");
    command.stdin(File::open(home.path().join("input")).unwrap());
    command.stdout(File::create(home.path().join("output")).unwrap());
    assert_eq!(answer(home.path(), command), "Exited(5)");
    let output = fs::read_to_string(home.path().join("output")).unwrap();
    assert!(output.contains("kept\nvsbuild\n"), "{output}");
}

#[test]
fn ordinary_users_can_clean_up_what_commands_have_locked() {
    let home = open_home();
    let mut command =
        act(home.path(), "run", "mkdir -p a/b/c && chmod 0 a/b/c a/b a && chmod 555 /");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    assert_eq!(answer(home.path(), command), "");
    assert!(!home.path().join("acted/scratch").exists());
}

#[test]
fn a_host_that_cannot_says_why_and_what_to_do() {
    let (_home, world) = world();
    sandbox::probe(&world.spec.helper, &world.spec.scratch).unwrap();
    for (spoil, remedy) in [
        ("echo 0 >/proc/sys/user/max_user_namespaces", "sysctl -w user.max_user_namespaces"),
        ("mount -t tmpfs none /proc/fs", "systempaths=unconfined"),
    ] {
        let home = open_home();
        let actor = act(home.path(), "probe", "");
        let mut command = Command::new("unshare");
        let script = format!("{spoil} && exec \"$@\"");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        command.arg(actor.get_program()).args(actor.get_args()).current_dir(home.path());
        command.envs(actor.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = answer(home.path(), command);
        assert!(said.contains(remedy), "{said}");
    }
}
