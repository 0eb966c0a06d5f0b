//! wharf-projections
