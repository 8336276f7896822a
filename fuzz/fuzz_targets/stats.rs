#![no_main]

use libfuzzer_sys::fuzz_target;
use vsbuild::report;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statistics) = report::read(bytes) {
        let record = report::Record::default();
        let run = report::Run::new("run".to_owned(), record, &statistics);
        let report = report::Report { runs: vec![run], ..Default::default() };
        let _ = (report::html(&report), report::csv(&report), report::text(&report));
    }
});
