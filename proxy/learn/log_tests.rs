use std::fs;

use super::*;
use crate::learn::record::Confirmed;

fn record(number: u8) -> Record {
    let prefix = format!("192.0.2.{number}/32").parse().unwrap();
    let confirmed = Confirmed {
        first: 1,
        last: 2,
        seen: 3,
        times: number.into(),
    };
    Record::Confirmed(prefix, confirmed)
}

fn records(count: u8) -> Vec<Record> {
    (0..count).map(record).collect()
}

fn bytes(count: u8) -> Vec<u8> {
    let mut bytes = header().to_vec();
    bytes.extend(records(count).iter().flat_map(Record::encode));
    bytes
}

fn log() -> (tempfile::TempDir, Log) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("learned.log");
    (folder, Log::new(path))
}

#[test]
fn cut_at_every_byte_it_holds_the_entries_that_are_whole() {
    let whole = bytes(5);
    for length in 0..=whole.len() {
        let parsed = parse(&whole[..length]);
        let Some(content) = length.checked_sub(HEADER) else {
            assert_eq!(parsed, Err(Foreign::Unknown), "{length}");
            continue;
        };
        let left = u8::try_from(content / SIZE).unwrap();
        let expected = Content {
            records: records(left),
            damaged: 0,
        };
        assert_eq!(parsed, Ok(expected), "cut at {length}");
    }
}

#[test]
fn cut_at_every_byte_and_followed_by_zeros_it_holds_them_too() {
    let whole = bytes(3);
    for length in HEADER..whole.len() {
        let mut cut = whole[..length].to_vec();
        cut.resize(whole.len() + SIZE, 0);
        let content = parse(&cut).unwrap();
        let left = u8::try_from((length - HEADER) / SIZE).unwrap();
        // An entry whose last bytes are zeros anyway is whole.
        assert!(content.records.starts_with(&records(left)), "{length}");
        assert!(content.damaged <= 1, "{length}: {}", content.damaged);
    }
}

#[test]
fn an_entry_that_is_damaged_costs_itself_alone() {
    for at in HEADER..bytes(5).len() {
        let mut bytes = bytes(5);
        bytes[at] ^= 0x40;
        let content = parse(&bytes).unwrap();
        let mut expected = records(5);
        expected.remove((at - HEADER) / SIZE);
        assert_eq!((content.records, content.damaged), (expected, 1), "{at}");
    }
}

#[test]
fn a_header_that_is_another_is_not_taken_for_ours() {
    for at in 0..HEADER {
        let mut bytes = bytes(1);
        bytes[at] ^= 1;
        assert_eq!(parse(&bytes), Err(Foreign::Unknown), "{at}");
    }
    let mut newer = header();
    newer[8] = 2;
    let sum = crc32fast::hash(&newer[..12]);
    newer[12..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(parse(&newer), Err(Foreign::Newer(2)));
}

#[test]
fn what_is_appended_is_there_and_what_is_written_anew_replaces_it() {
    let (_folder, mut log) = log();
    assert!(log.read().unwrap().is_none());
    assert!(log.append(&records(1)).is_err(), "it was not open");
    log.rewrite(&records(2)).unwrap();
    log.append(&[record(7)]).unwrap();
    let content = parse(&log.read().unwrap().unwrap()).unwrap();
    assert_eq!(content.records, [record(0), record(1), record(7)]);
    log.rewrite(&[record(9)]).unwrap();
    log.append(&[record(8)]).unwrap();
    let content = parse(&log.read().unwrap().unwrap()).unwrap();
    assert_eq!(content.records, [record(9), record(8)]);
}

#[test]
fn it_is_written_anew_before_most_of_it_is_old() {
    let (_folder, mut log) = log();
    log.rewrite(&[]).unwrap();
    let batch = vec![record(1); 1000];
    let mut batches = 0;
    while !log.is_mostly_old(1) {
        log.append(&batch).unwrap();
        batches += 1;
        assert!(batches < 100, "it grows without a bound");
    }
    assert!(
        log.length <= SLACK + 2 * (1000 * SIZE) as u64,
        "{}",
        log.length
    );
}

#[test]
fn what_cannot_be_written_leaves_the_file_as_it_was() {
    let (folder, mut log) = log();
    log.rewrite(&records(2)).unwrap();
    fs::create_dir(folder.path().join("learned.log.new")).unwrap();
    assert!(log.rewrite(&records(1)).is_err());
    assert!(!log.is_open());
    let content = parse(&log.read().unwrap().unwrap()).unwrap();
    assert_eq!(content.records, records(2));
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let (_folder, log) = log();
    fs::create_dir(log.path()).unwrap();
    assert!(log.read().is_err());
}
