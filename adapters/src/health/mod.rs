//! Platforms of health and fitness.

pub mod apple_health;
