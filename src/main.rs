//! The `vsbuild` program.

use std::process::ExitCode;

use vsbuild::{cli, sandbox};

fn main() -> ExitCode {
    if sandbox::is_child() {
        return sandbox::child_main();
    }
    cli::main()
}
