//! Readers and writers of foreign bytes: ar, tar, deb, OCI, bolt, containerd's state, ELF, ext4, MBR and GPT.

pub mod ar;
pub mod bolt;
pub mod compress;
pub mod containerd;
pub mod deb;
pub mod disk;
pub mod elf;
pub mod ext4;
pub mod gpt;
pub mod image;
pub mod mbr;
pub mod oci;
pub mod partitions;
pub mod source;
pub mod tar;
