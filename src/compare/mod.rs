//! What differs between two images, trees, lockfiles or derivations, and why.
