//! What the lines of files say, and how it is told.

use super::*;
use crate::harness::tidegate;

#[test]
fn an_entry_is_told_with_its_file_and_line() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let text = folder.write("a.txt", "# ours\n\n192.0.2.1\n198.51.100.0/24 # office\n");
    let csv = folder.write(
        "b.csv",
        "# exported\n\nid;\"IP\" ;note\r\n1;192.0.2.7;\"says \"\"hi\"\",\ntwice; # really\"\r\n\n\
         2;;nothing\r\n3; 2001:db8::/48 ;caf\u{e9}\r\n",
    );
    folder.write("c.csv", "cidr\n203.0.113.0/24\n");
    folder.write(
        "d.csv",
        "name,Network\n\"Office, main\",\"203.0.112.0/24\"\n",
    );
    folder.write("e.csv", "\u{feff}name\tprefix\nx\t203.0.111.1/32\n");
    let gate = gate_with(folder, &app, "\"*.txt\", \"*.csv\"");
    assert_eq!(prefixes(&gate), 7);
    for (address, place) in [
        ("192.0.2.1", format!("{text}:3")),
        ("198.51.100.77", format!("{text}:4")),
        ("192.0.2.7", format!("{csv}:4")),
        ("2001:db8::9", format!("{csv}:8")),
        ("203.0.112.5", "d.csv:2".to_owned()),
        ("203.0.111.1", "e.csv:2".to_owned()),
    ] {
        let list = gate.verb(&["known", "list", address]).good();
        assert!(list.trim_end().ends_with(&place), "{address}: {list}");
        let explained = gate.verb(&["explain", address]).good();
        assert!(explained.contains(&place), "{address}: {explained}");
    }
    let list = gate
        .verb(&["known", "list", "192.0.2.7", "-o", "json"])
        .json();
    assert_eq!(list["entries"][0]["line"], 4);
    assert_eq!(list["entries"][0]["source"], csv.as_str());
}

#[test]
fn csv_that_is_wrong_is_named_by_its_line_and_nothing_of_it_is_taken() {
    let folder = Folder::new();
    let text = "[known]\nfiles = [\"known.csv\"]\n";
    let config = folder.configure(&with_upstream(&["127.0.0.1:9".parse().unwrap()], text));
    let long = format!("ip,note\n192.0.2.1,\"{}\"\n", "x".repeat(70_000));
    for (contents, line, part) in [
        ("ip,note\n192.0.2.1,a\nexample.com,b\n", 3, "192.0.2.7"),
        (
            "ip,note\n192.0.2.1,a\n192.0.2.2\n",
            3,
            "1 fields where the header has 2",
        ),
        ("ip,note\n192.0.2.1,a,b\n", 2, "3 fields"),
        (
            "ip,note\n192.0.2.1,\"a\n192.0.2.2,b\n",
            2,
            "not closed before the end",
        ),
        ("ip,note\n192.0.2.1,a\n192.0.2.2,b", 3, "no end"),
        ("ip,note", 1, "no end"),
        ("ip,cidr\n192.0.2.1,192.0.2.1\n", 1, "several columns"),
        (
            "name,host\na,192.0.2.1\n",
            1,
            "names its columns, one of them address",
        ),
        ("ip,note\n10.0.0.1/8,\n", 2, "10.0.0.0/8"),
        ("ip,note\r192.0.2.1,a\r\n", 1, "such as 192.0.2.7"),
        ("ip,note\n192.0.2.1,a\rb\n", 2, "carriage return"),
        (&long, 2, "65536 bytes"),
    ] {
        folder.write("known.csv", contents);
        let output = tidegate(&["validate", config.to_str().unwrap()]);
        assert_eq!(output.code, 2, "{contents:.60?}: {output:#?}");
        let place = format!("known.csv:{line}:");
        assert!(
            output.stderr.contains(&place) && output.stderr.contains(part),
            "{contents:.60?}: no {place:?} with {part:?} in {}",
            output.stderr
        );
    }
    folder.write("known.csv", b"ip,note\n\xff\xfe,\n");
    let output = tidegate(&["validate", config.to_str().unwrap()]);
    assert!(output.stderr.contains("not UTF-8"), "{output:#?}");
    // A field that nobody reads may be in any encoding.
    folder.write("known.csv", b"ip,note\n192.0.2.1,caf\xe9\n");
    tidegate(&["validate", config.to_str().unwrap()]).good();
}
