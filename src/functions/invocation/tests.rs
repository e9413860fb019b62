use serde_json::json;

use super::*;

fn timer_of(value: &Value) -> Timer {
    timer(json!({"Data": {"timer": value}}).to_string().as_bytes()).unwrap()
}

#[test]
fn timers_are_read_in_every_variant() {
    let due = Timer::default();
    let past_due = Timer {
        is_past_due: true,
        retry_count: 0,
    };
    let year_one = "0001-01-01T00:00:00";
    for (timer, expected) in [
        (
            json!({"Schedule": {"AdjustForDST": true}, "ScheduleStatus": {"Last": "2026-11-22T02:00:00.0057184+00:00",
                "Next": "2026-11-23T02:00:00+00:00", "LastUpdated": "2026-11-22T02:00:00.0057184+00:00"}, "IsPastDue": false}),
            due,
        ),
        (json!({"ScheduleStatus": null, "IsPastDue": true}), past_due),
        (
            json!({"ScheduleStatus": {"Last": year_one, "Next": "2026-11-23T02:00:00+01:00", "LastUpdated": "0001-01-01T00:00:00+00:00"}}),
            due,
        ),
        (json!("{\"IsPastDue\":true}"), past_due),
        (json!("{\"isPastDue\":\"True\"}"), past_due),
        (json!({"isPastDue": true, "Unknown": [1, {}]}), past_due),
        (json!("not JSON"), due),
        (json!(null), due),
        (json!([]), due),
    ] {
        assert_eq!(timer_of(&timer), expected, "{timer}");
    }
    assert_eq!(timer(br#"{"Data":{}}"#).unwrap(), due);
}

#[test]
fn a_retry_is_counted_and_its_other_members_ignored() {
    for (metadata, expected) in [
        (
            json!({"RetryContext": {"RetryCount": 1, "MaxRetryCount": 3, "Exception": {"M": ""}, "Instance": null, "State": {}}}),
            1,
        ),
        (json!({"RetryContext": {"RetryCount": "2", "New": 1}}), 2),
        (
            json!({"RetryContext": null, "sys": {"MethodName": "SyncTimer"}}),
            0,
        ),
        (json!({}), 0),
        (json!(null), 0),
    ] {
        let body = json!({"Data": {"timer": {}}, "Metadata": metadata}).to_string();
        assert_eq!(
            timer(body.as_bytes()).unwrap().retry_count,
            expected,
            "{metadata}"
        );
    }
}

/// The rows of the table in `docs/specs/functions-host.md`, "2.4 Queue trigger request", in wire format.
#[test]
fn queue_messages_are_decoded_as_often_as_they_were_encoded() {
    for (on_the_wire, text) in [
        (r#""\"hello\"""#, "hello"),
        (r#""\"{\\\"v\\\":1}\"""#, r#"{"v":1}"#),
        (
            r#""\"{\\n  \\\"v\\\": 1,\\n  \\\"part\\\": 3\\n}\"""#,
            "{\n  \"v\": 1,\n  \"part\": 3\n}",
        ),
        (r#""\"[1,2]\"""#, "[1,2]"),
        (r#""\"\"""#, ""),
        (r#""eyJ2IjoxfQ==""#, "eyJ2IjoxfQ=="),
        // Encoded once, and not at all.
        (r#""{\"v\":1}""#, r#"{"v":1}"#),
        (r#"{"v":1}"#, r#"{"v":1}"#),
        ("[1,2]", "[1,2]"),
        ("null", ""),
    ] {
        let body = format!(r#"{{"Data":{{"message":{on_the_wire}}}}}"#);
        assert_eq!(queue(body.as_bytes()).unwrap().text, text, "{on_the_wire}");
    }
    assert_eq!(queue(br#"{"Data":{}}"#).unwrap().text, "");
}

#[test]
fn the_metadata_of_a_message_is_only_a_hint() {
    for (metadata, expected) in [
        (json!({"DequeueCount": "1"}), Some(1)),
        (json!({"DequeueCount": 5}), Some(5)),
        (json!({"DequeueCount": "\"3\""}), Some(3)),
        (json!({"DequeueCount": "\"many\""}), None),
        (
            json!({"DequeueCount": {}, "run": "\"0b5e\"", "Id": 5}),
            None,
        ),
        (json!(null), None),
    ] {
        let body = json!({"Data": {"message": "\"\""}, "Metadata": metadata}).to_string();
        let delivery = queue(body.as_bytes()).unwrap();
        assert_eq!(delivery.dequeue_count, expected, "{metadata}");
    }
}

#[test]
fn an_http_call_is_read_as_the_host_sends_it() {
    let body = br#"{"Data":{"req":{"Url":"https://sync.example/api/SyncHttp/runs?format=csv","Method":"POST","Query":{"format":"csv"},
        "Headers":{"Accept":["*/*"],"Content-Length":["29"],"Content-Type":["application/json"],"Host":["sync.example"],"x-functions-key":["k3y"]},
        "Params":{"path":"runs"},
        "Identities":[{"AuthenticationType":"WebJobsAuthLevel","IsAuthenticated":true,"Actor":null,"Claims":[]}],
        "Body":"{\"accounts\":[\"anna@corp.example\"]}"}},
        "Metadata":{"path":"\"runs\"","format":"\"csv\"","Query":{"format":"csv"},"Headers":{"Accept":"*/*"},"sys":{"MethodName":"SyncHttp"}}}"#;
    let request = http(body).unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(request.segments, ["runs"]);
    assert_eq!(request.base, "/api/SyncHttp");
    assert_eq!(request.query["format"], "csv");
    assert_eq!(
        request.body.as_deref(),
        Some(r#"{"accounts":["anna@corp.example"]}"#)
    );
}

#[test]
fn what_no_host_sends_is_an_error() {
    for body in [
        "",
        "null",
        "[]",
        "[{\"timer\":{}},{}]",
        "\"x\"",
        "{",
        "{}",
        "{\"Data\":null}",
        "{\"Data\":[]}",
        "<html>",
    ] {
        let body = body.as_bytes();
        assert!(timer(body).is_err() && http(body).is_err() && queue(body).is_err());
    }
    assert!(http(br#"{"Data":{"timer":{}}}"#).is_err());
    assert!(timer(b"\xef\xbb\xbf {\"Data\":{}}").is_ok());
}
