//! Reports, rendered from folded runs and read again.

mod history_page;
mod page;
mod readers;
mod render;
mod sample;
mod time;
