//! Boots an image in QEMU and keeps the record of the run.
