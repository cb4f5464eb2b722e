//! Which gateway is owed which group, and paying it.
//!
//! What is owed is a *group*, not a message: a gateway only ever holds the newest state of a group, and counters
//! accumulate in the registry, so that delivering late means rendering the present state and sending it. N missed runs
//! cost one request, nothing can overflow or be reordered, and no count is missing afterwards.
//!
//! - [`route`]: where a group is to be, and who stands in ([`spread`]).
//! - [`flight`]: one request in flight a group.
//! - [`Courier`]: brings one group up to date; by rounds, what is owed from earlier. What should be nowhere is removed by
//!   `strays`, unless it is where it should be by another name (`namesakes`); a gateway that was restarted is noticed by
//!   `sightings`.
//! - [`unrecorded`]: the same once, where there is no registry.

mod clients;
mod courier;
mod flight;
mod namesakes;
mod rounds;
pub mod route;
mod sightings;
pub mod spread;
mod strays;
pub mod unrecorded;

pub use clients::Clients;
pub use courier::{Courier, Delivery, Failure, Patience};
pub use rounds::Flushed;
