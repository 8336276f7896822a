//! Asks the outside world and writes a new lock.
