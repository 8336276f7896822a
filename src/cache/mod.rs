//! Outputs of other builders: what is sent to and taken from a cache, and in which form.
