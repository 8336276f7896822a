//! Trees as the layers of an image.

use rayon::prelude::*;

use super::super::{BuildError, errata, rootfs::placed};
use crate::{
    digest::Digest,
    formats::oci::{
        Config, Unpacked,
        config::timestamp,
        layer::{Archive, Layer as ImageLayer},
    },
    plan::{Function, Layer},
    store::Store,
    tree::{BlobSink, Time, Tree},
};

pub(in crate::realise) fn build(
    function: &Function<Digest>,
    store: &Store,
) -> Result<Tree, BuildError> {
    let epoch = Time::from_seconds(function.epoch);
    let layer = |layer: &Layer<Digest>| {
        let tree = errata::apply(placed(layer, store, epoch)?, &function.errata, store)?;
        let tar = store.put(&mut Archive::new(&tree, store)?)?;
        Ok::<_, BuildError>(ImageLayer { tar, tree })
    };
    let layers: Vec<ImageLayer> =
        function.layers.par_iter().map(layer).collect::<Result<_, _>>()?;
    let diff_ids = layers.iter().map(ImageLayer::diff_id).collect();
    // What a layer is called by people is in no key, so it cannot be in the history.
    let origins = vec!["vsbuild"; layers.len()];
    let config = config(function, diff_ids).to_bytes(&origins);
    let config = store.put(&mut &config[..])?;
    Ok(Unpacked { config, layers }.to_tree()?)
}

fn config(function: &Function<Digest>, diff_ids: Vec<Digest>) -> Config {
    Config {
        created: Some(timestamp(function.epoch.max(0))),
        architecture: function.architecture.to_owned(),
        diff_ids,
        user: function.user.clone(),
        env: function.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        entrypoint: function.entrypoint.clone(),
        cmd: function.command.clone(),
        workdir: function.workdir.clone(),
        ports: function.ports.iter().map(|port| format!("{port}/tcp")).collect(),
        labels: function.labels.clone(),
        ..Config::default()
    }
}
