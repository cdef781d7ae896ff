use proptest::prelude::*;

use super::*;

fn parsed<T>(bytes: &[u8], see: impl FnOnce(Result<Head, HeadError>) -> T) -> T {
    let mut fields = NO_FIELDS;
    see(parse(bytes, &mut fields))
}

fn error(bytes: &str) -> Option<HeadError> {
    parsed(bytes.as_bytes(), |head| head.err())
}

#[test]
fn the_end_of_a_head_is_found_however_it_was_cut() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
    let end = 27;
    for cut in 0..=bytes.len() {
        let first = find_end(&bytes[..cut], 0);
        assert_eq!(first, (cut >= end).then_some(end), "cut at {cut}");
        if first.is_none() {
            assert_eq!(find_end(bytes, cut), Some(end), "searched to {cut}");
        }
    }
    assert_eq!(find_end(b"", 0), None);
    assert_eq!(find_end(b"a\n\nb\r\n\n", 0), None, "LF alone ends nothing");
    assert_eq!(
        find_end(b"\r\n\r\n", 9),
        None,
        "searched more than there is"
    );
}

#[test]
fn an_unfinished_head_is_refused_as_soon_as_it_cannot_become_a_good_one() {
    let line = vec![b'a'; MAX_REQUEST_LINE + 1];
    assert_eq!(check_partial(&line, 0), Err(HeadError::TargetTooLong));
    assert_eq!(check_partial(&line[1..], 0), Ok(()));
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    head.resize(MAX_HEAD - 1, b'a');
    assert_eq!(check_partial(&head, 0), Ok(()));
    head.push(b'a');
    assert_eq!(check_partial(&head, 0), Err(HeadError::TooLarge));
    for start in [
        b"\x16\x03".as_slice(),
        b"\0",
        b"{",
        b" GET",
        b"\x80",
        b"\n",
        b"G\nE",
    ] {
        let refused = check_partial(start, 0);
        assert!(matches!(refused, Err(HeadError::Malformed(_))), "{start:?}");
    }
    for start in [
        b"".as_slice(),
        b"G",
        b"\r",
        b"GET / HTTP/1.1\r",
        b"get",
        b"!x",
    ] {
        assert_eq!(check_partial(start, 0), Ok(()), "{start:?}");
    }
    assert!(
        check_partial(b"a\r\nb\nc", 4).is_err(),
        "the LF is behind what was searched"
    );
    assert!(check_partial(b"a\r\nb", 2).is_ok(), "the CR is before it");
}

#[test]
fn a_good_head_is_understood() {
    let bytes = "POST /a/b?c=d HTTP/1.1\r\nhost: Shop.test:80\r\nContent-Length: 12\r\nX: 1\r\nx: 2\r\nExpect: 100-Continue\r\n\r\n";
    parsed(bytes.as_bytes(), |head| {
        let head = head.unwrap();
        assert_eq!(
            (head.method, head.target, head.path),
            ("POST", "/a/b?c=d", "/a/b")
        );
        assert_eq!((head.authority, head.host()), ("Shop.test:80", "Shop.test"));
        assert_eq!(head.framing, Framing::Length(12));
        assert!(head.keep_alive && !head.websocket);
        assert!(head.values("x").eq([b"1".as_slice(), b"2"]));
        assert!(head.in_origin_form(bytes.as_bytes()).is_none());
    });
}

#[test]
fn whether_a_connection_stays_open_is_for_its_version_and_every_connection_field() {
    for (minor, fields, stays) in [
        (1, "", true),
        (0, "", false),
        (0, "Connection: Keep-Alive\r\n", true),
        (1, "Connection: close\r\n", false),
        (1, "Connection: x\r\nConnection: y, CLOSE\r\n", false),
        (0, "Connection: keep-alive, close\r\n", false),
        (1, "Connection: closed\r\n", true),
    ] {
        let bytes = format!("GET / HTTP/1.{minor}\r\nHost: a\r\n{fields}\r\n");
        let kept = parsed(bytes.as_bytes(), |head| head.unwrap().keep_alive);
        assert_eq!(kept, stays, "{bytes:?}");
    }
}

#[test]
fn a_websocket_is_asked_for_with_get_over_http_1_1_and_no_body() {
    let asks = |line: &str, fields: &str| {
        let bytes = format!("{line}\r\nHost: a\r\n{fields}\r\n");
        parsed(bytes.as_bytes(), |head| head.unwrap().websocket)
    };
    let both = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(asks("GET / HTTP/1.1", both));
    assert!(!asks("GET / HTTP/1.0", both));
    assert!(!asks("POST / HTTP/1.1", both));
    assert!(!asks("GET / HTTP/1.1", "Upgrade: websocket\r\n"));
    assert!(!asks(
        "GET / HTTP/1.1",
        "Connection: upgrade\r\nUpgrade: h2c\r\n"
    ));
    assert!(!asks(
        "GET / HTTP/1.1",
        &format!("{both}Content-Length: 1\r\n")
    ));
}

#[test]
fn each_kind_of_refusal_has_its_error() {
    assert_eq!(
        error("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Some(HeadError::Method)
    );
    assert_eq!(
        error("GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        Some(HeadError::Version)
    );
    let fields = "a: b\r\n".repeat(MAX_FIELDS);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(error(&many), Some(HeadError::TooLarge));
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
        "a".repeat(MAX_REQUEST_LINE)
    );
    assert_eq!(error(&long), Some(HeadError::TargetTooLong));
    for bytes in [
        "",
        "\r\n\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nx",
    ] {
        assert!(
            matches!(error(bytes), Some(HeadError::Malformed(_))),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_rule_about_a_path_holds_for_its_other_spellings() {
    for (path, prefix, covered) in [
        ("/search", "/search", true),
        ("/search/x", "/search", true),
        ("/searching", "/search", false),
        ("/searching", "/search/", false),
        ("/search/x", "/search/", true),
        ("/search", "/search/", false),
        ("//search///x", "/search/x", true),
        ("/%73earch", "/search", true),
        ("/%2Fsearch", "/search", true),
        ("/se%61rch%2fx", "/search", true),
        ("/sea", "/search", false),
        ("/Search", "/search", false),
        ("/caf%c3%a9/x", "/caf%C3%A9", true),
        ("/caf%C3%A8", "/caf%C3%A9", false),
        ("/search/x", "//%73earch", true),
        ("/search/x", "/search%2F", true),
        ("/%7", "/%7", true),
        ("/%zz", "/%zz", true),
        ("/%", "/", true),
        ("/", "/", true),
        ("*", "/", false),
    ] {
        assert_eq!(has_prefix(path, prefix), covered, "{path} under {prefix}");
    }
}

/// Feeds a body cut at one place and says how many bytes belong to it, if it is whole.
fn chunks(bytes: &[u8], cut: usize) -> Result<Option<usize>, ChunkError> {
    let mut chunks = Chunks::new(u64::MAX);
    let (first, second) = bytes.split_at(cut);
    let mut taken = chunks.advance(first)?;
    assert!(taken == first.len() || chunks.is_done());
    if !chunks.is_done() {
        taken += chunks.advance(second)?;
    }
    Ok(chunks.is_done().then_some(taken))
}

#[test]
fn the_end_of_a_chunked_body_is_found_however_it_was_cut() {
    for body in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "a;name=value;other\r\n0123456789\r\n00000\r\n\r\n",
        "1\r\na\r\n1\r\n\n\r\n0\r\nTrailer: x\r\nOther:\ty\r\n\r\n",
        "000000000000002\r\n\r\n\r\n0;x\r\n\r\n",
    ] {
        let bytes = format!("{body}GET / HTTP/1.1\r\n\r\n");
        for cut in 0..=bytes.len() {
            assert_eq!(
                chunks(bytes.as_bytes(), cut),
                Ok(Some(body.len())),
                "{body:?} at {cut}"
            );
        }
        for short in 0..body.len() {
            assert_eq!(
                chunks(&bytes.as_bytes()[..short], 0),
                Ok(None),
                "{body:?} to {short}"
            );
        }
    }
}

#[test]
fn malformed_chunks_are_an_error_however_they_are_cut() {
    let long = format!("1;{}\r\n", "x".repeat(5000));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(1000));
    for body in [
        "\r\n",
        ";x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\n",
        "1\r\r\n",
        "g\r\n",
        "1\0\r\n",
        "0000000000000001\r\n",
        "ffffffffffffffff\r\n",
        "1\r\nab\r\n",
        "1\r\na\n",
        "1\r\na\r\r",
        "0\r\n x: y\r\n",
        "0\r\nx\r\n",
        "0\r\n: y\r\n",
        "0\r\nx y: z\r\n",
        "0\r\nx: a\0b\r\n",
        "0\r\n\n",
        "0\r\nx: y\n\r\n",
        "1;a\nb\r\n",
        "1;a\0b\r\n",
        &long,
        &trailers,
    ] {
        for cut in 0..body.len().min(40) {
            assert!(chunks(body.as_bytes(), cut).is_err(), "{body:?} at {cut}");
        }
    }
}

#[test]
fn a_chunked_body_may_have_so_many_bytes_and_no_more() {
    let advance = |body: &str, most| Chunks::new(most).advance(body.as_bytes());
    let body = "3;x\r\nabc\r\n2\r\nde\r\n0\r\nX: trailers do not count\r\n\r\n";
    assert_eq!(advance(body, 5), Ok(body.len()));
    assert_eq!(advance(body, 4), Err(ChunkError::TooLarge));
    assert_eq!(advance("0\r\n\r\n", 0), Ok(5));
    assert_eq!(advance("ffffffffff\r\n", 5), Err(ChunkError::TooLarge));
    assert_eq!(advance("ffffffffff\r", 5), Ok(11), "not yet announced");
}

/// Bytes that are nearly a head, which finds more than bytes of any kind.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "GET", "POST", " ", "/", "HTTP/1.1", "HTTP/1.0", "\r\n", "\r\n\r\n", "Host: a", "Host:", ":", "a: b",
            "Content-Length: 3", "Transfer-Encoding: chunked", "http://a", "?", "%2e", "..", "\n", "\r", "\t", ",",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<bool>(), prop::collection::vec(part, 0..16)).prop_map(|(good, parts)| {
        let start: &[u8] = if good {
            b"GET /a HTTP/1.1\r\nHost: a\r\n"
        } else {
            b""
        };
        let mut bytes = [start, &parts.concat()].concat();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), searched in 0..400_usize) {
        let _ = find_end(&bytes, searched);
        let _ = check_partial(&bytes, searched);
        parsed(&bytes, |_| ());
        let _ = Chunks::new(u64::MAX).advance(&bytes);
    }

    #[test]
    fn what_is_accepted_has_one_reading(bytes in nearly_a_head()) {
        parsed(&bytes, |head| {
            let Ok(head) = head else { return Ok(()) };
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.split("\r\n").collect();
            prop_assert!(lines.iter().all(|line| !line.contains(['\n', '\r', '\0'])));
            prop_assert_eq!(lines[0].split(' ').count(), 3);
            prop_assert!(!lines.iter().skip(1).any(|line| line.starts_with([' ', '\t'])));
            prop_assert!(head.values("host").count() <= 1);
            prop_assert!(head.values("content-length").count() + head.values("transfer-encoding").count() <= 1);
            let path: Option<http::uri::PathAndQuery> = head.target.parse().ok();
            prop_assert!(path.is_some() || !head.target.starts_with('/'), "Pingora refuses {}", head.target);
            if let Some(rewritten) = head.in_origin_form(&bytes) {
                parsed(&rewritten, |again| {
                    let again = again.unwrap();
                    prop_assert_eq!((again.path, again.framing), (head.path, head.framing));
                    prop_assert!(again.host().eq_ignore_ascii_case(head.host()));
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_partial_of_what_is_accepted_was_not_refused_before(bytes in nearly_a_head(), cut in any::<prop::sample::Index>()) {
        let end = find_end(&bytes, 0).unwrap();
        if parsed(&bytes[..end], |head| head.is_ok()) {
            prop_assert_eq!(check_partial(&bytes[..cut.index(end)], 0), Ok(()));
        }
    }

    #[test]
    fn chunks_do_not_depend_on_the_cuts(bytes in prop::collection::vec(prop::sample::select(b"01a;:x\r\n ".to_vec()), 0..24), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(bytes.len() + 1);
        prop_assert_eq!(chunks(&bytes, cut), chunks(&bytes, 0));
    }
}
