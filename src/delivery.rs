//! Which destination holds which group, and the actions that are still pending.
//!
//! What is pending is a *group*, not a message: a gateway only ever holds the newest state of a group, and counters
//! accumulate in the registry, so that delivering late means rendering the present state and sending it. N missed runs
//! cost one request, nothing can overflow or be reordered, and no count is missing afterwards.
//!
//! - [`route`]: where a group is to be, and who stands in ([`spread`]).
//! - [`families`]: what is sent, the state of a group as metric families.
//! - [`group_lock`]: one request at a time for each group.
//! - [`Reconciler`]: brings one group up to date; `flush` does the same for what is pending from earlier. Replicas that
//!   should not be are deleted by `stale_replicas`; a gateway that was restarted is noticed by `restarts`.
//! - [`stateless`]: the same once, where there is no registry.

mod clients;
pub mod families;
mod flush;
mod group_lock;
mod reconciler;
mod restarts;
pub mod route;
mod send;
pub mod spread;
mod stale_replicas;
pub mod stateless;

pub use clients::Clients;
pub use flush::Flushed;
pub use reconciler::{BackoffPolicy, Reconciler};
pub use send::{Cause, Delivery, Failure};
