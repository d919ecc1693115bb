//! The cast of a flood: which groups take part, when each begins, how loud it is and whether it recovers.

use std::collections::{BTreeMap, BTreeSet};

use crate::storm::catalogue::{CLUSTERS, CUSTOMER_FACING, NODE_ALERTS, SERVICES, service_named, waves_from};
use crate::storm::rng::Rng;
use crate::storm::shape::Shape;

/// What a group is about, beside its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// A service of the catalogue: the group is (cluster, service).
    Service(usize),
    /// A kind of node alert: the group is (cluster, alertname).
    Node(usize),
    /// A tenant's own copy of a service: an endless supply of services.
    Tenant { service: usize, number: u32 },
}

/// One true group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) cluster: usize,
    pub(crate) about: About,
    /// The place of its first alert, in millionths of the flood.
    pub(crate) onset: u64,
    /// How often it is drawn, relative to the others.
    pub(crate) weight: u64,
    /// Its members resolve at the end of the flood.
    pub(crate) recovers: bool,
    /// Part of its members are customers' tickets.
    pub(crate) tickets: bool,
}

impl Group {
    /// The service or alert name that, with the cluster, makes the group.
    pub(crate) fn subject(&self) -> (&'static str, String) {
        match self.about {
            About::Service(index) => ("service", SERVICES[index].name.to_owned()),
            About::Node(index) => ("alertname", NODE_ALERTS[index].name.to_owned()),
            About::Tenant { service, number } => ("service", format!("{}-t{number:05}", SERVICES[service].name)),
        }
    }

    /// The labels that make the group; `suffix` stands behind the cluster's name.
    pub(crate) fn labels(&self, suffix: &str) -> BTreeMap<String, String> {
        let (key, name) = self.subject();
        let cluster = format!("{}{suffix}", CLUSTERS[self.cluster].name);
        BTreeMap::from([("cluster".to_owned(), cluster), (key.to_owned(), name)])
    }
}

/// The groups of a flood of this shape, by onset, at most `most` of them.
/// [`Shape::AllDistinct`] has none here: its groups never end (see [`tenant`]).
pub(crate) fn groups_for(shape: Shape, rng: &mut Rng, most: usize) -> Vec<Group> {
    let mut groups = match shape {
        Shape::Steady => steady(rng),
        Shape::TicketStorm => ticket_storm(rng),
        Shape::Cascade => cascade(rng),
        Shape::ResolveFlood => resolve_flood(rng),
        Shape::Corpus => corpus(rng),
        Shape::AllDistinct => Vec::new(),
    };
    groups.truncate(most);
    groups.sort_by_key(|group| group.onset);
    if let Some(first) = groups.first_mut() {
        first.onset = 0;
    }
    groups
}

/// The `number`-th group of an endless flood.
pub(crate) fn tenant(number: u32) -> Group {
    let spread = number as usize;
    Group {
        cluster: spread % CLUSTERS.len(),
        about: About::Tenant { service: spread % SERVICES.len(), number },
        onset: 0,
        weight: 1,
        recovers: false,
        tickets: false,
    }
}

fn steady(rng: &mut Rng) -> Vec<Group> {
    let mut groups = distinct(rng, 30, SERVICES.len());
    groups.extend(nodes(rng, 6, 1));
    for group in &mut groups {
        group.onset = rng.below(400_000);
        group.weight = 20 + rng.below(80);
        group.recovers = rng.chance(500_000);
    }
    groups
}

/// Checkout and payments of one cluster fail; what customers meet is felt in two more; the rest is
/// the noise of a normal day.
fn ticket_storm(rng: &mut Rng) -> Vec<Group> {
    let mut groups = Vec::new();
    let hit = rng.index(CLUSTERS.len());
    for service in 0..CUSTOMER_FACING {
        groups.push(Group {
            cluster: hit,
            about: About::Service(service),
            onset: service as u64 * 20_000 + rng.below(15_000),
            weight: 1000 / (service as u64 + 1),
            recovers: service % 4 == 3,
            tickets: true,
        });
    }
    let backing = ["payments-db", "ledger", "fraud-check", "session-store", "cart"];
    for name in backing {
        let service = service_named(name).expect("the name is in the catalogue");
        let onset = rng.below(120_000);
        let weight = 60 + rng.below(60);
        groups.push(Group {
            cluster: hit,
            about: About::Service(service),
            onset,
            weight,
            recovers: true,
            tickets: false,
        });
    }
    for step in 1..=6 {
        groups.push(Group {
            cluster: (hit + step) % CLUSTERS.len(),
            about: About::Service(step % CUSTOMER_FACING),
            onset: 100_000 + rng.below(400_000),
            weight: 40 + rng.below(60),
            recovers: step % 2 == 0,
            tickets: true,
        });
    }
    groups.extend(nodes(rng, 5, 20));
    groups
}

/// Three clusters; in each one a root fails and its dependants follow, wave by wave.
fn cascade(rng: &mut Rng) -> Vec<Group> {
    let roots = ["payments-db", "event-bus", "session-store"];
    let first = rng.index(CLUSTERS.len());
    let mut groups = Vec::new();
    for (order, root) in roots.into_iter().enumerate() {
        let cluster = (first + order * 3) % CLUSTERS.len();
        let start = order as u64 * 150_000;
        let root = service_named(root).expect("the name is in the catalogue");
        for (depth, wave) in waves_from(root).iter().enumerate() {
            for service in wave {
                groups.push(Group {
                    cluster,
                    about: About::Service(*service),
                    onset: start + depth as u64 * 40_000 + if depth == 0 { 0 } else { rng.below(30_000) },
                    weight: 100 + rng.below(200) / (depth as u64 + 1),
                    recovers: true,
                    tickets: false,
                });
            }
        }
        let onset = start + 1_000 + rng.below(10_000);
        groups.push(Group { cluster, about: About::Node(order), onset, weight: 30, recovers: true, tickets: false });
    }
    groups
}

fn resolve_flood(rng: &mut Rng) -> Vec<Group> {
    let mut groups = distinct(rng, 50, SERVICES.len());
    groups.extend(nodes(rng, 10, 20));
    for group in &mut groups {
        group.onset = rng.below(100_000);
        group.weight = 20 + rng.below(80);
        group.recovers = true;
    }
    groups
}

/// 200 pairs of cluster and service; how loud each is, `corpus.rs` draws.
fn corpus(rng: &mut Rng) -> Vec<Group> {
    distinct(rng, 200, SERVICES.len())
}

fn distinct(rng: &mut Rng, wanted: usize, services: usize) -> Vec<Group> {
    let mut pairs: Vec<(usize, usize)> =
        (0..CLUSTERS.len()).flat_map(|cluster| (0..services).map(move |service| (cluster, service))).collect();
    rng.shuffle(&mut pairs);
    pairs
        .into_iter()
        .take(wanted)
        .map(|(cluster, service)| Group {
            cluster,
            about: About::Service(service),
            onset: 0,
            weight: 1,
            recovers: false,
            tickets: false,
        })
        .collect()
}

fn nodes(rng: &mut Rng, wanted: usize, weight: u64) -> Vec<Group> {
    let mut taken = BTreeSet::new();
    while taken.len() < wanted {
        taken.insert((rng.index(CLUSTERS.len()), rng.index(NODE_ALERTS.len())));
    }
    taken
        .into_iter()
        .map(|(cluster, kind)| Group {
            cluster,
            about: About::Node(kind),
            onset: rng.below(300_000),
            weight,
            recovers: kind % 2 == 0,
            tickets: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_is_cast_twice_and_the_onsets_ascend() {
        for shape in Shape::ALL {
            for seed in 0..20 {
                let groups = groups_for(shape, &mut Rng::new(seed, 0), usize::MAX);
                let names: BTreeSet<_> = groups.iter().map(|group| group.labels("")).collect();
                assert_eq!(names.len(), groups.len(), "{shape} {seed}");
                assert!(groups.is_sorted_by_key(|group| group.onset), "{shape} {seed}");
            }
        }
    }

    #[test]
    fn a_slow_flood_has_fewer_groups() {
        assert_eq!(groups_for(Shape::Corpus, &mut Rng::new(1, 0), usize::MAX).len(), 200);
        assert_eq!(groups_for(Shape::Corpus, &mut Rng::new(1, 0), 7).len(), 7);
    }

    #[test]
    fn tenants_never_repeat() {
        let names: BTreeSet<_> = (0..5_000).map(|number| tenant(number).labels("")).collect();
        assert_eq!(names.len(), 5_000);
    }
}
