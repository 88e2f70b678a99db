//! The promises of the ring: never a torn frame, never a writer without a slot, never a step out of bounds.

use super::*;
use crate::model::snapshot::Meter;
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

const WIDTH: u32 = 16;
const HEIGHT: u32 = 4;

fn reader_of(writer: &RingWriter, number: u8) -> RingReader {
    RingReader::open(memfd_of(writer), number).expect("our own ring opens")
}

fn memfd_of(writer: &RingWriter) -> OwnedFd {
    writer.memfd().try_clone_to_owned().expect("a descriptor")
}

/// A frame whose every pixel is its number.
fn write(writer: &mut RingWriter, number: u32) -> bool {
    let Some(mut slot) = writer.begin(WIDTH, HEIGHT) else { return false };
    for pixel in slot.chunks_exact_mut(PIXEL_BYTES) {
        pixel.copy_from_slice(&number.to_ne_bytes());
    }
    slot.commit(u64::from(number));
    true
}

fn is_whole(frame: &Frame) -> bool {
    let number = (frame.pts_ns() as u32).to_ne_bytes();
    frame.len() == (WIDTH * HEIGHT) as usize * PIXEL_BYTES
        && frame.chunks_exact(PIXEL_BYTES).all(|pixel| pixel == number)
}

#[derive(Debug, Clone)]
enum Op {
    Write,
    Take(u8),
    Release(u8, usize),
    Leave(u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => Just(Op::Write),
        4 => (0..MAX_READERS).prop_map(Op::Take),
        2 => (0..MAX_READERS, 0..SLOTS_PER_READER).prop_map(|(reader, which)| Op::Release(reader, which)),
        1 => (0..MAX_READERS).prop_map(Op::Leave),
    ];
    prop::collection::vec(op, 0..300)
}

proptest! {
    #[test]
    fn no_order_of_events_tears_a_frame_or_leaves_the_writer_without_a_slot(readers in 1..=MAX_READERS, ops in ops()) {
        let mut writer = RingWriter::create(WIDTH, HEIGHT, readers).expect("a ring");
        let mut sides: Vec<_> = (0..readers).map(|n| Some((reader_of(&writer, n), Vec::new()))).collect();
        let mut number = 0;
        for op in ops {
            match op {
                Op::Write => {
                    number += 1;
                    prop_assert!(write(&mut writer, number), "no slot for frame {number}");
                }
                Op::Take(n) => {
                    if let Some(Some((reader, held))) = sides.get_mut(usize::from(n)) {
                        let last = held.last().map_or(0, Frame::pts_ns);
                        match reader.latest() {
                            Some(frame) => {
                                prop_assert_eq!(frame.pts_ns(), u64::from(number), "not the newest frame");
                                prop_assert!(frame.pts_ns() > last);
                                held.push(frame);
                            }
                            None => prop_assert!(number == 0 || held.len() == SLOTS_PER_READER || reader.seen() == u64::from(number)),
                        }
                    }
                }
                Op::Release(n, which) => {
                    if let Some(Some((_, held))) = sides.get_mut(usize::from(n)) && which < held.len() {
                        held.remove(which);
                    }
                }
                Op::Leave(n) => {
                    if let Some(side) = sides.get_mut(usize::from(n)) {
                        *side = None;
                        writer.clear_reader(n);
                    }
                }
            }
            for (_, held) in sides.iter().flatten() {
                prop_assert!(held.iter().all(is_whole), "a held frame changed");
            }
        }
    }

    #[test]
    fn no_header_leads_out_of_bounds(writes in prop::collection::vec((0u64..4096 / 8, any::<u64>()), 1..60), at in 0..4) {
        let mut writer = RingWriter::create(WIDTH, HEIGHT, 2).expect("a ring");
        write(&mut writer, 1);
        let memory = File::from(memfd_of(&writer));
        // Rubbish before the reader comes, or under its feet.
        let mut reader = (at > 0).then(|| reader_of(&writer, 1));
        for (round, (word, value)) in writes.into_iter().enumerate() {
            memory.write_all_at(&value.to_ne_bytes(), word * 8).expect("the memory takes it");
            write(&mut writer, round as u32 + 2);
            if reader.is_none() {
                reader = RingReader::open(memfd_of(&writer), 1).ok();
            }
            if let Some(reader) = &mut reader {
                reader.meters();
                if let Some(frame) = reader.latest() {
                    // Reads every byte the reader vouches for; out of bounds would be a SIGSEGV.
                    std::hint::black_box(frame.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
                }
            }
        }
    }
}

#[test]
fn readers_on_other_threads_never_see_a_torn_frame() {
    const FRAMES: u32 = 30_000;
    const READERS: u8 = 3;
    let mut writer = RingWriter::create(WIDTH, HEIGHT, READERS).expect("a ring");
    let readers: Vec<_> = (0..READERS).map(|n| reader_of(&writer, n)).collect();
    let seen = std::thread::scope(|scope| {
        let threads: Vec<_> = readers
            .into_iter()
            .enumerate()
            .map(|(n, mut reader)| {
                scope.spawn(move || {
                    let mut held = std::collections::VecDeque::new();
                    let mut seen = 0u32;
                    // Each reader keeps a different number of frames, the last one as many as it may.
                    let keep = [1, 3, SLOTS_PER_READER][n];
                    while reader.seen() < u64::from(FRAMES) {
                        match reader.latest() {
                            Some(frame) => {
                                assert!(is_whole(&frame), "a torn frame");
                                seen += 1;
                                held.push_back(frame);
                            }
                            None => std::thread::yield_now(),
                        }
                        if held.len() >= keep {
                            assert!(held.pop_front().as_ref().is_some_and(is_whole), "a held frame changed");
                        }
                    }
                    seen
                })
            })
            .collect();
        for number in 1..=FRAMES {
            assert!(write(&mut writer, number), "no slot for frame {number}");
        }
        threads.into_iter().map(|thread| thread.join().expect("no reader panicked")).collect::<Vec<_>>()
    });
    assert!(seen.iter().all(|&count| count > 0), "a reader saw nothing: {seen:?}");
}

#[test]
fn a_frozen_reader_keeps_its_frames_and_costs_the_writer_nothing() {
    let mut writer = RingWriter::create(WIDTH, HEIGHT, 2).expect("a ring");
    let mut frozen = reader_of(&writer, 0);
    let held: Vec<_> = (1..=SLOTS_PER_READER as u32)
        .map(|number| {
            assert!(write(&mut writer, number));
            frozen.latest().expect("the newest frame")
        })
        .collect();
    assert!((100..1100).all(|number| write(&mut writer, number)));
    assert!(frozen.latest().is_none(), "it holds as many as it may");
    assert_eq!(held.iter().map(Frame::pts_ns).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(held.iter().all(is_whole));
}

#[test]
fn a_reader_that_marks_everything_is_not_heeded() {
    let mut writer = RingWriter::create(WIDTH, HEIGHT, 1).expect("a ring");
    // A second opener of the same number breaks the rule of five; so does memory full of marks.
    let mut sides: Vec<_> = (0..3).map(|_| reader_of(&writer, 0)).collect();
    let mut held = Vec::new();
    for number in 1..100 {
        assert!(write(&mut writer, number), "no slot for frame {number}");
        held.extend(sides[number as usize % 3].latest());
    }
}

#[test]
fn a_new_reader_finds_the_newest_frame() {
    let mut writer = RingWriter::create(WIDTH, HEIGHT, 1).expect("a ring");
    (1..=50).for_each(|number| assert!(write(&mut writer, number)));
    let mut reader = reader_of(&writer, 0);
    assert_eq!(reader.latest().map(|frame| frame.pts_ns()), Some(50));
    assert!(reader.latest().is_none(), "there is nothing newer");
}

#[test]
fn rows_are_packed_and_a_short_picture_is_refused() {
    let mut writer = RingWriter::create(WIDTH, HEIGHT, 1).expect("a ring");
    let padded: Vec<u8> = (0..2).flat_map(|row| [[row; 8].as_slice(), &[99; 4]].concat()).collect();
    assert!(writer.publish(2, 2, 12, 7, &padded));
    let frame = reader_of(&writer, 0).latest().expect("a frame");
    assert_eq!((frame.width(), frame.height(), frame.stride()), (2, 2, 8));
    assert_eq!(&frame[..], [[0; 8], [1; 8]].concat());
    assert!(!writer.publish(2, 2, 12, 8, &padded[..19]), "shorter than it claims");
    assert!(!writer.publish(2, 2, 4, 8, &padded), "rows overlap");
    assert!(!writer.publish(WIDTH, u32::MAX, 64, 8, &padded), "larger than a slot");
}

#[test]
fn memory_that_could_shrink_or_is_no_ring_is_refused() {
    let bare = memfd_create("bare", MemfdFlags::ALLOW_SEALING).expect("a memory file");
    ftruncate(&bare, 1 << 20).expect("a size");
    assert!(matches!(RingReader::open(bare, 0), Err(OpenError::NotSealed)));
    let writer = RingWriter::create(WIDTH, HEIGHT, 2).expect("a ring");
    assert!(matches!(RingReader::open(memfd_of(&writer), 2), Err(OpenError::NoSuchReader(2))));
    assert!(ftruncate(writer.memfd().as_fd(), 0).is_err(), "the seal holds");
    File::from(memfd_of(&writer)).write_all_at(&[0xff; 8], 0).expect("the memory takes it");
    assert!(matches!(RingReader::open(memfd_of(&writer), 0), Err(OpenError::NotARing)));
    assert!(RingWriter::create(0, 4, 1).is_err() && RingWriter::create(4, 4, MAX_READERS + 1).is_err());
}

#[test]
fn meters_arrive_to_a_hundredth_of_a_decibel() {
    let writer = RingWriter::create(WIDTH, HEIGHT, 1).expect("a ring");
    let reader = reader_of(&writer, 0);
    assert_eq!(reader.meters(), (0, Vec::new()));
    let left = Meter { peak_dbfs: -12.34, rms_dbfs: -20.0, clip: false };
    let right = Meter { peak_dbfs: 0.0, rms_dbfs: f64::NEG_INFINITY, clip: true };
    writer.set_meters(&[left, right]);
    let silent = Meter { rms_dbfs: -200.0, ..right };
    assert_eq!(reader.meters(), (1, vec![left, silent]));
}
