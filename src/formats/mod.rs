//! Readers and writers of foreign bytes: ar, tar, deb, ext4, MBR and GPT.
