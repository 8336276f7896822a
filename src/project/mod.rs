//! The user's folder: finds it, reads it, turns its files into values.
