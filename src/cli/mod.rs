//! Arguments in, messages out. The only room that talks to a person.
