//! The tokens of one account in a file.
