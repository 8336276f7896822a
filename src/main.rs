//! The `vsbuild` program.

use std::process::ExitCode;

use vsbuild::sandbox;

fn main() -> ExitCode {
    if sandbox::is_child() {
        return sandbox::child_main();
    }
    ExitCode::SUCCESS
}
