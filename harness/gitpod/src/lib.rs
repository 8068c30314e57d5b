//! Installs Gitpod and talks to it.
