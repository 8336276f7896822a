//! containerd's state on disk, with images imported and unpacked, as a tree.
