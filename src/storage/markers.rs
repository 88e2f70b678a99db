//! Markers of a journal, and where they lie in the files. Pure.

use crate::model::marker::{Marker, MarkerPlace};
use crate::model::session::{JournalKind, Line, ManifestInput, PartRecord};

/// The markers of a session with the keys of their requests, oldest first, each key once: a line that was refused may
/// stand there, also more than once, and what was answered is the last one.
pub(super) fn kept(lines: &[Line<JournalKind>]) -> Vec<(String, Marker)> {
    let mut kept: Vec<(String, Marker)> = Vec::new();
    for line in lines {
        let JournalKind::Marker(marker) = &line.kind else { continue };
        kept.retain(|(key, _)| *key != marker.key);
        kept.push((marker.key.clone(), Marker::of(line.t_ns, line.at, marker)));
    }
    kept.sort_by_key(|(_, marker)| marker.n);
    kept
}

/// The same with their places in the files of `inputs`.
pub(super) fn placed(lines: &[Line<JournalKind>], inputs: &[ManifestInput]) -> Vec<Marker> {
    let places = |t_ns| inputs.iter().filter_map(|input| place(input, t_ns)).collect();
    let markers = kept(lines).into_iter().map(|(_, marker)| marker);
    markers.map(|marker| Marker { places: places(marker.t_ns), ..marker }).collect()
}

/// Where `t_ns` lies in the files of an input; `None` = nothing of it was recorded then.
fn place(input: &ManifestInput, t_ns: i64) -> Option<MarkerPlace> {
    let media = |part: &PartRecord| {
        let media_ns = u64::try_from(t_ns.checked_sub(part.offset_ns?)?).ok()?;
        (media_ns < part.duration_ns).then_some(media_ns)
    };
    // Parts that overlap by a packet of sound: the later one holds the picture.
    let (part, media_ns) = input.parts.iter().rev().find_map(|part| Some((part, media(part)?)))?;
    Some(MarkerPlace { input: input.id.clone(), part: part.part, file: part.file.clone(), media_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::encoding::Container;
    use crate::model::marker::MarkerLine;
    use crate::model::session::{PartEnd, Verdict};
    use jiff::Timestamp;

    fn line(n: u32, t_ns: i64) -> Line<JournalKind> {
        let line = MarkerLine { n, media_ms: None, label: None, key: format!("k{n}") };
        Line { t_ns, at: Timestamp::UNIX_EPOCH, kind: JournalKind::Marker(line) }
    }

    #[test]
    fn what_was_refused_hides_nothing_that_was_promised() {
        // The first was refused and stands there; an engine that gave its number away again, and one that did not.
        for n in [1, 2] {
            let mut refused = line(1, 5);
            let JournalKind::Marker(marker) = &mut refused.kind else { panic!("a marker") };
            marker.key = "refused".into();
            let kept = kept(&[refused.clone(), refused, line(n, 9)]);
            let found: Vec<_> = kept.iter().map(|(key, marker)| (key.as_str(), marker.n, marker.t_ns)).collect();
            assert_eq!(found, [("refused", 1, 5), (&*format!("k{n}"), n, 9)]);
        }
        // Asked for again with the same key it is one marker, where it was answered.
        let mut again = line(2, 9);
        let JournalKind::Marker(marker) = &mut again.kind else { panic!("a marker") };
        marker.key = "k1".into();
        let kept = kept(&[line(1, 5), again]);
        assert_eq!((kept.len(), kept[0].1.n, kept[0].1.t_ns), (1, 2, 9));
    }

    #[test]
    fn a_marker_is_found_in_the_part_that_holds_its_time_and_in_none_where_nothing_was_recorded() {
        let part = |part, offset_ns, duration_ns| PartRecord {
            offset_ns: Some(offset_ns),
            duration_ns,
            ..PartRecord::new(part, format!("a.part{part}.mp4"), Container::Mp4, PartEnd::Split)
        };
        let input = ManifestInput {
            id: "a".parse().expect("an id"),
            name: "A".into(),
            kind: "test".into(),
            verdict: Verdict::Ok,
            lost: None,
            // The first ends 3 ns behind the begin of the second, and nothing is recorded from 200 to 300.
            parts: vec![part(1, 10, 93), part(2, 100, 100), part(3, 300, 50)],
            findings: Vec::new(),
        };
        let at = [(1, 5), (2, 10), (3, 101), (4, 250), (5, 349), (6, 350)];
        let mut lines: Vec<_> = at.into_iter().map(|(n, t_ns)| line(n, t_ns)).collect();
        lines.push(line(3, 101));
        let markers = placed(&lines, &[input]);
        let found: Vec<_> = markers
            .iter()
            .map(|marker| (marker.n, marker.places.first().map(|place| (place.part, place.media_ns))))
            .collect();
        let wanted = [(1, None), (2, Some((1, 0))), (3, Some((2, 1))), (4, None), (5, Some((3, 49))), (6, None)];
        assert_eq!(found, wanted);
    }
}
