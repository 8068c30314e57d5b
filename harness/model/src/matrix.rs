//! The support matrix file: axes, excludes, includes.
