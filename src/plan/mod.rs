//! Recipe plus lock become a graph of derivations, each with its key.
