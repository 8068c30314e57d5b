//! Runs a plan: dispatcher, ledger, cells, waiting, stopping.
