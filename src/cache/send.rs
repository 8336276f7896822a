use std::{
    io,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicU64, Ordering},
};

use fs_err::File;

use super::{
    Cache, Error, FORMAT, Image, Index, Item, Parcel, PushPlan, SMALL, Segment, crowd, mark::Act,
    pack,
};
use crate::{digest::Digest, remote::Body, store::Store, tree::Tree};

/// What a push is made of, while it is made.
struct Push<'a> {
    cache: &'a Cache,
    store: &'a Store,
    plan: &'a PushPlan,
    sent: AtomicU64,
    total: u64,
    reached: &'a (dyn Fn(u64, u64) + Sync),
}

impl Cache {
    /// Sends what the cache lacks of a parcel; gives what it was. `reached` is told how many bytes of how many, before
    /// compression, are sent.
    ///
    /// What was sent before a kill or an error is there, and is not sent again. Several may push at once.
    pub fn push(
        &self,
        parcel: &Parcel,
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<PushPlan, Error> {
        if !self.check()? {
            self.remote.put(&Item::Format.name(), Body::Bytes(FORMAT.as_bytes()))?;
        }
        self.mark(Act::Push)?.while_at_work(|| self.send(parcel, store, reached))
    }

    fn send(
        &self,
        parcel: &Parcel,
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<PushPlan, Error> {
        let mut plan = self.plan_push(parcel, store)?;
        let sent = {
            let total = plan.bytes();
            let sent = AtomicU64::new(0);
            let push = Push { cache: self, store, plan: &plan, sent, total, reached };
            push.check_long_blobs()?;
            crowd::each(&plan.packs, self.at_once, |segments| push.pack(segments))?
        };
        for (pack, size, index) in &sent {
            plan.known.add(pack, *size, index);
            plan.packed += size;
        }
        let push = Push {
            cache: self,
            store,
            plan: &plan,
            sent: AtomicU64::new(plan.packs.iter().flatten().map(|part| part.length).sum()),
            total: plan.bytes(),
            reached,
        };
        push.rest()?;
        plan.packed += plan.inputs.values().sum::<u64>();
        Ok(plan)
    }
}

impl Push<'_> {
    fn add(&self, bytes: u64) {
        let now = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.reached)(now, self.total);
    }

    fn open(&self, blob: &Digest) -> Result<File, Error> {
        let path = match self.plan.files.get(blob) {
            Some(path) => path.clone(),
            None => self.store.blob_path(blob),
        };
        Ok(File::open(path)?)
    }

    fn is_whole(&self, segment: &Segment) -> bool {
        self.plan.sizes.get(&segment.blob) == Some(&segment.length)
    }

    /// Reads every blob that is sent in parts, once, since a part does not show whether the whole is what it is called.
    fn check_long_blobs(&self) -> Result<(), Error> {
        let segments = self.plan.packs.iter().flatten();
        let mut blobs: Vec<Digest> =
            segments.filter(|part| !self.is_whole(part)).map(|part| part.blob).collect();
        blobs.dedup();
        crowd::each(&blobs, self.cache.at_once, |blob| {
            let found = Digest::read(&mut self.open(blob)?)?;
            if found == *blob { Ok(()) } else { Err(Error::Damaged(*blob)) }
        })?;
        Ok(())
    }

    /// Makes a pack and sends it, and then its index.
    fn pack(&self, segments: &[Segment]) -> Result<(Digest, u64, Index), Error> {
        let length: u64 = segments.iter().map(|segment| segment.length).sum();
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let mut rest = bytes.as_mut_slice();
        for segment in segments {
            let size = usize::try_from(segment.length).map_err(io::Error::other)?;
            let (part, after) = rest.split_at_mut(size);
            self.open(&segment.blob)?.file().read_exact_at(part, segment.start)?;
            if self.is_whole(segment) && Digest::of(&*part) != segment.blob {
                return Err(Error::Damaged(segment.blob));
            }
            rest = after;
        }
        let index = Index::new(segments.to_vec()).map_err(io::Error::other)?;
        let mut packed = pack::pack(&bytes)?;
        drop(bytes);
        packed.extend(pack::label(&Digest::of(index.encode())));
        let (digest, size) = (Digest::of(&packed), packed.len() as u64);
        let remote = &self.cache.remote;
        remote.put(&Item::Pack(digest).name(), Body::Bytes(&packed))?;
        let text = index.pack()?;
        remote.put(&Item::Index(digest).name(), Body::Bytes(&text))?;
        self.cache.note(self.store, &digest, &text)?;
        self.add(length);
        Ok((digest, size, index))
    }

    /// Sends all that follows the packs, each kind when the one before is there.
    fn rest(&self) -> Result<(), Error> {
        let Self { cache, plan, store, .. } = *self;
        let put =
            |item: &Item, body: Body<'_>| Ok::<_, Error>(cache.remote.put(&item.name(), body)?);
        let ways: Vec<&Digest> = plan.ways.iter().collect();
        crowd::each(&ways, SMALL, |digest| {
            let contents = plan.manifests.get(digest).into_iter().flat_map(Tree::contents);
            let way = plan.known.way(contents);
            let way = way.ok_or_else(|| io::Error::other("a blob was in no pack"))?;
            put(&Item::Way(**digest), Body::Bytes(&way.pack()?))
        })?;
        let trees: Vec<&Digest> = plan.trees.iter().collect();
        crowd::each(&trees, SMALL, |digest| {
            let manifest = plan.manifests.get(digest).map(Tree::encode).unwrap_or_default();
            put(&Item::Tree(**digest), Body::Bytes(&pack::pack(&manifest)?))
        })?;
        let images: Vec<(&Digest, &Digest)> = plan.images.iter().collect();
        crowd::each(&images, SMALL, |(disk, tree)| {
            let text = Image { tree: **tree }.encode();
            put(&Item::Image(**disk), Body::Bytes(text.as_bytes()))
        })?;
        let inputs: Vec<(&Digest, &u64)> = plan.inputs.iter().collect();
        crowd::each(&inputs, cache.at_once, |(input, size)| {
            let path = store.blob_path(input);
            if Digest::read(&mut File::open(&path)?)? != **input {
                return Err(Error::Damaged(**input));
            }
            put(&Item::Input(**input), Body::File(&path))?;
            self.add(**size);
            Ok(())
        })?;
        crowd::each(&plan.statements, SMALL, |said| {
            let item = Item::Statement { plan_key: said.plan_key, by: said.by };
            put(&item, Body::Bytes(&said.bytes))
        })?;
        Ok(())
    }
}
