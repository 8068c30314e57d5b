//! SSH client: connect, banner, pinned host keys, exec. Only home of the SSH library on the harness side.
