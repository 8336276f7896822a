//! Runs one command, shut off from host and network.
