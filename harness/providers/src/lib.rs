//! Who lends clusters: Hetzner Cloud machines and the k3s on them.
