//! Makes the outputs of a plan exist: what is there is used, the rest is built.
