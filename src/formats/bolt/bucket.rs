use std::collections::BTreeMap;

/// All of a database: buckets by name. Bolt has no values outside of buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// The buckets that are not in another.
    pub buckets: BTreeMap<Box<[u8]>, Bucket>,
}

impl Database {
    /// The bucket called `name`, made if it is not there.
    pub fn bucket(&mut self, name: impl AsRef<[u8]>) -> &mut Bucket {
        self.buckets.entry(name.as_ref().into()).or_default()
    }
}

/// Pairs of keys and values, and buckets in the bucket, all in the order of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The number that bolt's `NextSequence` gave last in this bucket.
    pub sequence: u64,
    /// What it holds.
    pub items: BTreeMap<Box<[u8]>, Item>,
}

/// What a key of a bucket leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Plain bytes.
    Value(Box<[u8]>),
    /// One more bucket.
    Bucket(Bucket),
}

impl Bucket {
    /// Puts `value` at `key`, in place of what was there.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.items.insert(key.as_ref().into(), Item::Value(value.as_ref().into()));
    }

    /// The value at `key`; none if there is nothing, or a bucket.
    pub fn value(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        match self.items.get(key.as_ref())? {
            Item::Value(value) => Some(value),
            Item::Bucket(_) => None,
        }
    }

    /// The bucket at `key`, made if it is not there. A value that stood there goes.
    pub fn bucket(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        let item =
            self.items.entry(key.as_ref().into()).or_insert_with(|| Item::Bucket(Self::default()));
        if matches!(item, Item::Value(_)) {
            *item = Item::Bucket(Self::default());
        }
        match item {
            Item::Bucket(bucket) => bucket,
            Item::Value(_) => unreachable!("it was just made a bucket"),
        }
    }
}
