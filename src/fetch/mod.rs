//! Brings bytes with a known digest from mirrors.
