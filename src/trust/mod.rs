//! Who says what a key came to, and whom to believe: statements, keys, policy.
