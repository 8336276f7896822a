//! A writer of the bolt database format, version 2: the same pairs give the same bytes.
