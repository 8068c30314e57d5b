//! Reports, rendered from folded runs and read again.

mod page;
mod readers;
mod render;
mod sample;
mod time;
