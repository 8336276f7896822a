//! An artifact in one file: everything that is needed to build and verify without a network.
