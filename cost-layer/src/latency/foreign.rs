//! A histogram that somebody else wrote.

use std::io::Read;

use flate2::read::ZlibDecoder;
use hdrhistogram::serialization::Deserializer;

use super::slices::Counts;

/// What a histogram's bytes begin with: HDR's second version, as it is and deflated.
const PLAIN: u32 = 0x1c84_9313;
const DEFLATED: u32 = 0x1c84_9314;
/// The mark, the length of what follows, an offset, the digits, the range and a factor.
const HEADER: usize = 40;
/// With three digits and all of the range it is half of this.
const LARGEST: usize = 1 << 20;
/// Ours have two.
const MOST_DIGITS: u32 = 3;

/// Reads a histogram. Its header says how much room it needs: that is believed only as far as bytes are
/// there, or a line of a hundred bytes could ask for gigabytes.
pub(super) fn read(bytes: &[u8]) -> Option<Counts> {
    let inflated;
    let plain = if number(bytes, 0)? == DEFLATED {
        inflated = inflate(bytes.get(8..)?)?;
        &inflated
    } else {
        bytes
    };
    let length = usize::try_from(number(plain, 4)?).ok()?;
    let counts = plain.get(HEADER..)?.get(..length)?;
    let fits = number(plain, 0)? == PLAIN
        && number(plain, 12)? <= MOST_DIGITS
        && numbers_are_short(counts);
    if !fits {
        return None;
    }
    Deserializer::new().deserialize(&mut &plain[..]).ok()
}

/// A number goes on while a byte's highest bit is set, up to nine bytes. Ours have five at most; with nine it
/// may be the one whose negative there is not, which the decoder does not expect.
fn numbers_are_short(counts: &[u8]) -> bool {
    let mut long = counts.split(|byte| byte & 0x80 == 0);
    long.all(|before_the_last| before_the_last.len() < 8)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// `None`: it is too large, or no deflated bytes.
fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let most = LARGEST as u64 + 1;
    ZlibDecoder::new(bytes)
        .take(most)
        .read_to_end(&mut plain)
        .ok()?;
    (plain.len() <= LARGEST).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};

    use super::*;
    use crate::latency::slices::counts;

    fn with_header(length: u32, digits: u32, highest: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [PLAIN, length, 0, digits] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for number in [1, highest, 1_f64.to_bits()] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&[2, 4]);
        bytes
    }

    fn deflated(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        let inner = encoder.finish().unwrap();
        let mut bytes = DEFLATED.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(inner.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&inner);
        bytes
    }

    #[test]
    fn what_was_written_is_read_in_both_forms() {
        let mut own = counts();
        for value in [1, 700, 3_600_000_000_u64] {
            own.record(value).unwrap();
        }
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&own, &mut bytes).unwrap();
        assert_eq!(read(&bytes), Some(own.clone()));
        bytes.clear();
        V2DeflateSerializer::new()
            .serialize(&own, &mut bytes)
            .unwrap();
        assert_eq!(read(&bytes), Some(own));
    }

    #[test]
    fn no_more_room_is_taken_than_there_are_bytes_for() {
        let whole = with_header(2, 2, 3_600_000_000);
        assert!(read(&whole).is_some() && read(&deflated(&whole)).is_some());
        for bytes in [
            // two gigabytes, of which two bytes are there
            with_header(0x8000_0005, 2, 3_600_000_000),
            with_header(3, 2, 3_600_000_000),
            // of five digits a histogram has 25 MB
            with_header(2, 5, u64::MAX),
        ] {
            assert_eq!(read(&bytes), None);
            assert_eq!(read(&deflated(&bytes)), None);
        }
        // the smallest number that there is
        let mut smallest = with_header(11, 2, 3_600_000_000);
        smallest.extend_from_slice(&[0xff; 9]);
        assert_eq!(read(&smallest), None);
        // a megabyte of zeros is a kilobyte
        let mut bomb = with_header(2 << 20, 2, 3_600_000_000);
        bomb.resize(2 << 20, 0);
        assert_eq!(read(&deflated(&bomb)), None);
    }
}
