//! What jobmon writes for node_exporter is what node_exporter serves.

use jobmon::sinks::textfile::TextfileDir;

use crate::harness::NodeExporter;
use crate::harness::client::key;

fn body(name: &str, value: i64) -> String {
    format!(
        "# HELP script_exit_code exit code of the most recent finished run\n# TYPE script_exit_code gauge\n\
         script_exit_code{{script_name=\"{name}\"}} {value}\n"
    )
}

#[test]
fn node_exporter_serves_every_group_without_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let sink = TextfileDir::new(directory.path());
    let exporter = NodeExporter::start(directory.path());
    let groups = ["backup", "a b", "ü/../x"].map(|name| (name, key("script_monitor", &[("script_name", name)])));
    for (name, key) in &groups {
        sink.write(key, body(name, 1).as_bytes()).unwrap();
    }
    sink.write(&groups[0].1, body("backup", 7).as_bytes()).unwrap();
    let scrape = exporter.scrape();
    assert!(scrape.contains("\nnode_textfile_scrape_error 0\n"), "{scrape}");
    for line in [
        "script_exit_code{script_name=\"backup\"} 7",
        "script_exit_code{script_name=\"a b\"} 1",
        "script_exit_code{script_name=\"ü/../x\"} 1",
    ] {
        assert!(scrape.lines().any(|served| served == line), "{line} is missing in {scrape}");
    }
    assert!(sink.remove(&groups[0].1).unwrap());
    assert!(!exporter.scrape().contains("script_name=\"backup\""));
}

/// Readers and a writer at the same time: every scrape sees whole files.
#[test]
fn a_scrape_never_sees_half_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let sink = TextfileDir::new(directory.path());
    let exporter = NodeExporter::start(directory.path());
    let key = key("script_monitor", &[("script_name", "s")]);
    let text = |value: i64| (0..500).map(|i| format!("m{{i=\"{i}\"}} {value}\n")).collect::<String>();
    sink.write(&key, text(0).as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=50).for_each(|value| sink.write(&key, text(value).as_bytes()).unwrap()));
        while !writer.is_finished() {
            let scrape = exporter.scrape();
            assert!(scrape.contains("\nnode_textfile_scrape_error 0\n"), "{scrape}");
            let values: Vec<&str> = scrape
                .lines()
                .filter(|line| line.starts_with("m{"))
                .filter_map(|line| line.rsplit(' ').next())
                .collect();
            assert_eq!(values.len(), 500);
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "two states in one scrape");
        }
    });
}
