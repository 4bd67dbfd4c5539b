//! Hikvision ISAPI: cameras of an entrance (DS-TCG, iDS-TCM) push events and take the barrier's
//! command under Digest authentication.

pub mod event;
pub mod gate;
