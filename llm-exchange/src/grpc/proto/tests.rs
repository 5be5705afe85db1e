use proptest::prelude::*;

use super::*;

/// A message with one field of each kind: 1 text, 2 number, 3 fixed64, 4 nested, 5 fixed32.
fn sample() -> Vec<u8> {
    let mut bytes = vec![0x0a, 2, b'h', b'i', 0x10, 0xac, 2];
    bytes.extend([0x19, 1, 2, 3, 4, 5, 6, 7, 8]);
    bytes.extend([0x22, 2, 0x08, 7]);
    bytes.extend([0x2d, 1, 2, 3, 4]);
    bytes
}

fn read(message: &[u8]) -> Vec<(u32, Value<'_>)> {
    fields(message)
        .map(|field| field.map(|field| (field.number, field.value)).unwrap())
        .collect()
}

#[test]
fn every_kind_of_field_is_read_or_passed_over() {
    assert_eq!(
        read(&sample()),
        [
            (1, Value::Bytes(b"hi")),
            (2, Value::Varint(300)),
            (3, Value::Fixed64),
            (4, Value::Bytes(&[8, 7])),
            (5, Value::Fixed32)
        ]
    );
}

#[test]
fn what_is_no_message_ends_there() {
    for bad in [
        &[0x0a, 3, b'h'][..], // too short
        &[0x03],              // a field number of 0
        &[0x0b],              // a group
        &[0x0f],              // no such wire type
        &[0x08],              // no value
        &[0x08, 0xff, 0xff],  // a number without an end
        &[
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ],
        &[
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ],
    ] {
        let all: Vec<_> = fields(bad).collect();
        assert_eq!(all, [Err(Malformed)], "{bad:?}");
        assert!(set_string(bad, &[9], "x").is_err());
    }
}

#[test]
fn a_negative_count_is_none() {
    let mut message = vec![0x08];
    put_varint(&mut message, (-1i64) as u64);
    let value = fields(&message).next().unwrap().unwrap().value;
    assert_eq!(value.count(), 0);
}

#[test]
fn only_the_value_that_is_set_changes() {
    let mut expected = sample();
    expected.splice(1..4, [5, b'o', b't', b'h', b'e', b'r']);
    assert_eq!(set_string(&sample(), &[1], "other").unwrap(), expected);
    let mut expected = sample();
    expected.splice(17..20, [3, 8, 0x90, 3]);
    assert_eq!(set_varint(&sample(), &[4, 1], 400).unwrap(), expected);
}

#[test]
fn what_is_not_there_is_added_at_the_end() {
    let mut expected = sample();
    expected.extend([0x4a, 2, 0x28, 9]);
    assert_eq!(set_varint(&sample(), &[9, 5], 9).unwrap(), expected);
    assert!(set_varint(&sample(), &[2, 5], 9).is_err(), "no message");
}

#[test]
fn of_a_field_that_stands_twice_the_last_counts_and_is_set() {
    let twice = [0x0a, 1, b'a', 0x10, 1, 0x0a, 1, b'b'];
    assert_eq!(
        set_string(&twice, &[1], "c").unwrap(),
        [0x0a, 1, b'a', 0x10, 1, 0x0a, 1, b'c']
    );
}

fn varint_at(message: &[u8], path: &[u32]) -> Option<u64> {
    let (number, inner) = path.split_first()?;
    let mut last = None;
    for field in fields(message) {
        let field = field.ok()?;
        if field.number == *number {
            last = Some(field.value);
        }
    }
    match (last?, inner) {
        (Value::Varint(value), []) => Some(value),
        (Value::Bytes(nested), inner) => varint_at(nested, inner),
        _ => None,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_a_value_set_is_found_again(
        message in prop::collection::vec(any::<u8>(), 0..60),
        path in prop::collection::vec(1u32..20, 1..3),
        value in any::<u64>(),
    ) {
        if let Ok(set) = set_varint(&message, &path, value) {
            prop_assert_eq!(varint_at(&set, &path), Some(value));
            prop_assert_eq!(set_varint(&set, &path, value).unwrap(), set.clone());
            // and back: nothing else was touched
            if let Some(before) = varint_at(&message, &path) {
                let back = set_varint(&set, &path, before).unwrap();
                prop_assert_eq!(varint_at(&back, &path), Some(before));
            }
        }
    }
}
