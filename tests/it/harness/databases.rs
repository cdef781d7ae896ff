//! Small databases in MaxMind's format (version 2.0), made here.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::{Value, json};

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Zeros between the tree and the records.
const SEPARATOR: usize = 16;
/// Seconds of the time that a database says it was made at, unless a test says otherwise.
const BUILT: u64 = 1_700_000_000;

/// A database of this kind, with a record for each prefix.
pub fn database(kind: &str, records: &[(&str, Value)]) -> Vec<u8> {
    database_of(kind, records, BUILT)
}

/// One that was made at another time.
pub fn database_of(kind: &str, records: &[(&str, Value)], built: u64) -> Vec<u8> {
    let (mut tree, mut data) = (vec![[End::Nothing; 2]], Vec::new());
    for (prefix, record) in records {
        plant(&mut tree, prefix.parse().unwrap(), End::Data(data.len()));
        write(record, &mut data);
    }
    let mut all = Vec::new();
    for end in tree.iter().flatten() {
        let number = match end {
            End::Nothing => tree.len(),
            End::Node(node) => *node,
            End::Data(offset) => tree.len() + SEPARATOR + offset,
        };
        all.extend(&(number as u32).to_be_bytes()[1..]);
    }
    all.extend([0; SEPARATOR]);
    all.extend(data);
    all.extend(MARKER);
    let metadata = json!({
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": built,
        "database_type": kind, "description": { "en": "for a test" }, "ip_version": 6,
        "languages": ["en"], "node_count": tree.len(), "record_size": 24,
    });
    write(&metadata, &mut all);
    all
}

/// Where a bit of an address leads to.
#[derive(Clone, Copy)]
enum End {
    Nothing,
    Node(usize),
    Data(usize),
}

fn plant(tree: &mut Vec<[End; 2]>, prefix: IpNet, end: End) {
    let (bits, length) = match prefix.addr() {
        // ::/96 has the addresses of IPv4.
        IpAddr::V4(four) => (u128::from(u32::from(four)), 96 + prefix.prefix_len()),
        IpAddr::V6(six) => (Ipv6Addr::to_bits(six), prefix.prefix_len()),
    };
    let bit = |at: u8| (bits >> (127 - at) & 1) as usize;
    let mut node = 0;
    for at in 0..length - 1 {
        node = match tree[node][bit(at)] {
            End::Node(next) => next,
            _ => {
                tree.push([End::Nothing; 2]);
                tree[node][bit(at)] = End::Node(tree.len() - 1);
                tree.len() - 1
            }
        };
    }
    tree[node][bit(length - 1)] = end;
}

/// A value: its type and size, then its bytes.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            out.push(7 << 5 | map.len() as u8);
            for (key, value) in map {
                write(&json!(key), out);
                match value.as_u64() {
                    Some(number) => write_number(key, number, out),
                    None => write(value, out),
                }
            }
        }
        Value::Array(all) => {
            out.extend([all.len() as u8, 11 - 7]);
            all.iter().for_each(|value| write(value, out));
        }
        Value::String(text) => {
            match text.len() {
                short @ 0..29 => out.push(2 << 5 | short as u8),
                long => out.extend([2 << 5 | 29, (long - 29) as u8]),
            }
            out.extend(text.as_bytes());
        }
        other => panic!("{other} is not written"),
    }
}

/// As wide as the format wants that one: its type and size, then its bytes.
fn write_number(key: &str, number: u64, out: &mut Vec<u8>) {
    let (head, bytes): (&[u8], usize) = match key {
        "build_epoch" => (&[8, 9 - 7], 8),
        "node_count" | "autonomous_system_number" | "geoname_id" => (&[6 << 5 | 4], 4),
        _ => (&[5 << 5 | 2], 2),
    };
    out.extend(head);
    out.extend(&number.to_be_bytes()[8 - bytes..]);
}
