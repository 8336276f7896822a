use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File, os::unix::fs::OpenOptionsExt};
use walkdir::WalkDir;

use super::{Body, Entry, Error, Name, Remote};

/// Bytes copied between two words about it.
const PIECE: usize = 1 << 20;
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
        // What is no file, such as a pipe, must not keep us waiting.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        match File::options().read(true).custom_flags(flags).open(self.place(name)) {
            Ok(file) => {
                Ok(Some(file).filter(|file| file.metadata().is_ok_and(|meta| meta.is_file())))
            }
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(self.unread(name, error)),
        }
    }

    /// What went wrong when something was read: that is the fault of the place, such as of a server of files that is away.
    fn unread(&self, name: &Name, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::PermissionDenied => self.failure(name, error),
            _ => Error::Unreachable { address: self.address.clone(), why: error.to_string() },
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
        // After a power cut a name must not lead to a file without its bytes.
        file.as_file().sync_data()?;
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
        let read = read.map_err(|error| self.unread(name, error))?;
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
        let found = from.metadata().map_err(|error| self.unread(name, error))?.len();
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
        let mut piece = vec![0; PIECE];
        from.seek(SeekFrom::Start(here)).map_err(|error| self.unread(name, error))?;
        while here < size {
            let read = from.read(&mut piece).map_err(|error| self.unread(name, error))?;
            if read == 0 {
                return Err(self.unread(name, io::ErrorKind::UnexpectedEof.into()));
            }
            to.write_all(piece.get(..read).unwrap_or_default())?;
            here += read as u64;
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
            let looked = entry.map_err(io::Error::from);
            let looked = looked.and_then(|entry| Ok((entry.metadata()?, entry)));
            let (meta, entry) = match looked {
                Ok(looked) => looked,
                // What goes while we look is not there.
                Err(error) if is_absence(&error) => continue,
                // What cannot be looked at may be there: a list without it would be a lie, and somebody's garbage.
                Err(error) => return Err(self.unread(under, error)),
            };
            let relative = entry.path().strip_prefix(&self.dir).ok().and_then(Path::to_str);
            let name = relative.and_then(|text| text.parse().ok());
            if let Some(name) = name.filter(|_| meta.is_file()) {
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

/// Whether something is not there, rather than out of reach.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
