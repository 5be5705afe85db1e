//! Lines the results up, each against the row `bare` of its group.

use std::fmt::Write as _;

use crate::read::Measurement;

const HEADINGS: [&str; 5] = ["group", "row", "median", "over bare", "ratio"];

/// The table, sorted by group, function and value; rows of values compare with `bare` of the same
/// value where there is one.
pub(crate) fn table(mut found: Vec<Measurement>) -> String {
    found.sort_by(|a, b| {
        (&a.group, &a.function)
            .cmp(&(&b.group, &b.function))
            .then_with(|| by_value(a, b))
    });
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(found.iter().map(|row| {
        let (difference, ratio) = match bare(&found, row) {
            Some(bare) => (
                format!(
                    "{}{}",
                    sign(row.median_ns - bare),
                    time((row.median_ns - bare).abs())
                ),
                format!("{:.2}x", row.median_ns / bare),
            ),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let name = row.value.as_ref().map_or_else(
            || row.function.clone(),
            |value| format!("{}/{value}", row.function),
        );
        [
            row.group.clone(),
            name,
            time(row.median_ns),
            difference,
            ratio,
        ]
    }));
    lay_out(&rows)
}

/// Sizes by number, else by text.
fn by_value(a: &Measurement, b: &Measurement) -> std::cmp::Ordering {
    let number = |m: &Measurement| m.value.as_ref().and_then(|value| value.parse::<u64>().ok());
    number(a)
        .cmp(&number(b))
        .then_with(|| a.value.cmp(&b.value))
}

fn bare(found: &[Measurement], row: &Measurement) -> Option<f64> {
    let of = |value: &Option<String>| {
        found
            .iter()
            .find(|m| m.group == row.group && m.function == "bare" && m.value == *value)
            .map(|m| m.median_ns)
    };
    of(&row.value).or_else(|| of(&None))
}

fn sign(difference: f64) -> &'static str {
    if difference < 0.0 { "-" } else { "+" }
}

/// Three or four digits and a unit.
fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.decimals$} {unit}")
}

/// Names to the left, figures to the right.
fn lay_out(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut out = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            // Writing into a String cannot fail.
            let _ = match column {
                0 | 1 => write!(out, "{gap}{cell:<width$}"),
                _ => write!(out, "{gap}{cell:>width$}"),
            };
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: &str, function: &str, value: Option<&str>, median_ns: f64) -> Measurement {
        Measurement {
            group: group.to_owned(),
            function: function.to_owned(),
            value: value.map(str::to_owned),
            median_ns,
        }
    }

    #[test]
    fn rows_are_sorted_aligned_and_compared_with_bare() {
        let found = vec![
            row("retry", "three layers", None, 1_250.0),
            row("decode", "whole", None, 3.5e6),
            row("retry", "bare", None, 1_000.0),
            row("retry", "cheaper", None, 987.4),
        ];
        assert_eq!(
            table(found),
            "\
group   row            median  over bare  ratio
decode  whole         3.50 ms          -      -
retry   bare          1.00 µs   +0.00 ns  1.00x
retry   cheaper        987 ns   -12.6 ns  0.99x
retry   three layers  1.25 µs    +250 ns  1.25x
"
        );
    }

    #[test]
    fn a_row_with_a_value_is_compared_with_bare_of_that_value() {
        let found = vec![
            row("sse", "ours", Some("1024"), 300.0),
            row("sse", "ours", Some("64"), 30.0),
            row("sse", "bare", Some("64"), 10.0),
            row("sse", "bare", Some("1024"), 100.0),
        ];
        let ratios: Vec<_> = table(found)
            .lines()
            .skip(3)
            .map(|l| l.split_whitespace().last().map(str::to_owned))
            .collect();
        assert_eq!(ratios, [Some("3.00x".to_owned()), Some("3.00x".to_owned())]);
    }

    #[test]
    fn times_have_a_unit_and_three_digits() {
        let shown = [0.321, 9.0, 99.94, 999.0, 1_000.0, 45_678.0, 2.0e9].map(time);
        assert_eq!(
            shown,
            [
                "0.32 ns", "9.00 ns", "99.9 ns", "999 ns", "1.00 µs", "45.7 µs", "2.00 s"
            ]
        );
    }
}
