//! Records as texts for other programs.

use std::{fmt, io};

use serde_json::{Map, Number, Value as Json};

use crate::{
    CostHandle, Entry, LedgerError, Order, Page, Span,
    ledger::{COLUMNS, Value, row},
};

/// How records are written out. Amounts are whole pico-dollars (10⁻¹² USD), times whole microseconds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), the first line with the names of the columns. A text that a
    /// spreadsheet would take for a formula has a `'` in front.
    Csv,
    /// One JSON object a line. What is not known is left out.
    JsonLines,
}

/// Records were not written out, or not all.
#[non_exhaustive]
#[derive(Debug)]
pub enum ExportError {
    /// The ledger does not answer.
    Ledger(LedgerError),
    /// What they are written to does not take them.
    Output(io::Error),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(error) => error.fmt(f),
            Self::Output(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ledger(error) => Some(error),
            Self::Output(error) => Some(error),
        }
    }
}

/// So many records are held at a time.
const PAGE: usize = 1_000;

impl CostHandle {
    /// Writes all records of a span out, the earliest first, and returns how many; attempts left behind are
    /// lines of their own.
    ///
    /// # Errors
    ///
    /// The ledger does not answer, or the output does not take them.
    pub async fn export(
        &self,
        span: Span,
        format: Format,
        output: &mut (impl io::Write + Send),
    ) -> Result<u64, ExportError> {
        if format == Format::Csv {
            let head = COLUMNS.map(|(name, _)| name).join(",");
            output
                .write_all(format!("{head}\r\n").as_bytes())
                .map_err(ExportError::Output)?;
        }
        let mut page = Page::new(span, Order::Oldest).most(PAGE);
        let mut written = 0;
        loop {
            let entries = self.entries(&page).await.map_err(ExportError::Ledger)?;
            let Some(last) = entries.last() else {
                return Ok(written);
            };
            page.after = Some((last.at, last.id, last.part));
            for entry in &entries {
                output
                    .write_all(format.line(entry).as_bytes())
                    .map_err(ExportError::Output)?;
                written += 1;
            }
        }
    }
}

impl Format {
    /// A record as a line, with its end.
    #[must_use]
    pub fn line(self, entry: &Entry) -> String {
        match self {
            Self::Csv => {
                let cells: Vec<String> = row(entry).iter().map(cell).collect();
                format!("{}\r\n", cells.join(","))
            }
            Self::JsonLines => {
                let fields = COLUMNS
                    .iter()
                    .zip(row(entry))
                    .filter_map(|((name, _), value)| {
                        let json = match value {
                            Value::Null => return None,
                            Value::Int(value) => Json::Number(Number::from(value)),
                            // an object already
                            Value::Text(text) if *name == "tags" => {
                                serde_json::from_str(&text).ok()?
                            }
                            Value::Text(text) => Json::String(text),
                        };
                        Some(((*name).to_owned(), json))
                    });
                format!("{}\n", Json::Object(fields.collect::<Map<_, _>>()))
            }
        }
    }
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Int(value) => return value.to_string(),
        Value::Text(text) => text,
    };
    // users and models are written by callers: no spreadsheet is to run them
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quote = if is_formula { "'" } else { "" };
    if is_formula || text.contains([',', '"', '\n', '\r']) {
        format!("\"{quote}{}\"", text.replace('"', "\"\""))
    } else {
        text.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use llm_exchange::User;

    use super::*;
    use crate::{RecordId, Tags};

    fn entry() -> Entry {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        let mut entry = Entry::new(RecordId::new(), at, "say \"a, b\"");
        entry.user = Some(User::new("=HYPERLINK(\"x\")"));
        entry.tags = Tags::new().with("team", "search");
        entry
    }

    #[test]
    fn a_line_of_csv_has_a_cell_for_each_column_and_no_formula() {
        let line = Format::Csv.line(&entry());
        assert!(
            line.contains(",5000000,\"'=HYPERLINK(\"\"x\"\")\",,\"say \"\"a, b\"\"\","),
            "{line}"
        );
        assert!(
            line.ends_with(",\"{\"\"team\"\":\"\"search\"\"}\",0\r\n"),
            "{line}"
        );
    }

    #[test]
    fn a_line_of_json_is_an_object_of_what_is_known() {
        let line = Format::JsonLines.line(&entry());
        let json: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(json["user_name"], "=HYPERLINK(\"x\")");
        assert_eq!(json["tags"]["team"], "search");
        assert!(json.get("cost").is_none() && line.ends_with("}\n"));
    }
}
