//! Which combinations make no sense, each with an id and a reason.
