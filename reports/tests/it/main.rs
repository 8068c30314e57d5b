//! Reports, rendered from folded runs and read again.

mod page;
mod render;
mod sample;
