//! Cameras as they are: what comes of their times, whatever arrival does.

use super::*;
use proptest::prelude::*;

const RATE: i32 = 90_000;
const SOUND_RATE: i32 = 48_000;
const MS: i64 = 1_000_000;
const FRAME: u32 = 3000;
/// When the stamps of the streams are this, the camera's wall clock is at [`WALL`].
const BEGIN: [u32; 2] = [u32::MAX - 5000, 77];
/// In ms; nobody knows when 1900 was exactly.
const WALL: i64 = 4_004_632_154_694;
/// Pictures in the order of decoding, as numbers to be shown by: I0 P4 B2 B1 B3 P8 …
const B_FRAMES: [u32; 4] = [4, 2, 1, 3];

/// Places pictures (stamp, arrival in ms) of a stream that is alone.
fn place(pictures: impl IntoIterator<Item = (u32, i64)>) -> Vec<i64> {
    let streams = Streams::default();
    let mut times = Times::new(streams.join(Kind::Pictures).expect("a place"));
    let mut place =
        |(stamp, arrived): (u32, i64)| times.place(&streams, Header { stamp, source: 1 }, RATE, arrived * MS);
    pictures.into_iter().map(&mut place).collect()
}

/// A camera with pictures (0) and sound (1).
struct Camera {
    streams: Streams,
    times: [Option<Times>; 2],
    /// ms that each stream's clock is set on, which leaves its times and its reports with it.
    set: [i64; 2],
}

impl Camera {
    fn new() -> Self {
        let streams = Streams::default();
        let times = [Kind::Pictures, Kind::Sound].map(|kind| Some(Times::new(streams.join(kind).expect("a place"))));
        Self { streams, times, set: [0; 2] }
    }

    /// When what stream `n` made at `made` is placed, if it takes so long to arrive; all in ms, what comes in ns.
    fn place(&mut self, n: usize, made: i64, takes: i64) -> i64 {
        let header = Header { stamp: stamp(n, made + self.set[n]), source: n as u32 };
        let times = self.times[n].as_mut().expect("it is there");
        times.place(&self.streams, header, [RATE, SOUND_RATE][n], (5000 + made + takes) * MS)
    }

    /// How far sound lies behind the picture that was made with it.
    fn apart(&mut self, made: i64, takes: (i64, i64)) -> i64 {
        let picture = self.place(0, made, takes.0);
        self.place(1, made, takes.1) - picture
    }

    /// Stream `n` reports at `made`, by a wall clock that is `off`.
    fn report(&self, n: usize, made: i64, off: i64) {
        self.streams.report(n as u32, stamp(n, made + self.set[n]), (WALL + made + off) * MS);
    }

    /// Both report truly every 5 s from `from` on, sound 1 s behind pictures.
    fn report_if_due(&self, made: i64, from: i64) {
        for (n, at) in [(0, from), (1, from + 1000)] {
            if made >= at && (made - at) % 5000 == 0 {
                self.report(n, made, made % 3);
            }
        }
    }
}

/// The stamp of what stream `n` made at `made` (ms).
fn stamp(n: usize, made: i64) -> u32 {
    BEGIN[n].wrapping_add((made * i64::from([RATE, SOUND_RATE][n]) / 1000) as u32)
}

fn every_20_ms(until: i64) -> impl Iterator<Item = i64> {
    (0..until).step_by(20)
}

#[test]
fn what_is_late_for_a_moment_keeps_its_place_and_b_frames_theirs() {
    // From the 30th picture on a hold-up of 300 ms, which a jitter buffer passes on, for up to 2 s. The camera's clock wraps
    // before.
    [10, 60].into_iter().for_each(held_up_for);
}

fn held_up_for(pictures: u32) {
    let pictures: Vec<(u32, i64)> = (0..200u32)
        .map(|n| {
            let number = n / 4 * 4 + B_FRAMES[(n % 4) as usize];
            let late = if (30..30 + pictures).contains(&n) { 300 } else { 0 };
            (0u32.wrapping_sub(20 * FRAME).wrapping_add(number * FRAME), 1000 + i64::from(number) * 100 / 3 + late)
        })
        .collect();
    let placed = place(pictures.clone());
    for (pair, times) in pictures.windows(2).zip(placed.windows(2)) {
        let sent = i64::from(pair[1].0.wrapping_sub(pair[0].0).cast_signed()) * 1_000_000_000 / i64::from(RATE);
        let off = times[1] - times[0] - sent;
        assert!(off.abs() < 4 * MS, "{off} ns: {pair:?} {times:?}");
    }
    let last = placed.last().expect("pictures") - pictures.last().expect("pictures").1 * MS;
    assert!(last.abs() < 5 * MS, "{last} ns off in the end");
}

#[test]
fn a_clock_that_was_set_back_or_on_goes_on_behind() {
    for step in [-100_000i64, -3600, 3600, 20_000] {
        let set = (step * i64::from(RATE)) as u32;
        let placed = place((0..60u32).map(|n| {
            let stamp = (n * FRAME).wrapping_add(if n < 30 { 0 } else { set });
            (stamp, 1000 + i64::from(n) * 100 / 3)
        }));
        for (n, pair) in placed.windows(2).enumerate() {
            let step = pair[1] - pair[0];
            assert!((20 * MS..50 * MS).contains(&step), "picture {n}: {step} ns after the one before");
        }
    }
}

#[test]
fn a_camera_that_stood_still_is_caught_up_with_in_one_step_forward() {
    let placed = place((0..500u32).map(|n| (n * FRAME, 1000 + i64::from(n) * 100 / 3 + if n < 300 { 0 } else { 800 })));
    assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
    let expected = (1000 + 499 * 100 / 3 + 800) * MS;
    assert!((placed[499] - expected).abs() < 5 * MS, "{} instead of {expected}", placed[499]);
}

#[test]
fn a_stream_that_begins_with_the_past_finds_its_place() {
    // A second of it at once, then in real time.
    let placed = place((0..400u32).map(|n| (n * FRAME, 1000 + i64::from(n.saturating_sub(30)) * 100 / 3)));
    assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
    let expected = (1000 + 369 * 100 / 3) * MS;
    assert!((placed[399] - expected).abs() < 5 * MS, "{} instead of {expected}", placed[399]);
}

/// Over TCP the first packet of a stream is given the time of the other's, which came before.
#[test]
fn a_first_packet_that_seems_early_is_believed_no_more_with_the_second() {
    let placed = place((0..20u32).map(|n| (n * FRAME, 1000 + i64::from(n) * 100 / 3 + if n == 0 { 0 } else { 700 })));
    let expected = (1000 + 100 / 3 + 700) * MS;
    assert!((placed[1] - expected).abs() < 2 * MS, "{} instead of {expected}", placed[1]);
}

#[test]
fn a_camera_that_reports_is_in_step_from_then_on() {
    for takes in [(40, 206), (206, 40)] {
        let mut camera = Camera::new();
        for made in every_20_ms(20_000) {
            camera.report_if_due(made, 2000);
            let apart = camera.apart(made, takes);
            // The picture of 3000 does not know yet what sound will report.
            let expected = if made > 3000 { 0 } else { takes.1 - takes.0 };
            assert!(made == 3000 || (apart - expected * MS).abs() < 4 * MS, "{apart} ns apart at {made} ms: {takes:?}");
        }
    }
}

/// What moved one stream and not the other, when `rtpbin` put them in step.
#[test]
fn pictures_that_are_held_up_while_the_camera_reports_stay_in_step() {
    for held_up in [60, 160, 700, 1500] {
        let mut camera = Camera::new();
        for made in every_20_ms(12_000) {
            let late = if (2500..4500).contains(&made) { held_up } else { 0 };
            camera.report_if_due(made, 2000);
            let apart = camera.apart(made, (40 + late, 206));
            assert!(made <= 3020 || apart.abs() < 5 * MS, "{apart} ns apart at {made} ms, {held_up} ms late");
        }
    }
}

#[test]
fn a_stream_that_begins_with_the_past_is_in_step_once_the_camera_reports() {
    let mut camera = Camera::new();
    for made in every_20_ms(10_000) {
        camera.report_if_due(made, 100);
        let apart = camera.apart(made, ((800 - made).max(0), 40));
        assert!(made < 1140 || apart.abs() < 5 * MS, "{apart} ns apart at {made} ms");
    }
}

#[test]
fn reports_that_contradict_arrival_or_come_of_one_stream_only_are_not_believed() {
    for (streams, off) in [(2, 3300), (2, -5000), (1, 0)] {
        let mut camera = Camera::new();
        for made in every_20_ms(12_000) {
            if made % 5000 == 0 {
                (0..streams).for_each(|n| camera.report(n, made, if n == 1 { off } else { 0 }));
            }
            let apart = camera.apart(made, (40, 206));
            assert!((apart - 166 * MS).abs() < MS, "{apart} ns apart at {made} ms: {streams} streams, {off} ms off");
        }
    }
}

/// The clock of the pictures goes back 2 s. A report from before is not believed of what comes behind.
#[test]
fn a_stream_whose_clock_was_set_stays_in_step() {
    for reported_before in [false, true] {
        let mut camera = Camera::new();
        for made in every_20_ms(20_000) {
            if made == 8000 && reported_before {
                camera.report(0, made, 0);
            }
            if made == 8000 {
                camera.set[0] = -2000;
            }
            camera.report_if_due(made, 1000);
            let apart = camera.apart(made, (40, 206));
            assert!(made <= 2020 || apart.abs() < 5 * MS, "{apart} ns apart at {made} ms");
        }
    }
}

/// The camera sets its wall clock between two reports, and says so of one stream first.
#[test]
fn a_wall_clock_that_was_set_moves_no_stream_against_the_other() {
    for off in [-700, 50, 700] {
        let mut camera = Camera::new();
        for made in every_20_ms(30_000) {
            for (n, at) in [(0, 2000), (1, 4500)] {
                if made >= at && (made - at) % 5000 == 0 {
                    camera.report(n, made, if made > 8000 { off } else { 0 });
                }
            }
            let apart = camera.apart(made, (40, 206));
            assert!(made <= 4520 || apart.abs() < 5 * MS, "{apart} ns apart at {made} ms: {off} ms");
        }
    }
}

/// Longer than a hold-up can be: it is followed, by all streams once the camera has reported anew.
#[test]
fn a_stream_that_comes_late_from_some_time_on_is_in_step_again_with_the_next_reports() {
    let mut camera = Camera::new();
    for made in every_20_ms(40_000) {
        let late = if made >= 15_000 { 800 } else { 0 };
        camera.report_if_due(made, 2000);
        let apart = camera.apart(made, (40 + late, 206));
        // 3 s until it is believed, 5 s to the reports behind that, and pictures are drawn together by 166 ms.
        let settled = made > 3000 && !(18_000..23_400).contains(&made);
        assert!(!settled || apart.abs() < 8 * MS, "{apart} ns apart at {made} ms");
    }
}

/// A camera loses 300 ms of sound and counts samples only: its pictures stay where they are, and sound finds its place.
#[test]
fn a_stream_that_leaves_something_out_does_not_move_the_other() {
    let mut camera = Camera::new();
    for made in every_20_ms(30_000) {
        if made == 15_000 {
            camera.set[1] = -300;
        }
        camera.report_if_due(made, 2000);
        let (before, picture) = (206 - 40, camera.place(0, made, 40));
        let expected = (5000 + made + 40 + if made > 3020 { before } else { 0 }) * MS;
        assert!(
            (2000..3040).contains(&made) || (picture - expected).abs() < 8 * MS,
            "{picture} for {expected} at {made} ms"
        );
        let apart = camera.place(1, made, 206) - picture;
        let in_step = made > 3020 && !(15_000..18_100).contains(&made);
        assert!(!in_step || apart.abs() < 8 * MS, "{apart} ns apart at {made} ms");
    }
}

#[test]
fn a_stream_that_is_gone_or_silent_leaves_the_other_where_it_is() {
    for gone in [false, true] {
        let mut camera = Camera::new();
        for made in every_20_ms(6000) {
            camera.report_if_due(made, 1000);
            camera.apart(made, (40, 206));
        }
        if gone {
            camera.times[1] = None;
        }
        for made in every_20_ms(40_000).skip(300) {
            camera.report(0, made, 0);
            let placed = camera.place(0, made, 40) - made * MS;
            assert!((placed - 5206 * MS).abs() < 5 * MS, "{placed} ns at {made} ms, gone: {gone}");
        }
        assert_eq!(camera.streams.join(Kind::Sound).is_some(), gone);
    }
}

#[test]
fn a_report_is_read_and_one_without_a_time_is_none() {
    crate::media::init().expect("GStreamer");
    let streams = Streams::default();
    let report = |stamp: u64, wall: u64| {
        gst::Structure::builder("application/x-rtp-sync")
            .field("ssrc", 7u32)
            .field("sr-ext-rtptime", stamp)
            .field("sr-ntpnstime", wall)
            .build()
    };
    let stamp = (2u64 << 32) + 90;
    for none in [(stamp, 0), (stamp, u64::MAX), (u64::MAX, 5)] {
        take_report(&streams, &report(none.0, none.1));
        assert!(streams.news(7, 0).is_none(), "{none:?}");
    }
    take_report(&streams, &report(stamp, 5));
    let news = streams.news(7, 0).expect("a report");
    assert_eq!((news.number, news.stamp, news.wall), (1, 90, 5));
    assert!(streams.news(7, news.number).is_none());
    // A server that gives itself a new name with every report: the last ones are kept.
    (100..200).rev().for_each(|source| streams.report(source, 0, 1));
    assert!(streams.news(100, 0).is_some());
    let kept = (0..200).filter(|source| streams.news(*source, 0).is_some()).count();
    assert!((1..=16).contains(&kept), "{kept} are kept");
}

/// I0 P4 B2 B1 B3 P8 …, 30 pictures a second, of a stream that must fall by `fall` ms.
fn shown_in_order(fall: i64) {
    let mut camera = Camera::new();
    let mut shown = Vec::new();
    for n in 0..600i64 {
        let number = n / 4 * 4 + i64::from(B_FRAMES[(n % 4) as usize]);
        let made = number * 100 / 3;
        if n % 50 == 0 {
            // From the 300th picture on sound comes earlier, so that pictures need to wait for it no more.
            camera.report(0, made, 0);
            camera.report(1, made, 0);
        }
        let sound = if n < 300 { 40 + fall } else { 40 };
        camera.place(1, made, sound);
        shown.push((number, camera.place(0, made, 40)));
    }
    shown.sort_unstable();
    for pair in shown.windows(2) {
        assert!(pair[1].1 - pair[0].1 > 10 * MS, "{pair:?}");
    }
    let fell = (shown[599].1 - shown[0].1) - (shown[599].0 - shown[0].0) * 100 * MS / 3;
    assert!(fell.abs() < 20 * MS, "it ends {fell} ns from where it began, of {fall} ms");
}

#[test]
fn b_frames_keep_their_order_while_a_stream_is_drawn_together() {
    [100, 300, 900].into_iter().for_each(shown_in_order);
}

proptest! {
    #[test]
    fn order_is_kept_whatever_arrival_does(late in prop::collection::vec(0i64..900, 2..300)) {
        let arrivals = late.iter().enumerate().map(|(n, late)| (n as u32 * FRAME, n as i64 * 100 / 3 + late));
        let placed = place(arrivals);
        prop_assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
    }

    #[test]
    fn order_and_step_are_kept_whatever_arrival_does(
        late in prop::collection::vec((0i64..900, 0i64..900), 60..600),
        from in 0i64..20,
    ) {
        let mut camera = Camera::new();
        let (mut before, mut in_step) = ([i64::MIN; 2], true);
        for (n, (pictures, sound)) in late.into_iter().enumerate() {
            let made = n as i64 * 20;
            camera.report_if_due(made, from * 20);
            let placed = [camera.place(0, made, pictures), camera.place(1, made, sound)];
            prop_assert!(placed[0] > before[0] && placed[1] > before[1], "{placed:?} behind {before:?} at {n}");
            before = placed;
            // One of them learns a packet later what the other does.
            let apart = placed[1] - placed[0];
            let was_in_step = std::mem::replace(&mut in_step, made < 2500 || apart.abs() <= 12 * MS);
            prop_assert!(in_step || was_in_step, "{apart} ns apart at {n}");
        }
    }
}
