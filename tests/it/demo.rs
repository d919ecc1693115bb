//! `tidegate demo`, the binary itself: a daemon, a flood through its HTTP door, and the table beside the truth.

use std::process::{Command, Output};

fn demo(arguments: &str) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("demo")
        .args(arguments.split_whitespace())
        .output()
        .expect("the binary is built with the tests");
    let text = String::from_utf8(output.stdout.clone()).expect("the report is UTF-8");
    assert!(
        output.status.success(),
        "demo {arguments}: {:?}\n{text}\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr)
    );
    (output, text)
}

#[test]
fn the_incidents_of_a_ticket_storm_are_the_truth() {
    let (output, text) = demo("--alerts 3000 --seed 7");
    for part in ["3,000 alerts → ", "✓ received        3,000  = the sum", "nothing lost, nothing twice"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(" ✓ ") && line.contains('/')).collect();
    assert_eq!(rows.len(), 20, "{text}");
    for row in rows {
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[cells.len() - 2], cells[cells.len() - 1], "alerts found and expected: {row}");
    }
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal\n{text}");
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(progress.lines().count() <= 6, "progress and nothing else, no log:\n{progress}");
    assert!(progress.starts_with("sending 3,000 alerts, ticket-storm, seed 7"), "{progress}");
}

#[test]
fn what_is_kept_is_named_and_holds_store_and_log() {
    let (_, text) = demo("--shape cascade --alerts 500 --keep");
    let folder = text.lines().find_map(|line| line.trim().strip_prefix("kept in ")).expect("the folder is named");
    for file in ["state.db", "tidegate.log"] {
        let path = std::path::Path::new(folder).join(file);
        assert!(path.metadata().is_ok_and(|file| file.len() > 0), "{} is empty or missing", path.display());
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}
