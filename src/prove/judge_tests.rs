//! What a file must be called for what was recorded and what was found.
