//! References of images become digests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Update};
use crate::{
    fetch::{self, Fetcher, ImageName, Manifest},
    formats::oci::{self, Document},
    lock::{self, Lock, LockedBlob, LockedImage},
    recipe::{Name, OciImage, Recipes, Reference},
};

/// What each image of a registry that the recipes name is now. Those that `old` has an answer for stay as they are unless
/// they are to become newer, and nobody is asked for them.
pub(super) fn images(
    recipes: &Recipes,
    old: &Lock,
    update: &Update,
    fetcher: &Fetcher,
) -> Result<BTreeMap<Name, LockedImage>, Error> {
    let asked = asked_for(recipes, update);
    let mut images = BTreeMap::new();
    for (name, (image, reference)) in recipes.registry_images() {
        let named = asked.contains(name);
        let fresh = lock::stale_image(old, name, image, reference).is_none();
        let locked = match old.images.get(name) {
            None if image.on_request && !named => continue,
            Some(locked) if fresh && !named && *update != Update::All => locked.clone(),
            Some(_) | None => ask(name, image, reference, fetcher)?,
        };
        images.insert(name.clone(), locked);
    }
    Ok(images)
}

/// The recipes that someone asks for by name, with all that they need.
fn asked_for(recipes: &Recipes, update: &Update) -> BTreeSet<Name> {
    let Update::Only(names) = update else { return BTreeSet::new() };
    let names: Vec<Name> = names.iter().filter_map(|name| name.parse().ok()).collect();
    recipes.closure(&names).into_iter().cloned().collect()
}

/// Asks the registry what a reference names, and through an index for the image of the right platform.
fn ask(
    name: &Name,
    image: &OciImage,
    reference: &Reference,
    fetcher: &Fetcher,
) -> Result<LockedImage, Error> {
    let ImageName { registry, repository, reference: version } =
        reference.to_string().parse().map_err(|_| Error::NoSha256(reference.to_string()))?;
    let architecture = image.architecture;
    let not = |source: oci::Error| Error::Image { image: name.clone(), source };
    let named = fetcher.manifest(&registry, &repository, &version)?;
    let (index, manifest, document) = match Document::parse(&named.bytes).map_err(not)? {
        Document::Manifest(document) => (None, named, document),
        Document::Index(index) => {
            let chosen = index.choose(architecture.word()).map_err(not)?;
            let chosen = fetch::Reference::Digest(chosen.digest);
            let manifest = fetcher.manifest(&registry, &repository, &chosen)?;
            match Document::parse(&manifest.bytes).map_err(not)? {
                Document::Manifest(document) => (Some(blob(&named)), manifest, document),
                Document::Index(_) => return Err(not(oci::Error::NoManifest)),
            }
        }
    };
    let part = |part: &oci::Descriptor| LockedBlob { size: part.size, sha256: part.digest };
    Ok(LockedImage {
        reference: reference.to_string(),
        architecture,
        index,
        manifest: blob(&manifest),
        config: part(&document.config),
        layers: document.layers.iter().map(part).collect(),
    })
}

fn blob(manifest: &Manifest) -> LockedBlob {
    LockedBlob { size: manifest.bytes.len() as u64, sha256: manifest.digest }
}
