//! The way to the cloud: topics, wire form, client.
