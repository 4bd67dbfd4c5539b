//! The bus: the task that owns a line. It decides *when* which meter is polled ([`schedule`]), how a
//! silent one is spared ([`health`]), and carries it out ([`worker`]). How bytes travel is the line's
//! business, what a reading means the engine's. What a meter is told goes through [`act`].

pub mod act;
pub mod health;
pub mod schedule;
pub mod worker;
