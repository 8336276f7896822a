//! Readers and writers of foreign bytes: ar, tar, deb, ext4, MBR and GPT.

pub mod ar;
pub mod compress;
pub mod deb;
pub mod disk;
pub mod ext4;
pub mod gpt;
pub mod image;
pub mod mbr;
pub mod tar;
