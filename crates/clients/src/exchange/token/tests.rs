use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

fn jwt(claims: &Value) -> String {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{payload}.c2ln")
}

#[test]
fn claims_are_read_in_every_base64() {
    // Chosen so that both special characters of the alphabets occur.
    let claims = json!({"tid": "11111111-1111-4111-8111-111111111111", "name": "Jörg ÿÿÿ>>>???", "scp": "x"});
    let standard = BASE64_STANDARD.encode(claims.to_string());
    assert!(
        standard.contains('/') || standard.contains('+'),
        "{standard}"
    );
    for token in [
        jwt(&claims),
        format!("e30.{standard}.sig"),
        format!("e30.{standard}"),
    ] {
        let facts = read_claims(&token).unwrap();
        assert_eq!(facts.tenant_id, "11111111-1111-4111-8111-111111111111");
    }
}

#[test]
fn a_token_that_cannot_work_is_refused_at_once() {
    let tid = "11111111-1111-4111-8111-111111111111";
    for (token, expected) in [
        ("secret".to_owned(), "the token is not a JSON Web Token"),
        (
            jwt(&json!(7)),
            "the claims of the token are not a JSON object",
        ),
        (jwt(&json!({"scp": "x"})), "the token has no `tid` claim"),
        (
            jwt(&json!({"tid": "", "scp": "x"})),
            "the token has no `tid` claim",
        ),
        (
            jwt(&json!({"tid": "..", "scp": "x"})),
            "the token has no `tid` claim",
        ),
        (
            jwt(&json!({"tid": tid})),
            "the identity lacks the app role Exchange.ManageAsApp",
        ),
        (
            jwt(&json!({"tid": tid, "roles": ["Exchange.ManageAsAppV2"]})),
            "the identity lacks the app role Exchange.ManageAsApp",
        ),
    ] {
        let (Unusable::Token(error) | Unusable::NoRole(error)) = read_claims(&token).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_token_that_is_old_or_for_another_service_says_so() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    for (exp, aud, expected) in [
        (1_800_000_001, "https://outlook.office365.com", None),
        (1_800_000_001, "https://outlook.office365.com/", None),
        (1_800_000_001, EXCHANGE_APP, None),
        (
            1_800_000_000,
            "https://outlook.office365.com",
            Some("the token expired at 2027-01-15T08:00:00Z"),
        ),
        (
            1_800_000_001,
            "https://graph.microsoft.com",
            Some(
                "the token is for https://graph.microsoft.com, not for https://outlook.office365.com",
            ),
        ),
    ] {
        let token = jwt(&json!({"tid": "t", "scp": "x", "exp": exp, "aud": aud}));
        let fault = read_claims(&token)
            .unwrap()
            .fault(now, "https://outlook.office365.com/.default");
        assert_eq!(fault.as_deref(), expected);
    }
}

#[test]
fn a_missing_entra_role_is_only_a_warning() {
    let claims = |wids| jwt(&json!({"tid": "t", "roles": ["Exchange.ManageAsApp"], "wids": wids}));
    let known = read_claims(&claims(json!(["F2EF992C-3afb-46b9-b7cf-a126ee74c451"])));
    assert_eq!(known.unwrap().warning, None);
    assert!(read_claims(&claims(json!([]))).unwrap().warning.is_some());
}

#[test]
fn the_scope_is_the_service_itself_or_the_real_one_for_a_sandbox() {
    for (base, expected) in [
        (
            "https://outlook.office365.us/",
            "https://outlook.office365.us/.default",
        ),
        (
            "http://127.0.0.1:9/",
            "https://outlook.office365.com/.default",
        ),
    ] {
        assert_eq!(scope(&base.parse().unwrap()), expected);
    }
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let now = Timestamp::UNIX_EPOCH;
    let after = |seconds| Timestamp::from_second(seconds).unwrap();
    assert_eq!(renew_at(now, after(86_700)), Some(after(86_400)));
    assert_eq!(renew_at(now, after(120)), Some(after(60)));
    assert_eq!(renew_at(now, after(-5)), Some(after(-5)));
}
