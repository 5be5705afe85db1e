//! The words that the layers share.
