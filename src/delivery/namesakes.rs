//! Whether two destinations are one by two names: an address and a host name, a name in DNS that was changed, a prefix of
//! a proxy, a symbolic link. What is deleted by one of the names is gone by the other.

use std::time::Instant;

use super::clients::Clients;
use super::reconciler::{Failure, badly_set, silence};
use super::route::Destination;
use crate::sinks::textfile::TextfileDir;

/// What two destinations have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// They are the same gateway, or the same directory.
    One,
    /// They are not.
    Two,
    /// They answer, but one of them does not say when it was started, or was just being restarted.
    Unknown,
}

/// A destination that has to be asked, and is silent.
#[derive(Debug)]
pub(super) struct Silent {
    /// Its name.
    pub destination: String,
    /// Why.
    pub failure: Failure,
}

/// Finds out what two destinations have to do with each other, until `deadline`.
///
/// A gateway is known by the moment of its start, which it tells to the nanosecond. That a third answer agrees with the
/// first shows that two different ones are not those of before and after a restart.
pub(super) async fn relation(
    clients: &mut Clients,
    one: &str,
    other: &str,
    deadline: Instant,
) -> Result<Relation, Silent> {
    match (Destination::from_name(one), Destination::from_name(other)) {
        (Destination::Textfiles(one), Destination::Textfiles(other)) => {
            match TextfileDir::new(one).is_same_as(&TextfileDir::new(other)) {
                true => Ok(Relation::One),
                false => Ok(Relation::Two),
            }
        }
        (Destination::Gateway(one), Destination::Gateway(other)) => {
            let first = started_at(clients, &one, deadline).await?;
            let second = started_at(clients, &other, deadline).await?;
            if first.is_none() || second.is_none() {
                return Ok(Relation::Unknown);
            }
            if first == second {
                return Ok(Relation::One);
            }
            match started_at(clients, &one, deadline).await? == first {
                true => Ok(Relation::Two),
                false => Ok(Relation::Unknown),
            }
        }
        _ => Ok(Relation::Two),
    }
}

/// When the gateway was started; none if it does not say.
async fn started_at(clients: &mut Clients, url: &str, deadline: Instant) -> Result<Option<String>, Silent> {
    let silent = |failure| Silent { destination: url.to_owned(), failure };
    let client = clients.get(url).map_err(|setup| silent(badly_set(setup)))?;
    match client.status(deadline).await {
        Ok(status) => Ok(Some(status.start_time)),
        Err(error) => match silence(&error) {
            Some(failure) => Err(silent(failure)),
            None => {
                tracing::debug!("gateway {url} does not say when it was started: {error}");
                Ok(None)
            }
        },
    }
}
