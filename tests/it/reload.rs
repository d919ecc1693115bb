//! A reload under load: a broken configuration changes nothing, a good one takes effect between two epochs, and no
//! alert is lost or counted twice over it.

use std::time::Duration;

use crate::daemon::ledger::Ledger;
use crate::daemon::sender::{Plan, Senders};
use crate::daemon::{Daemon, Home, http, wait_for};

const OLD: &str = "
sources: [{name: http, type: http}]
windows: [{name: old, wait: 0s, update_every: 500ms, gap: 1h}]
";

const BROKEN: &str = "
sources: [{name: http, type: http}]
windows: [{name: old, wait: 0s, update_every: 500ms, gapp: 1h}]
";

/// The services with even numbers get a rule of their own; open incidents keep theirs.
const NEW: &str = "
sources: [{name: http, type: http}]
windows:
  - {name: new, match: 'service=~\"shop-[0246]\"', wait: 0s, update_every: 500ms, gap: 1h}
  - {name: old, wait: 0s, update_every: 500ms, gap: 1h}
";

const PLAN: Plan = Plan { connections: 4, batch: 20, pause: Duration::from_millis(5), repeats: true };

#[test]
fn a_reload_under_load_is_taken_whole_or_not_at_all() {
    let home = Home::new(OLD);
    let daemon = home.start();
    let senders = Senders::start(home.address(), "reload", PLAN);
    let more = |senders: &Senders| {
        let so_far = senders.answered();
        wait_for("more answers", || senders.answered() >= so_far + 400);
    };
    more(&senders);
    assert_eq!(daemon.scrape().sum("tidegate_config_last_reload_successful"), 1);
    let hash = daemon.scrape().sum("tidegate_config_hash");

    home.configure(BROKEN);
    daemon.signal("HUP");
    wait_for("the refusal", || daemon.scrape().sum("tidegate_config_last_reload_successful") == 0);
    let fault = status(&daemon, &home)["last_reload_fault"].as_str().unwrap_or_default().to_owned();
    assert!(fault.contains("gapp") && fault.contains("gap"), "the fault names the key: {fault:?}");
    assert_eq!(http::post(home.address(), "/-/reload", b"").unwrap().status, 400);
    assert_eq!(daemon.scrape().sum("tidegate_config_hash"), hash);
    more(&senders);

    home.configure(NEW);
    daemon.signal("HUP");
    wait_for("the new rules", || daemon.scrape().sum("tidegate_config_last_reload_successful") == 1);
    assert!(status(&daemon, &home)["last_reload_fault"].is_null());
    assert_ne!(daemon.scrape().sum("tidegate_config_hash"), hash);
    more(&senders);
    assert_eq!(http::post(home.address(), "/-/reload", b"").unwrap().status, 200);
    more(&senders);

    let sent = senders.finish();
    let scrape = daemon.scrape();
    scrape.assert_conserved();
    let received = scrape.received();
    wait_for("the last counts in incidents", || Ledger::read(&home.data()).alerts() == received);
    daemon.stop();
    assert_eq!((sent.broken, sent.unheard), (0, 0), "a reload breaks no connection");
    assert_eq!(received, sent.answered, "no alert is lost or doubled: {sent:?}");
    assert_rules(&Ledger::read(&home.data()), received);
}

/// All incidents of one epoch follow one set of rules, and the new rule has incidents of its own.
fn assert_rules(ledger: &Ledger, received: u64) {
    assert_eq!(ledger.members(), received, "each alert is a fingerprint of its own, and joined once");
    let opened = |rule: &str| {
        let of_rule = ledger.events.iter().filter(|event| event.event == "opened" && event.rule == rule);
        of_rule.map(|event| event.epoch).collect::<Vec<u64>>()
    };
    let (old, new) = (opened("old"), opened("new"));
    assert_eq!(
        (old.len(), new.len()),
        (7, 4),
        "incidents of seven services, then of the four with a rule of their own"
    );
    assert!(old.iter().max() < new.iter().min(), "the new rule took effect at an epoch's end: {old:?} {new:?}");
}

fn status(daemon: &Daemon, home: &Home) -> serde_json::Value {
    daemon.scrape().assert_conserved();
    serde_json::from_str(&http::get(home.address(), "/api/v1/status").unwrap().body).unwrap()
}
