//! The price list that is built in, and files of its form.

use super::{
    InvalidPrices,
    off_peak::{Window, days},
    rate::{Factor, Rate},
    rates::{ModelPrice, Overlay, Rates, Service},
};

pub(crate) const BUILTIN: &str = include_str!("../../prices.csv");

/// Reads a price list: a first line `# 2026-11-23 …` with its date, a line of headings, a line for each
/// model. Cells are dollars for a million tokens; they have no quotes and no commas.
pub(crate) fn read(text: &str) -> Result<Vec<(String, ModelPrice)>, InvalidPrices> {
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'));
    let (_, head) = lines.next().ok_or(InvalidPrices::EMPTY)?;
    let head: Vec<&str> = head.split(',').map(str::trim).collect();
    let mut models = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let fault = |what| InvalidPrices::at(number + 1, what);
        if cells.len() != head.len() {
            return Err(fault("it has not as many cells as there are headings"));
        }
        let row = Row {
            head: &head,
            cells: &cells,
        };
        let name = row.text("model_key");
        if name.is_empty() {
            return Err(fault("it names no model"));
        }
        let price = row.price().ok_or_else(|| fault("a cell is no price"))?;
        models.push((name.to_owned(), price));
    }
    Ok(models)
}

/// The date on the first line, as seconds since the epoch.
pub(crate) fn date(text: &str) -> Option<&str> {
    let line = text.lines().next()?.strip_prefix('#')?.trim();
    Some(line.split([' ', ';']).next().unwrap_or(line))
}

struct Row<'a> {
    head: &'a [&'a str],
    cells: &'a [&'a str],
}

impl<'a> Row<'a> {
    fn text(&self, column: &str) -> &'a str {
        let at = self.head.iter().position(|name| *name == column);
        at.and_then(|at| self.cells.get(at))
            .copied()
            .unwrap_or_default()
    }

    /// `Some(None)`: the cell is empty. `None`: it is no price.
    fn rate(&self, column: &str) -> Option<Option<Rate>> {
        match self.text(column) {
            "" => Some(None),
            cell => Rate::per_million(cell).map(Some),
        }
    }

    fn price(&self) -> Option<ModelPrice> {
        let mut price = ModelPrice {
            provider: self.text("provider").into(),
            base: Rates {
                input: self.rate("input")?,
                cached: self.rate("cache_read")?,
                cache_write: self.rate("cache_write")?,
                cache_write_long: self.rate("cache_write_long")?,
                audio_input: self.rate("audio_input")?,
                output: self.rate("output")?,
                reasoning: self.rate("output_reasoning")?,
                audio_output: self.rate("audio_output")?,
            },
            ..ModelPrice::default()
        };
        if let above @ 1.. = thousands(self.text("tier_above"))? {
            let rates = Rates {
                input: self.rate("tier_input")?,
                cached: self.rate("tier_cache_read")?,
                cache_write: self.rate("tier_cache_write")?,
                output: self.rate("tier_output")?,
                ..Rates::default()
            };
            price.overlays.push(Overlay {
                above,
                service: None,
                rates,
            });
        }
        for (service, input, output) in [
            (Service::Batch, "batch_input", "batch_output"),
            (Service::Flex, "flex_input", "flex_output"),
            (Service::Priority, "priority_input", "priority_output"),
        ] {
            price.serve(service, self.rate(input)?, self.rate(output)?);
        }
        for note in self.text("notes").split(" | ") {
            price.note(note)?;
        }
        Some(price)
    }
}

impl ModelPrice {
    fn serve(&mut self, service: Service, input: Option<Rate>, output: Option<Rate>) {
        if input.is_some() || output.is_some() {
            self.overlays.push(Overlay {
                above: 0,
                service: Some(service),
                rates: Rates {
                    input,
                    output,
                    ..Rates::default()
                },
            });
        }
    }

    /// What stands in the last column. What is not known there is no price.
    fn note(&mut self, note: &str) -> Option<()> {
        if let Some(factors) = note.strip_prefix("mult:") {
            for factor in factors.split(';') {
                let (name, factor) = factor.split_once('=')?;
                self.factors.push((name.into(), Factor::parse(factor)?));
            }
        } else if let Some(region) = note.strip_prefix("region_") {
            let (name, factor) = region.split_once("=x")?;
            self.regions.push((name.into(), Factor::parse(factor)?));
        } else if let Some(fee) = note.strip_prefix("search/query=") {
            self.search = Some(Rate::per_unit(fee)?);
        } else if let Some(rates) = note.strip_prefix("ultrafast in/out=") {
            let (input, output) = rates.split_once('/')?;
            let (input, output) = (Rate::per_million(input)?, Rate::per_million(output)?);
            self.serve(Service::Ultrafast, Some(input), Some(output));
        } else if let Some(rates) = note.strip_prefix("off_peak in/cache/out=") {
            let mut rates = rates.split('/').map(Rate::per_million);
            self.off_peak.get_or_insert_default().rates = Rates {
                input: Some(rates.next()??),
                cached: Some(rates.next()??),
                output: Some(rates.next()??),
                ..Rates::default()
            };
        } else if let Some(windows) = note.strip_prefix("off_peak_hours=") {
            let windows = windows
                .split(';')
                .map(off_peak_hours)
                .collect::<Option<Vec<_>>>()?;
            self.off_peak.get_or_insert_default().windows = windows.concat();
        }
        Some(())
    }
}

/// `1-5 00:00-01:00 04:00-06:00`: from Monday to Friday, two windows.
fn off_peak_hours(text: &str) -> Option<Vec<Window>> {
    let (on, hours) = text.split_once(' ')?;
    let (first, last) = on.split_once('-')?;
    let on = days(first.parse().ok()?..=last.parse().ok()?);
    hours
        .split(' ')
        .map(|hours| Window::parse(hours, on))
        .collect()
}

/// `272k`; an empty cell is 0.
fn thousands(text: &str) -> Option<u64> {
    match text {
        "" => Some(0),
        _ => text
            .strip_suffix('k')?
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000),
    }
}
