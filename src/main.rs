//! The `vsbuild` program.

fn main() {}
