//! Finds criterion's results: `**/new/benchmark.json` says what was measured, `estimates.json` how long
//! it took.

use std::{fs, io, path::Path};

use serde_json::Value;

/// One measured function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measurement {
    /// `-` for a bench outside of groups.
    pub(crate) group: String,
    pub(crate) function: String,
    /// The input of a bench with several, such as its size.
    pub(crate) value: Option<String>,
    pub(crate) median_ns: f64,
}

/// All results below `directory`, in no order; none if there is no such directory.
pub(crate) fn measurements(directory: &Path) -> Result<Vec<Measurement>, String> {
    let mut found = Vec::new();
    walk(directory, &mut found)?;
    Ok(found)
}

fn walk(directory: &Path, found: &mut Vec<Measurement>) -> Result<(), String> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{}: {error}", directory.display())),
    };
    for entry in entries {
        let path = entry
            .map_err(|error| format!("{}: {error}", directory.display()))?
            .path();
        if !path.is_dir() {
            continue;
        }
        // A bench may itself be called `new`.
        if path.ends_with("new") && path.join("estimates.json").is_file() {
            found.push(measurement(&path)?);
        } else {
            walk(&path, found)?;
        }
    }
    Ok(())
}

fn measurement(directory: &Path) -> Result<Measurement, String> {
    let benchmark = json(&directory.join("benchmark.json"))?;
    let estimates = json(&directory.join("estimates.json"))?;
    let text = |field: &str| benchmark[field].as_str().map(str::to_owned);
    let unreadable = || format!("{}: not as criterion writes it", directory.display());

    let group = text("group_id").ok_or_else(unreadable)?;
    let median_ns = estimates["median"]["point_estimate"]
        .as_f64()
        .ok_or_else(unreadable)?;
    let (function, value) = (text("function_id"), text("value_str"));
    let (group, function, value) = match (function, value) {
        (Some(function), value) => (group, function, value),
        (None, Some(value)) => (group, value, None), // `BenchmarkId::from_parameter`
        (None, None) => ("-".to_owned(), group, None), // `Criterion::bench_function`
    };
    Ok(Measurement {
        group,
        function,
        value,
        median_ns,
    })
}

fn json(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, benchmark: &str, median: &str) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("benchmark.json"), benchmark).unwrap();
        let estimates = format!(r#"{{"mean":{{}},"median":{{"point_estimate":{median}}}}}"#);
        fs::write(directory.join("estimates.json"), estimates).unwrap();
    }

    #[test]
    fn finds_grouped_and_single_benches_and_nothing_else() {
        let root = std::env::temp_dir().join(format!("bench-table-{}", std::process::id()));
        let grouped = r#"{"group_id":"sse","function_id":"bare","value_str":"1024"}"#;
        let single = r#"{"group_id":"decode","function_id":null,"value_str":null}"#;
        write(&root.join("sse/bare/1024/new"), grouped, "12.5");
        write(&root.join("sse/bare/1024/base"), grouped, "99");
        write(&root.join("decode/new"), single, "7");
        fs::create_dir_all(root.join("report")).unwrap();

        let mut found = measurements(&root).unwrap();
        found.sort_by(|a, b| a.group.cmp(&b.group));
        fs::remove_dir_all(&root).unwrap();

        let expected = [
            ("-", "decode", None, 7.0),
            ("sse", "bare", Some("1024"), 12.5),
        ]
        .map(|(group, function, value, median_ns)| Measurement {
            group: group.to_owned(),
            function: function.to_owned(),
            value: value.map(str::to_owned),
            median_ns,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_results() {
        assert_eq!(measurements(Path::new("/nowhere/at/all")), Ok(Vec::new()));
    }

    #[test]
    fn a_result_of_another_shape_is_an_error_that_names_it() {
        let root = std::env::temp_dir().join(format!("bench-table-odd-{}", std::process::id()));
        write(&root.join("odd/new"), r#"{"group_id":7}"#, "1");
        let error = measurements(&root).unwrap_err();
        fs::remove_dir_all(&root).unwrap();
        assert!(error.contains("odd"), "{error}");
    }
}
