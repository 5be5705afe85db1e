//! Prometheus' text format, for what is counted outside of the recorder.

use std::{collections::BTreeMap, fmt::Write as _};

/// Samples by the name of their metric: those of one stand together, under one type.
#[derive(Debug, Default)]
pub(crate) struct Exposition(BTreeMap<&'static str, (&'static str, String)>);

impl Exposition {
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let (_, samples) = self.0.entry(name).or_insert_with(|| (kind, String::new()));
        samples.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(samples, "{before}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            samples.push('}');
        }
        let _ = writeln!(samples, " {value}");
    }

    pub(crate) fn write_to(&self, text: &mut String) {
        for (name, (kind, samples)) in &self.0 {
            let _ = write!(text, "# TYPE {name} {kind}\n{samples}");
        }
    }
}

/// Names of users and models are their callers' words.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_stand_under_one_type_and_a_label_is_one_whatever_is_in_it() {
        let mut all = Exposition::default();
        all.add(
            "b_total",
            "counter",
            &[("user", "a\"} 1\nc_total 2\\")],
            3.0,
        );
        all.add("a", "gauge", &[], 0.5);
        all.add("b_total", "counter", &[("user", "x"), ("limit", "y")], 4.0);
        let mut text = String::new();
        all.write_to(&mut text);
        let expected = "# TYPE a gauge\na 0.5\n# TYPE b_total counter\n\
            b_total{user=\"a\\\"} 1\\nc_total 2\\\\\"} 3\n\
            b_total{user=\"x\",limit=\"y\"} 4\n";
        assert_eq!(text, expected);
    }
}
