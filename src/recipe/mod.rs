//! What the user wrote: the TOML files, read, inherited and checked.
