//! What lib.rs promises about its modules, as far as a compiler does not check it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What each top-level module names of the others, without what it does so for tests.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![src.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let within = path.strip_prefix(&src).unwrap().with_extension("");
            let name = within.iter().next().unwrap().to_str().unwrap();
            if ["lib", "main"].contains(&name) || within.ends_with("tests") || within.ends_with("testing") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let others = lines.flat_map(|line| {
                let word =
                    |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
                line.split("crate::").skip(1).map(word).collect::<Vec<_>>()
            });
            imports.entry(name.to_owned()).or_default().extend(others.filter(|other| other != name));
        }
    }
    imports
}

/// A way along imports that comes back to where it began.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>, way: &mut Vec<String>) -> Option<Vec<String>> {
    for next in &imports[way.last().unwrap()] {
        if let Some(at) = way.iter().position(|passed| passed == next) {
            return Some(way[at..].to_vec());
        }
        way.push(next.clone());
        if let Some(found) = circle(imports, way) {
            return Some(found);
        }
        way.pop();
    }
    None
}

#[test]
fn no_modules_form_a_circle() {
    let imports = imports();
    assert!(imports.values().flatten().all(|name| imports.contains_key(name)), "write them one by one: {imports:?}");
    assert!(imports["commands"].contains("run") && imports["supervise"].len() < 5, "{imports:?}");
    for name in imports.keys() {
        assert_eq!(circle(&imports, &mut vec![name.clone()]), None);
    }
}

#[test]
fn lib_rs_has_a_word_for_every_module() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let unexplained: Vec<String> = imports()
        .into_keys()
        .filter(|name| !text.contains(&format!("[`{name}`]")) && !text.contains(&format!("─► {name} ")))
        .collect();
    assert_eq!(unexplained, Vec::<String>::new());
}
