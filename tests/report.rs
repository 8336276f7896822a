//! Reports: figures against the statistics that they were made from, and the page as a browser shows it.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::TestEnv;
use serde_json::{Value, json};

/// A run's directory; tests/report/README.md says what it is.
const RUN: &str = "tests/report/fibonacci-go";

/// The statistics of each block, read in the plainest way.
fn blocks(dir: &Path) -> Vec<BTreeMap<String, f64>> {
    let text = fs::read_to_string(dir.join("stats.txt")).unwrap();
    let mut blocks = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "Begin", ..] => blocks.push(BTreeMap::new()),
            [name, value, ..] if !name.starts_with('-') => {
                let block: &mut BTreeMap<_, _> = blocks.last_mut().unwrap();
                block.insert((*name).to_owned(), value.parse().unwrap_or(f64::NAN));
            }
            _ => (),
        }
    }
    blocks
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A copy of the run, changed.
fn run(dir: &Path, change: impl FnOnce(&mut Value)) {
    fs::create_dir_all(dir).unwrap();
    fs::copy(Path::new(RUN).join("stats.txt"), dir.join("stats.txt")).unwrap();
    let mut record = read(&Path::new(RUN).join("run.json"));
    change(&mut record);
    fs::write(dir.join("run.json"), record.to_string()).unwrap();
}

/// A sweep over two functions, two clocks and three sizes; point 3 failed, 5 left no record but an error, 11 was not run.
fn sweep(dir: &Path) {
    let mut points = Vec::new();
    for function in ["aes-go", "auth-python"] {
        for clock in ["2GHz", "3GHz"] {
            for size in ["256KiB", "512KiB", "1MiB"] {
                let place = points.len();
                let values = json!({ "caches.l2.size": size, "clock": clock });
                points.push(
                    json!({ "function": function, "values": values, "command": "vsbuild run" }),
                );
                let dir = dir.join(format!("points/{place:03}"));
                fs::create_dir_all(&dir).unwrap();
                match place {
                    5 => fs::write(dir.join("error.txt"), "the disk is full\nand more\n").unwrap(),
                    11 => (),
                    _ => run(&dir, |record| {
                        record["call"]["function"] = json!(function);
                        record["machine"]["clock"] = json!(clock);
                        record["machine"]["caches"]["l2"]["size"] = json!(size);
                        if place == 3 {
                            record["verdict"] = json!({ "bad": "the guest panicked" });
                        }
                    }),
                }
            }
        }
    }
    fs::write(dir.join("sweep.json"), json!({ "points": points }).to_string()).unwrap();
}

/// The report of some directories, in all forms: the JSON, the page and the CSV.
fn report(env: &TestEnv, args: &[&str]) -> (Value, String, String) {
    let out = env.path().join("out");
    let mut all = vec!["report", "-o", out.to_str().unwrap()];
    all.extend(args);
    env.run(&all).good();
    let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    (read(&out.join("report.json")), text("report.html"), text("report.csv"))
}

fn fixture() -> PathBuf {
    fs::canonicalize(RUN).unwrap()
}

fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or_else(|| panic!("{path} in {value:#}"))
}

fn float(value: &Value, path: &str) -> f64 {
    at(value, path).as_f64().unwrap()
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{a} and {b}");
}

#[test]
fn figures_are_those_of_the_statistics() {
    let env = TestEnv::new();
    let (report, ..) = report(&env, &[fixture().to_str().unwrap()]);
    let (run, blocks) = (at(&report, "/runs/0"), blocks(&fixture()));
    assert_eq!(at(run, "/invocations").as_array().unwrap().len(), blocks.len());
    let core = "board.processor.switch1.core";
    let caches = "board.cache_hierarchy";
    for (place, block) in blocks.iter().enumerate() {
        let one = at(run, &format!("/invocations/{place}"));
        let (instructions, cycles) =
            (block[&format!("{core}.commitStats0.numInsts")], block[&format!("{core}.numCycles")]);
        near(float(one, "/core/instructions"), instructions);
        near(float(one, "/core/cycles"), cycles);
        near(float(one, "/core/cpi"), cycles / instructions);
        near(float(one, "/core/ipc"), instructions / cycles);
        near(float(one, "/all/instructions"), block["simInsts"]);
        near(float(one, "/latency_us"), block["simTicks"] / block["simFreq"] * 1e6);
        for unit in ["l1i", "l1d", "l2"] {
            let misses = block[&format!("{caches}.{unit}-cache-1.demandMisses::total")];
            near(float(one, &format!("/core/{unit}/misses")), misses);
            near(float(one, &format!("/core/{unit}/mpki")), misses * 1000.0 / instructions);
            let other = block[&format!("{caches}.{unit}-cache-0.demandMisses::total")];
            near(float(one, &format!("/all/{unit}/misses")), misses + other);
        }
        let l3 =
            |who| block[&format!("{caches}.l3-cache.demandMisses::processor.switch1.core.{who}")];
        near(float(one, "/core/l3/misses"), l3("inst") + l3("data"));
        near(
            float(one, "/all/l3/misses"),
            block[&format!("{caches}.l3-cache.demandMisses::total")],
        );
        near(
            float(one, "/core/branches/misses"),
            block[&format!("{core}.commit.branchMispredicts")],
        );
        let tlb = |what| block[&format!("{core}.mmu.dtb.{what}")];
        near(float(one, "/core/dtlb/misses"), tlb("rdMisses") + tlb("wrMisses"));
    }
    let sum = |path: &str| {
        (0..blocks.len()).map(|n| float(run, &format!("/invocations/{n}{path}"))).sum::<f64>()
    };
    near(float(run, "/total/core/instructions"), sum("/core/instructions"));
    near(float(run, "/total/core/cpi"), sum("/core/cycles") / sum("/core/instructions"));
    near(float(run, "/spread/latency_us/mean"), sum("/latency_us") / blocks.len() as f64);
    let sources = at(run, "/sources/instructions/0").as_str().unwrap();
    assert_eq!(sources, format!("{core}.commitStats0.numInsts"));
}

/// A run of a real gem5 as its directory would be: the statistics, events and description that tests/gem5 replays.
fn recorded(dir: &Path) -> Vec<Value> {
    let recording = Path::new("tests/gem5/recordings/measure");
    fs::create_dir_all(dir).unwrap();
    for name in ["stats.txt", "config.json"] {
        fs::copy(recording.join(name), dir.join(name)).unwrap();
    }
    let events = fs::read_to_string(recording.join("events.jsonl")).unwrap();
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| {
        events.iter().filter(|event| event["event"] == name).cloned().collect::<Vec<_>>()
    };
    let pairs = named("work-begins").into_iter().zip(named("work-ends"));
    let invocations: Vec<Value> = pairs
        .map(|(begin, end)| {
            json!({ "n": begin["n"], "begin_tick": begin["tick"], "end_tick": end["tick"],
                "instructions": end["insts"].as_u64().unwrap() - begin["insts"].as_u64().unwrap() })
        })
        .collect();
    let version = fs::read_to_string("tests/gem5/recordings/version").unwrap();
    let record = json!({
        "image": "functions", "on": "gem5", "cores": 2, "verdict": "good",
        "call": { "function": "fibonacci-python", "warm": 5, "invocations": 3 },
        "machine": { "cpu": "timing" }, "gem5": { "sha256": "", "version": version.trim() },
        "invocations": invocations,
    });
    fs::write(dir.join("run.json"), record.to_string()).unwrap();
    invocations
}

#[test]
fn what_a_real_gem5_wrote_comes_to_the_figures_that_it_printed_itself() {
    let env = TestEnv::new();
    let dir = env.path().join("recorded");
    let told = recorded(&dir);
    let (report, page, _) = report(&env, &[dir.to_str().unwrap()]);
    let (run, blocks) = (at(&report, "/runs/0"), blocks(&dir));
    assert_eq!((told.len(), blocks.len()), (3, 3));
    // Run and statistics agree on every tick, and the core is of the model that was asked for.
    assert_eq!(at(run, "/warnings"), &json!([]));
    let core = "board.processor.switch1.core";
    for (place, block) in blocks.iter().enumerate() {
        let one = at(run, &format!("/invocations/{place}"));
        let cpi = block[&format!("{core}.cpi")];
        assert!((float(one, "/core/cpi") - cpi).abs() < 1e-6 * cpi, "gem5 rounds to six digits");
        near(float(one, "/core/instructions"), block[&format!("{core}.commitStats0.numInsts")]);
        near(float(one, "/all/instructions"), {
            let other = "board.processor.switch0.core.commitStats0.numInsts";
            block[other] + block[&format!("{core}.commitStats0.numInsts")]
        });
        let l1d = block["board.cache_hierarchy.l1d-cache-1.demandMisses::total"];
        near(float(one, "/core/l1d/misses"), l1d);
        near(float(one, "/latency_us"), block["simTicks"] / 1e6);
    }
    assert!(page.contains("gem5 does not tell them apart for X86"));
    let modes = ["user", "kernel"];
    let counted = blocks[0].keys().find(|name| modes.iter().any(|mode| name.contains(mode)));
    assert_eq!(counted, None, "a gem5 that counts by mode deserves figures of it");
}

#[test]
fn known_faults_are_in_all_forms_of_a_report() {
    let env = TestEnv::new();
    let dir = env.path().join("run");
    let places = json!([
        { "path": "vmlinux", "instructions": 1, "functions": "kswap" },
        { "containers": ["fibonacci-go"], "path": "app/server", "instructions": 2, "functions": "main" },
    ]);
    let fault = json!({ "name": "xchg-r8-rax", "gem5": "does nothing", "hardware": "exchanges them",
        "wrong": "always", "harm": "values", "places": places });
    run(&dir, |record| record["faults"] = json!([fault]));
    let (report, page, csv) = report(&env, &[dir.to_str().unwrap()]);
    assert_eq!(at(&report, "/runs/0/record/faults"), &json!([fault]));
    let page = page.replace("&#x2f;", "/");
    for words in ["xchg-r8-rax", "does nothing", "wrong results or addresses", "vmlinux (kswap)"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("fibonacci-go: /app/server (main)"));
    let mut rows = csv.lines();
    let column = rows.next().unwrap().split(',').position(|head| head == "faults").unwrap();
    assert!(rows.all(|row| row.split(',').nth(column) == Some("xchg-r8-rax")));
}

/// All numbers in a value.
fn numbers(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Number(number) => found.push(number.as_f64().unwrap()),
        Value::Array(list) => list.iter().for_each(|value| numbers(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| numbers(value, found)),
        _ => (),
    }
}

/// The numbers on a page: what they are, and what is shown.
fn shown(page: &str) -> Vec<(String, String)> {
    let number = |part: &str| {
        let (value, rest) = part.split_once("\">").unwrap();
        (value.to_owned(), rest.split("</data>").next().unwrap().to_owned())
    };
    page.split("<data value=\"").skip(1).map(number).collect()
}

/// A report of a run, one of a sweep, and a comparison of two sweeps: their JSON and their pages.
fn one_of_each_kind(env: &TestEnv) -> [(Value, String); 3] {
    let (dir, other) = (env.path().join("sweep"), env.path().join("other"));
    sweep(&dir);
    sweep(&other);
    let (fixture, dir, other) = (fixture(), dir.to_str().unwrap(), other.to_str().unwrap());
    [[fixture.to_str().unwrap()].as_slice(), &[dir], &["--compare", dir, other]].map(|args| {
        let (report, page, _) = report(env, args);
        (report, page)
    })
}

#[test]
fn every_number_on_the_page_is_in_the_json() {
    let env = TestEnv::new();
    for (report, page) in one_of_each_kind(&env) {
        let mut there = Vec::new();
        numbers(&report, &mut there);
        let shown = shown(&page);
        assert!(shown.len() > 50, "{} numbers", shown.len());
        for (value, text) in shown {
            let text = text.replace('\u{202f}', "").replace('\u{2212}', "-");
            let (exact, rounded): (f64, f64) = (value.parse().unwrap(), text.parse().unwrap());
            // The last bit of a number may change when it is read.
            let same = |number: &f64| (number - exact).abs() <= exact.abs() * 1e-14;
            assert!(there.iter().any(same), "{value} is not in the JSON");
            let digits = text.split_once('.').map_or(0, |(_, rest)| rest.len());
            let half = 0.5001 / 10_f64.powi(i32::try_from(digits).unwrap());
            assert!((exact - rounded).abs() <= half, "{value} is shown as {text}");
        }
    }
}

#[test]
fn the_csv_has_a_row_for_each_invocation_and_says_what_the_json_says() {
    let env = TestEnv::new();
    let dir = env.path().join("sweep");
    sweep(&dir);
    let (report, _, csv) = report(&env, &[dir.to_str().unwrap()]);
    let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = rows.next().unwrap();
    let column = |name: &str| head.iter().position(|head| *head == name).unwrap();
    let mut wanted = Vec::new();
    for run in at(&report, "/runs").as_array().unwrap() {
        for one in at(run, "/invocations").as_array().unwrap() {
            let size = at(run, "/values")["caches.l2.size"].as_str().unwrap().to_owned();
            wanted.push((size, float(one, "/core/l2/mpki"), float(one, "/latency_us")));
        }
    }
    let number = |row: &[&str], name: &str| row[column(name)].parse::<f64>().unwrap();
    let told: Vec<_> = rows
        .map(|row| {
            assert_eq!(row.len(), head.len());
            let size = row[column("caches.l2.size")].to_owned();
            (size, number(&row, "core.l2.mpki"), number(&row, "latency_us"))
        })
        .collect();
    assert_eq!(told, wanted);
}

#[test]
fn a_report_depends_on_nothing_but_the_records() {
    let all = |place: &str| {
        let env = TestEnv::new();
        let dir = env.path().join(place).join("sweep");
        sweep(&dir);
        report(&env, &[dir.to_str().unwrap(), fixture().to_str().unwrap()])
    };
    let (one, other) = (all("here"), all("there/and/deeper"));
    assert_eq!(one, other);
    assert!(!one.1.contains("/tmp") && !one.0.to_string().contains("/tmp"));
}

#[test]
fn a_sweep_shows_what_is_done_what_failed_and_what_is_missing() {
    let env = TestEnv::new();
    let dir = env.path().join("l2");
    sweep(&dir);
    let (report, page, _) = report(&env, &[dir.to_str().unwrap()]);
    assert_eq!(at(&report, "/groups/0/missing"), &json!(["011"]));
    assert_eq!(at(&report, "/runs").as_array().unwrap().len(), 11);
    assert_eq!(at(&report, "/runs/5/warnings"), &json!(["the run failed: the disk is full"]));
    for words in ["the guest panicked", "the disk is full", "l2/011", "l2/003 aes-go (failed)"] {
        assert!(page.replace("&#x2f;", "/").contains(words), "{words}");
    }
    assert!(page.matches("<figure>").count() >= 5, "a sweep is drawn");
}

#[test]
fn two_runs_are_compared_with_what_made_them_differ() {
    let env = TestEnv::new();
    let (before, after) = (env.path().join("before"), env.path().join("after"));
    run(&before, |_| ());
    run(&after, |record| record["machine"]["caches"]["l2"]["size"] = json!("4MiB"));
    let stats = fs::read_to_string(after.join("stats.txt")).unwrap();
    let halved = stats.replace("l2-cache-1.demandMisses", "l2-cache-1.nothing");
    fs::write(after.join("stats.txt"), halved).unwrap();
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    let (report, page, _) = report(&env, &["--compare", before, after]);
    let pair = at(&report, "/comparison/pairs/0");
    let size = json!([{ "name": "machine.caches.l2.size", "a": "1MiB", "b": "4MiB" }]);
    assert_eq!(at(pair, "/parameters"), &size);
    let changes = at(pair, "/figures").as_array().unwrap();
    let change = |figure: &str| changes.iter().find(|change| change["figure"] == figure).unwrap();
    assert_eq!(change("cpi")["percent"], 0.0);
    assert_eq!(change("l2.mpki")["percent"], -100.0);
    near(float(change("l2.mpki"), "/difference"), -float(change("l2.mpki"), "/a"));
    assert!(page.contains("fibonacci-go (before)") && page.contains("fibonacci-go (after)"));
    let text = env.run(&["report", "--compare", before, after]).good();
    assert!(text.contains("-100.0 %"), "{text}");
}

#[test]
fn what_cannot_be_compared_or_found_is_said() {
    let env = TestEnv::new();
    let (empty, dir) = (env.path().join("empty"), env.path().join("sweep"));
    fs::create_dir_all(&empty).unwrap();
    sweep(&dir);
    let (empty, dir, run) = (empty.to_str().unwrap(), dir.to_str().unwrap(), fixture());
    assert!(env.run(&["report", empty]).bad(2).contains("there is no run in"));
    let run = run.to_str().unwrap();
    assert!(env.run(&["report", "--compare", run]).bad(2).contains("1 directories were given"));
    assert!(env.run(&["report", "--compare", run, dir]).bad(2).contains("one is a sweep"));
}

#[test]
fn what_a_record_says_is_never_taken_for_markup() {
    let env = TestEnv::new();
    let dir = env.path().join("run");
    let evil = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&";
    run(&dir, |record| {
        record["warnings"] = json!([evil]);
        record["command"] = json!(evil);
        record["call"]["function"] = json!(evil);
        record["machine"][evil] = json!(evil);
    });
    let (_, page, _) = report(&env, &[dir.to_str().unwrap()]);
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn statistics_that_were_cut_short_are_warned_of() {
    let env = TestEnv::new();
    let dir = env.path().join("run");
    run(&dir, |_| ());
    let stats = fs::read(dir.join("stats.txt")).unwrap();
    fs::write(dir.join("stats.txt"), &stats[..stats.len() - 2000]).unwrap();
    let (report, page, _) = report(&env, &[dir.to_str().unwrap()]);
    let count = at(&report, "/runs/0/invocations").as_array().unwrap().len();
    assert_eq!(count, blocks(&fixture()).len(), "the record knows of all invocations");
    assert!(page.contains("stats.txt ends within a block"));
    fs::remove_file(dir.join("stats.txt")).unwrap();
    env.run(&["report", dir.to_str().unwrap()]).good();
}

/// What Chromium makes of a page that is put into a frame of this width.
fn browse(env: &TestEnv, page: &str, width: u32) -> Value {
    let frame = page.replace('&', "&amp;").replace('"', "&quot;");
    let host = format!(
        r#"<!doctype html><body><iframe style="width:{width}px;height:4000px;border:0" srcdoc="{frame}"></iframe><script>
        const frame = document.querySelector("iframe");
        frame.onload = () => {{
            const d = frame.contentDocument, root = d.documentElement;
            const outside = [...d.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg")
                && e.getBoundingClientRect().right > {width} + 0.5).map(e => e.outerHTML.slice(0, 120));
            const charts = [...d.querySelectorAll("svg.chart")].map(e => e.getBoundingClientRect());
            const letters = [...d.querySelectorAll("svg.chart text")].map(e => e.getBoundingClientRect());
            const told = {{
                width: root.scrollWidth, outside, charts: charts.length,
                narrowest: Math.min(...charts.map(r => r.width)),
                smallest: Math.min(...letters.map(r => r.height)),
                left: Math.min(...letters.map(r => r.left)), right: Math.max(...letters.map(r => r.right)),
                numbers: d.querySelectorAll("data").length,
                tables: d.querySelectorAll("table").length,
                loaded: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
                scripts: d.scripts.length,
                background: getComputedStyle(d.body).backgroundColor,
            }};
            const pre = document.createElement("pre");
            pre.textContent = "TOLD" + btoa(JSON.stringify(told)) + "TOLD";
            document.body.replaceChildren(pre);
        }};
        </script></body>"#
    );
    let file = env.path().join("host.html");
    fs::write(&file, host).unwrap();
    let dom = chromium(env, &["--dump-dom"], &file);
    let told = dom.split("TOLD").nth(1).unwrap_or_else(|| panic!("{dom}"));
    let output = Command::new("base64").arg("-d").stdin(stdin(env, told)).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stdin(env: &TestEnv, text: &str) -> fs::File {
    let path = env.path().join("stdin");
    fs::write(&path, text).unwrap();
    fs::File::open(path).unwrap()
}

fn chromium(env: &TestEnv, args: &[&str], page: &Path) -> String {
    let data = tempfile::tempdir_in(env.path()).unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", data.path().display()))
        .args(args)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_page_fits_a_phone_and_a_desk_and_needs_nothing_else() {
    let env = TestEnv::new();
    for (_, page) in one_of_each_kind(&env) {
        for width in [390_u32, 1200] {
            let told = browse(&env, &page, width);
            assert_eq!(told["width"], width, "{told:#}");
            assert_eq!(told["outside"], json!([]), "{told:#}");
            assert_eq!((&told["loaded"], &told["scripts"]), (&json!([]), &json!(0)));
            assert!(float(&told, "/charts") >= 4.0, "{told:#}");
            assert!(float(&told, "/narrowest") >= 300.0, "{told:#}");
            assert!(float(&told, "/smallest") >= 10.0, "letters that one can read: {told:#}");
            assert!(
                float(&told, "/left") >= 0.0 && float(&told, "/right") <= f64::from(width),
                "{told:#}"
            );
            assert_eq!(told["numbers"].as_u64().unwrap(), shown(&page).len() as u64);
        }
    }
}

#[test]
fn the_page_can_be_printed() {
    let env = TestEnv::new();
    report(&env, &[fixture().to_str().unwrap()]);
    let (page, pdf) = (env.path().join("out/report.html"), env.path().join("page.pdf"));
    let to = format!("--print-to-pdf={}", pdf.display());
    chromium(&env, &[&to, "--no-pdf-header-footer"], &page);
    let pdf = fs::read(pdf).unwrap();
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 20_000, "{} bytes", pdf.len());
}
