//! Whether decoding can start with an access unit. Pure.
//!
//! Contract: any bytes are judged, none make it panic. Units are NAL units behind their 4-byte lengths, as the parsers
//! hand them out (ISO 14496-15).

/// H.264 NAL unit types (Rec. ITU-T H.264, table 7-1): an IDR slice and SEI messages.
const H264_IDR: u8 = 5;
const H264_SEI: u8 = 6;
/// SEI message "recovery point" (Annex D): decoding may start here.
const RECOVERY_POINT: u32 = 6;
/// H.265 NAL unit types of pictures decoding can start with (Rec. ITU-T H.265, table 7-1): BLA_W_LP to CRA_NUT.
const H265_IRAP: std::ops::RangeInclusive<u8> = 16..=21;

/// An IDR picture, or one announced as a point of recovery.
pub(super) fn h264(unit: &[u8]) -> bool {
    nal_units(unit).any(|nal| match nal.split_first() {
        Some((head, _)) if head & 0x1f == H264_IDR => true,
        Some((head, body)) if head & 0x1f == H264_SEI => has_message(body, RECOVERY_POINT),
        _ => false,
    })
}

/// A picture of random access.
pub(super) fn h265(unit: &[u8]) -> bool {
    nal_units(unit).any(|nal| nal.first().is_some_and(|head| H265_IRAP.contains(&(head >> 1 & 0x3f))))
}

fn nal_units(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (nal, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = behind;
        Some(nal)
    })
}

/// Whether SEI messages contain one of `wanted` type. The bytes that keep start codes apart are not taken out: the
/// messages encoders put first are shorter than that could disturb, and a miss only means a later keyframe.
fn has_message(mut body: &[u8], wanted: u32) -> bool {
    while body.len() > 2 {
        let Some((kind, behind)) = number(body) else { return false };
        let Some((length, behind)) = number(behind) else { return false };
        if kind == wanted {
            return true;
        }
        let Some(next) = usize::try_from(length).ok().and_then(|length| behind.get(length..)) else { return false };
        body = next;
    }
    false
}

/// A number in SEI: 255 for every full 255, then the rest.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let full = bytes.iter().take_while(|&&byte| byte == 0xff).count();
    let (last, behind) = bytes.get(full..)?.split_first()?;
    Some((u32::try_from(full).ok()?.checked_mul(255)?.checked_add(u32::from(*last))?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
    }

    #[test]
    fn only_pictures_decoding_can_start_with_are_joined() {
        assert!(h264(&unit(&[&[0x67, 1], &[0x68, 2], &[0x65, 3]])), "IDR");
        assert!(!h264(&unit(&[&[0x41, 9, 9]])), "a slice of another picture");
        assert!(h264(&unit(&[&[6, 5, 2, 0, 0, 6, 1, 0xc4, 0x80], &[0x41, 9]])), "recovery point behind a text");
        assert!(!h264(&unit(&[&[6, 5, 2, 0, 0, 0x80], &[0x41, 9]])), "a text alone");
        assert!(h265(&unit(&[&[0x40, 1], &[0x26, 1, 2]])) && h265(&unit(&[&[0x2a, 1]])), "IDR and CRA");
        assert!(!h265(&unit(&[&[0x02, 1]])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (h264(&bytes), h265(&bytes));
        }
    }
}
