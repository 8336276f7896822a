//! The content-addressed store on disk: objects, outputs, roots, garbage.
