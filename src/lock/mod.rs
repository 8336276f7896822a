//! What the world was: lockfile.toml, every outside input by digest.
