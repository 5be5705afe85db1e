//! What the fuzz targets check of what is not public. Only there when built for fuzzing.

use crate::ledger::{COLUMNS, Value, entry, row};

/// A row with cells of these bytes: each is told by its first byte, texts by their length too.
///
/// # Panics
///
/// If a record is not read again as it is written.
pub fn row_of(mut bytes: &[u8]) {
    let mut take = |most: usize| {
        let (taken, rest) = bytes.split_at(most.min(bytes.len()));
        bytes = rest;
        taken
    };
    let cells = COLUMNS.map(|_| match take(1).first().copied().unwrap_or(0) {
        0..60 => Value::Null,
        small @ 60..120 => Value::Int(i64::from(small) - 60),
        120..140 => {
            let mut number = [0; 8];
            let digits = take(8);
            number[..digits.len()].copy_from_slice(digits);
            Value::Int(i64::from_le_bytes(number))
        }
        length => {
            Value::Text(String::from_utf8_lossy(take(usize::from(length - 140))).into_owned())
        }
    });
    if let Some(read) = entry(cells.to_vec()) {
        let written = row(&read);
        let again = entry(written.clone()).expect("it is read again");
        assert_eq!(row(&again), written);
    }
}
