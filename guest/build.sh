#!/bin/sh
# Builds the guest program, inside the sandbox, with Debian's Rust and Debian's copies of the crates.
#
#   SOURCE             directory of the crate: Cargo.toml, Cargo.lock, src/
#   JOBS               how many compilers to run at once
#   SOURCE_DATE_EPOCH  not used by rustc, but every build has it
#   out                where to put the binary `guest`
#
# The working directory is empty and writable. Its path may not show in what is made.
set -eu

: "${SOURCE:?}" "${JOBS:?}" "${out:?}"
export LC_ALL=C TZ=UTC

cp -R "$SOURCE/Cargo.toml" "$SOURCE/Cargo.lock" "$SOURCE/src" .
chmod -R u+w .
mkdir cargo-home
export CARGO_HOME="$PWD/cargo-home"
cat >cargo-home/config.toml <<EOF
[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "/usr/share/cargo/registry"
EOF

# Maintainer scripts never ran here, so there is no `cc`. Static, at a fixed address: the guest has no dynamic linker and no
# use for a random layout.
export RUSTFLAGS="-C linker=gcc -C target-feature=+crt-static -C relocation-model=static --remap-path-prefix=$PWD=/guest"

cargo build --release --frozen --jobs "$JOBS"
install -m 755 target/release/guest "$out/guest"
