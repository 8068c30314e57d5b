//! Messages of Gitpod's ws-manager, written by hand and pinned by golden bytes.
