//! wharf-egress
