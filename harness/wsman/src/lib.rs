//! Messages of Gitpod's ws-manager (release line 2022.11), written by hand and pinned by golden bytes.
//!
//! Both sides of the wire use this crate: the client in `gsh-gitpod` and the emulated ws-manager. It holds messages,
//! enums and RPC paths, and nothing that needs a network, a runtime or a clock.
//!
//! Only field numbers and types travel on the wire. Where the proto file has an odd name (`lastActivity`,
//! `upstream_Remote_uri`, `clone_taget`, `WorkspaceClasses`, `Id`) the Rust field has the plain one and its doc comment
//! tells the odd one. Maps are `BTreeMap`, so that encoding a message twice gives the same bytes.
//!
//! The numbers are facts of release 2022.11.3 (`core.proto` of ws-manager-api, `initializer.proto` of
//! content-service-api); `tests/wire.rs` compares them with bytes made by an independent protobuf implementation.

pub mod calls;
pub mod content;
pub mod rpc;
pub mod words;
pub mod workspace;
