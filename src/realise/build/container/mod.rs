//! Images of containers: taken in, made, and put into containerd's own store.

mod conf;
mod function;
mod oci_image;
mod preload;

pub(in crate::realise) use function::build as function;
pub(in crate::realise) use oci_image::build as oci_image;
pub(in crate::realise) use preload::build as preload;
