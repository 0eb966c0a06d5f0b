//! wharf-vault
