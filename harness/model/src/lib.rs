//! Words and decisions of gsh: no async, no input or output, no clock.
