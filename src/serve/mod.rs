//! A cache for a lab, over HTTP.
