//! wharf-adapters
