use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File};
use walkdir::WalkDir;

use super::{Body, Entry, Error, Name, Remote};

/// Bytes copied between two words about it.
const PIECE: u64 = 4 << 20;
/// Where files are until they are whole. No name begins with a dot.
const STAGING: &str = ".staging";

/// A plain directory, perhaps one that many machines see. Every file appears whole, by a rename.
#[derive(Debug, Clone)]
pub struct Directory {
    dir: PathBuf,
    address: String,
}

impl Directory {
    /// The directory need not be there yet; the first `put` makes it.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), address: format!("file://{}", dir.display()) }
    }

    /// Where something is, or would be.
    pub fn place(&self, name: &Name) -> PathBuf {
        name.parts().fold(self.dir.clone(), |dir, part| dir.join(part))
    }

    fn open(&self, name: &Name) -> Result<Option<File>, Error> {
        match File::open(self.place(name)) {
            Ok(file) => {
                Ok(Some(file).filter(|file| file.metadata().is_ok_and(|meta| meta.is_file())))
            }
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(self.failure(name, error)),
        }
    }

    fn failure(&self, name: &Name, error: io::Error) -> Error {
        let (address, name) = (self.address.clone(), name.to_string());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::Denied { address, name, why: error.to_string() }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::Full { address, name, why: error.to_string() }
            }
            _ => Error::Io(error),
        }
    }

    fn keep(&self, name: &Name, body: Body<'_>) -> io::Result<()> {
        let place = self.place(name);
        let staging = self.dir.join(STAGING);
        fs::create_dir_all(&staging)?;
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = tempfile::Builder::new().prefix("new-").tempfile_in(&staging)?;
        match body {
            Body::Bytes(bytes) => file.write_all(bytes)?,
            Body::File(path) => drop(io::copy(&mut File::open(path)?, file.as_file_mut())?),
        }
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(readable)?;
        // The error that names the path says enough; the other half is the file, which is removed.
        file.persist(&place).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Remote for Directory {
    fn address(&self) -> &str {
        &self.address
    }

    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        let read = read.map_err(|error| self.failure(name, error))?;
        if read as u64 > limit {
            let why = format!("it has more than {limit} bytes");
            return Err(Error::Wrong {
                address: self.address.clone(),
                name: name.to_string(),
                why,
            });
        }
        Ok(Some(bytes))
    }

    fn fetch(
        &self,
        name: &Name,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error> {
        let Some(mut from) = self.open(name)? else { return Ok(false) };
        let found = from.metadata()?.len();
        if found != size {
            let (address, name) = (self.address.clone(), name.to_string());
            return Err(Error::Wrong { address, name, why: format!("it has {found} bytes") });
        }
        let mut to = File::options().create(true).append(true).open(partial)?;
        let mut here = to.metadata()?.len();
        if here > size {
            to.set_len(0)?;
            here = 0;
        }
        from.seek(SeekFrom::Start(here))?;
        while here < size {
            let copied = io::copy(&mut (&mut from).take(PIECE), &mut to)?;
            if copied == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            here += copied;
            reached(here);
        }
        Ok(true)
    }

    fn has(&self, name: &Name) -> Result<bool, Error> {
        Ok(self.open(name)?.is_some())
    }

    fn put(&self, name: &Name, body: Body<'_>) -> Result<(), Error> {
        self.keep(name, body).map_err(|error| self.failure(name, error))
    }

    fn list(&self, under: &Name) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for entry in WalkDir::new(self.place(under)) {
            // What goes while we look is not there.
            let Ok(entry) = entry else { continue };
            let relative = entry.path().strip_prefix(&self.dir).ok().and_then(Path::to_str);
            let name = relative.and_then(|text| text.parse().ok());
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file);
            if let (Some(name), Some(meta)) = (name, meta) {
                let modified = u64::try_from(meta.mtime()).ok();
                entries.push(Entry { name, size: meta.len(), modified });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn remove(&self, name: &Name) -> Result<(), Error> {
        match fs::remove_file(self.place(name)) {
            Err(error) if !is_absence(&error) => Err(self.failure(name, error)),
            _ => Ok(()),
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
