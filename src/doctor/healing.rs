//! What can be healed, worked out before anything is touched.

use std::fmt;
use std::path::PathBuf;

use super::gateway::Gateway;
use super::host::{Host, Registry, State};
use super::list;
use crate::grouping::GroupingKey;
use crate::text::count;

/// One step towards a healthy chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Give a folder or file of the state back to its owner alone.
    Protect {
        /// Which.
        path: PathBuf,
        /// Its new permission bits.
        mode: u32,
    },
    /// Count the runs that wait in the journal.
    Ingest {
        /// How many.
        runs: usize,
    },
    /// Delete the groups that disable a gateway.
    Disarm {
        /// The gateway.
        gateway: String,
        /// The groups, for people.
        groups: Vec<String>,
    },
    /// Delete empty groups of this host that refused pushes left behind.
    Exorcise {
        /// The gateway.
        gateway: String,
        /// Their keys.
        keys: Vec<GroupingKey>,
    },
    /// Send whatever is owed.
    Flush {
        /// Gateways that are to be asked first whether they were restarted.
        restarted: Vec<String>,
    },
}

/// The steps that would heal what was seen, in the order in which one helps the next. Damaged files that were set aside
/// are left to people.
pub fn plan(host: &Host, gateways: &[Gateway]) -> Vec<Step> {
    let mut steps = Vec::new();
    if let State::Present(folder) = &host.state
        && folder.is_own
    {
        // A folder that others may only look into is as systemd makes it.
        if folder.mode & 0o022 != 0 || folder.mode & 0o700 != 0o700 {
            steps.push(Step::Protect { path: folder.path.clone(), mode: 0o700 });
        }
        if folder.database_mode.is_some_and(|mode| mode & 0o077 != 0) {
            steps.push(Step::Protect { path: folder.path.join("registry.db"), mode: 0o600 });
        }
    }
    let (debts, leftovers) = match &host.registry {
        Registry::Open(contents) => (contents.debts.len(), contents.leftovers),
        Registry::Absent | Registry::Failed(_) => (0, 0),
    };
    if leftovers > 0 {
        steps.push(Step::Ingest { runs: leftovers });
    }
    for gateway in gateways {
        let Some(Ok(held)) = &gateway.held else { continue };
        let url = || gateway.url.clone();
        if !held.poison.is_empty() {
            let groups = held.poison.iter().map(|group| group.key.to_string()).collect();
            steps.push(Step::Disarm { gateway: url(), groups });
        }
        if !held.own_ghosts.is_empty() {
            steps.push(Step::Exorcise { gateway: url(), keys: held.own_ghosts.clone() });
        }
    }
    let restarted: Vec<String> =
        gateways.iter().filter(|gateway| gateway.was_restarted()).map(|gateway| gateway.url.clone()).collect();
    if debts > 0 || leftovers > 0 || !restarted.is_empty() {
        steps.push(Step::Flush { restarted });
    }
    steps
}

/// What it is going to do.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protect { path, mode } => write!(f, "chmod {mode:o} {}", path.display()),
            Self::Ingest { runs } => write!(f, "count {} from the journal", count(*runs, "run")),
            Self::Disarm { gateway, groups } => {
                write!(f, "delete at {gateway} what disables it: {}", list(groups))
            }
            Self::Exorcise { gateway, keys } => write!(f, "delete at {gateway} empty groups: {}", list(keys)),
            Self::Flush { restarted } if restarted.is_empty() => f.write_str("send what is owed"),
            Self::Flush { restarted } => {
                write!(f, "send what is owed, and again what was at {}", list(restarted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;
    use crate::doctor::gateway::Held;
    use crate::doctor::host::{Contents, Debt, Folder};
    use crate::grouping::LabelValue;
    use crate::sinks::pushgateway::GatewayStatus;

    fn host(mode: u32, contents: Contents) -> Host {
        let folder = Folder {
            path: "/s".into(),
            mode,
            is_own: true,
            writable: Ok(()),
            database_mode: Some(0o600),
            set_aside: vec!["/s/registry.db.corrupt-x".into()],
        };
        Host {
            warnings: Vec::new(),
            files: Vec::new(),
            gateways: Vec::new(),
            no_push: false,
            textfiles: None,
            state: State::Present(folder),
            registry: Registry::Open(contents),
        }
    }

    fn gateway(held: Held) -> Gateway {
        let status = GatewayStatus { version: String::new(), start_time: "t2".into(), flags: BTreeMap::new() };
        Gateway {
            url: "http://a".into(),
            setup: Ok(()),
            warnings: Vec::new(),
            readiness: None,
            status: Some(Ok(status)),
            start_times: ["t2".to_owned()].into(),
            known_start_time: Some("t2".into()),
            scrape: None,
            held: Some(Ok(held)),
            own: Vec::new(),
        }
    }

    #[test]
    fn what_is_well_is_left_alone() {
        assert_eq!(plan(&host(0o700, Contents::default()), &[gateway(Held::default())]), []);
        assert_eq!(plan(&host(0o755, Contents::default()), &[]), []);
    }

    #[test]
    fn everything_is_healed_in_order() {
        let debt = Debt {
            group: "g".into(),
            destination: "http://a".into(),
            since: SystemTime::UNIX_EPOCH,
            attempts: 1,
            reason: None,
        };
        let contents = Contents { leftovers: 2, debts: vec![debt], ..Contents::default() };
        let poison = crate::janitor::group::tests::group(&[("job", "bad")], 0);
        let ghost = GroupingKey::new(LabelValue::new("ghost").unwrap(), []);
        let mut gateway = gateway(Held { poison: vec![poison], own_ghosts: vec![ghost], ..Held::default() });
        gateway.known_start_time = Some("t1".into());
        let said: Vec<String> = plan(&host(0o777, contents), &[gateway]).iter().map(ToString::to_string).collect();
        let expected = [
            "chmod 700 /s",
            "count 2 runs from the journal",
            "delete at http://a what disables it: {job=\"bad\"}",
            "delete at http://a empty groups: {job=\"ghost\"}",
            "send what is owed, and again what was at http://a",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_ours_to_change() {
        let mut host = host(0o777, Contents::default());
        let State::Present(folder) = &mut host.state else { panic!("it is there") };
        folder.is_own = false;
        assert_eq!(plan(&host, &[]), []);
    }
}
