//! Configuration to model: merging, precedence, visibility, scopes; pure and incremental.
