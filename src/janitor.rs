//! The janitor that the Pushgateway refuses to be: finding groups that nobody needs, and deleting them.
//!
//! A Pushgateway never forgets a group by itself, deletes by the exact grouping key only, and can be disabled for
//! everybody by a single damaged group. So whoever cleans up reads everything, decides, and deletes one group at a time:
//!
//! - [`group`]: a group as a gateway tells of it, and what is wrong with it;
//! - [`reading`]: all groups of one gateway, the raw bytes of damaged labels included;
//! - [`selector`]: which groups are meant;
//! - [`plan`]: what is deleted, worked out before anything is touched;
//! - [`apply`]: carrying a plan out, with a second look at every group just before it goes and a proof afterwards.
//!
//! Everything but `apply` and the one request of `reading` is pure. How requests are sent belongs to [`crate::sinks`];
//! what a cleared group means for this host's own state belongs to [`crate::registry`]; printing belongs to
//! [`crate::commands`].

pub mod apply;
pub mod group;
pub mod plan;
pub mod reading;
pub mod selector;
