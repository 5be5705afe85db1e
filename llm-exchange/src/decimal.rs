//! Numbers as header values.

use http::HeaderValue;

/// Numbers below this are written once, at compile time.
const WRITTEN: usize = 1000;
const WIDTH: usize = 3;
const DIGITS: [u8; WRITTEN * WIDTH] = written();
static TEXT: &str = match str::from_utf8(&DIGITS) {
    Ok(text) => text,
    Err(_) => "",
};

const fn written() -> [u8; WRITTEN * WIDTH] {
    let mut digits = [0; WRITTEN * WIDTH];
    let mut number = 0;
    while number < WRITTEN {
        let at = number * WIDTH;
        digits[at] = b'0' + (number / 100) as u8;
        digits[at + 1] = b'0' + (number / 10 % 10) as u8;
        digits[at + 2] = b'0' + (number % 10) as u8;
        number += 1;
    }
    digits
}

/// The number in decimal. One below 1,000 costs no allocation, any other one; http's own conversion
/// costs two.
pub(crate) fn decimal(number: u64) -> HeaderValue {
    match usize::try_from(number) {
        Ok(number) if number < WRITTEN => {
            let skipped = usize::from(number < 10) + usize::from(number < 100);
            let at = number * WIDTH;
            HeaderValue::from_static(&TEXT[at + skipped..at + WIDTH])
        }
        _ => large(number),
    }
}

fn large(number: u64) -> HeaderValue {
    let mut rest = number;
    let mut digits = [0; 20];
    let mut first = digits.len();
    while rest > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // digits are always a header value
    HeaderValue::from_bytes(&digits[first..]).unwrap_or_else(|_| number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_reads_as_it_is_written() {
        let some = [1_000, 1_001, 30_000, 999_999, u64::from(u32::MAX), u64::MAX];
        for number in (0..1_000).chain(some) {
            assert_eq!(decimal(number), number.to_string(), "{number}");
        }
    }
}
