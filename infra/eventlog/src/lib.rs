//! wharf-eventlog
