use tidegate_limit::Quota;

use super::*;
use crate::verdict::Refusal;

fn quota() -> Quota {
    let count = std::num::NonZeroU32::new(20).unwrap();
    let burst = std::num::NonZeroU32::new(40).unwrap();
    Quota::new(count, Duration::from_secs(1), burst).unwrap()
}

fn written(reply: &Reply, persistence: Persistence, body: bool) -> String {
    let mut out = BytesMut::new();
    reply.write_http1(persistence, body, &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[test]
fn retry_after_never_ends_before_the_wait_and_differs_from_client_to_client() {
    for wait in [0, 1, 400, 1_000, 1_001, 2_500, 60_000, 3_600_000] {
        let wait = Duration::from_millis(wait);
        let quota = quota();
        let refusal = Refusal {
            reason: Reason::ClientRate,
            wait: Some(wait),
            limit: Some(("client", &quota)),
        };
        let mut told = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let text = written(
                &Reply::to_refusal(&refusal, true, false),
                Persistence::KeepAlive,
                true,
            );
            let after: u64 = field(&text, "Retry-After").unwrap().parse().unwrap();
            let ratelimit = field(&text, "RateLimit").unwrap();
            let least: u64 = ratelimit
                .strip_prefix("\"client\";r=0;t=")
                .unwrap()
                .parse()
                .unwrap();
            assert!(Duration::from_secs(least) >= wait, "t={least} for {wait:?}");
            assert!(after >= least.max(1), "{after} is before {least}");
            assert!(after <= least.max(1) + 31, "{after} is long after {least}");
            told.insert(after);
        }
        assert!(told.len() > 1, "all come back at once after {wait:?}");
    }
}

#[test]
fn a_refusal_tells_the_quota_only_when_it_may() {
    let quota = quota();
    let refusal = Refusal {
        reason: Reason::TenantRate,
        wait: Some(Duration::from_secs(1)),
        limit: Some(("tenant", &quota)),
    };
    let told = written(
        &Reply::to_refusal(&refusal, true, false),
        Persistence::KeepAlive,
        true,
    );
    assert_eq!(
        field(&told, "RateLimit-Policy"),
        Some("\"tenant\";q=40;w=2")
    );
    let silent = written(
        &Reply::to_refusal(&refusal, false, false),
        Persistence::KeepAlive,
        true,
    );
    assert_eq!(field(&silent, "RateLimit-Policy"), None);
    assert_eq!(field(&silent, "RateLimit"), None);
    assert!(field(&silent, "Retry-After").is_some());
}

#[test]
fn every_reason_has_a_whole_response_in_both_forms() {
    for reason in Reason::ALL {
        for (html, wait) in [
            (false, None),
            (false, Some(u64::MAX)),
            (true, None),
            (true, Some(9)),
        ] {
            let refusal = Refusal::new(reason, wait.map(Duration::from_secs));
            let reply = Reply::to_refusal(&refusal, true, html);
            let text = written(&reply, Persistence::Close, true);
            let status = reply.status();
            assert!(
                text.starts_with(&format!("HTTP/1.1 {} ", status.as_str())),
                "{text}"
            );
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            let length = field(&text, "Content-Length").unwrap();
            assert_eq!(length, body.len().to_string(), "{text}");
            assert_eq!(field(&text, "Cache-Control"), Some("no-store"));
            assert_eq!(field(&text, "Connection"), Some("close"));
            assert!(field(&text, "Date").unwrap().ends_with(" GMT"));
            if html {
                assert_eq!(
                    field(&text, "Content-Type"),
                    Some("text/html; charset=utf-8")
                );
                assert!(
                    body.starts_with("<!doctype html>") && body.ends_with('\n'),
                    "{body}"
                );
                assert_eq!(
                    body.contains("http-equiv=refresh"),
                    wait.is_some(),
                    "{body}"
                );
            } else {
                let problem: serde_json::Value = serde_json::from_str(body).expect(body);
                assert_eq!(problem["status"], status.as_u16());
                assert_eq!(problem["reason"], reason.label());
                assert!(!problem["detail"].as_str().unwrap().is_empty());
                assert_eq!(problem["retry_after"].is_u64(), wait.is_some(), "{body}");
            }
        }
    }
}

#[test]
fn a_reply_to_head_has_its_length_and_no_body() {
    let reply = Reply::to_refusal(&Refusal::new(Reason::NoRoute, None), true, false);
    let with = written(&reply, Persistence::KeepAlive, true);
    let without = written(&reply, Persistence::KeepAlive, false);
    assert_eq!(
        field(&with, "Content-Length"),
        field(&without, "Content-Length")
    );
    assert!(without.ends_with("\r\n\r\n"), "{without}");
    assert_eq!(field(&without, "Connection"), None);
    let old = written(&reply, Persistence::KeepAliveHttp10, true);
    assert_eq!(field(&old, "Connection"), Some("keep-alive"));
}

#[test]
fn what_a_failure_says_over_pingora_is_the_same() {
    for reason in Reason::ALL {
        let (header, body) = Reply::to_failure(reason, false).to_pingora().unwrap();
        assert_eq!(header.status, status(reason));
        let length = header.headers.get("content-length").unwrap();
        assert_eq!(length.to_str().unwrap(), body.len().to_string());
        let unavailable = header.status == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            header.headers.contains_key("retry-after"),
            unavailable,
            "{reason:?}"
        );
    }
}

#[test]
fn each_reason_has_its_own_name() {
    let names: std::collections::BTreeSet<_> =
        Reason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for (place, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, place, "counters are looked up by place");
    }
}
