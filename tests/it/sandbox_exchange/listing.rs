//! Items 11 to 14: the list, its options, its pages, its rows.

use std::time::Duration;

use cloud_sync::sandbox::exchange::{Contact, Life, Link, Mailbox, Paging, Tenant, faults};

use super::*;

/// Users `u1` to `u{count}`, in pages of three.
async fn users(count: usize) -> Bench {
    let mut tenant = Tenant::new("corp.example");
    for number in 1..=count {
        tenant = tenant.user(&format!("u{number}@corp.example"));
    }
    tenant.switches.page_rows_max = 3;
    Bench::new(tenant).await
}

/// The aliases of all pages, in order; at most ten pages.
async fn crawl(bench: &Bench, url: &str) -> (Vec<String>, Option<Answer>) {
    let mut rows = Vec::new();
    let mut url = url.to_owned();
    for _ in 0..10 {
        let answer = bench.get(&url).await;
        if answer.status != 200 || answer.body.is_empty() {
            return (rows, Some(answer));
        }
        rows.extend(answer.column("Alias"));
        match answer.next_link() {
            None => return (rows, None),
            Some(link) => url = link,
        }
    }
    rows.push("…".to_owned());
    (rows, None)
}

#[tokio::test]
async fn c12_the_minimum_set_comes_unasked() {
    let bench = users(1).await;
    let answer = bench.get("/Mailbox").await;
    let row = &answer.rows()[0];
    let names: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    insta::assert_snapshot!(names.join(" "), @"@odata.editLink @odata.id Alias DisplayName DistinguishedName EmailAddresses ExchangeVersion ExternalDirectoryObjectId Guid Id Identity Name ObjectKey OrganizationId PrimarySmtpAddress RecipientType RecipientTypeDetails UserPrincipalName");
    assert_eq!(row["ObjectKey"], row["ExternalDirectoryObjectId"]);
    assert_ne!(row["Guid"], row["ExternalDirectoryObjectId"]);
    let context = answer.ok()["@odata.context"].as_str().unwrap().to_owned();
    assert_eq!(context, format!("{}/$metadata#Mailbox", bench.root));
}

#[tokio::test]
async fn c12_a_selection_is_exact_and_checked() {
    let bench = users(1).await;
    let row = bench
        .get("/Mailbox?$select=Guid,AccountDisabled")
        .await
        .rows()[0]
        .clone();
    let names: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        ["@odata.editLink", "@odata.id", "AccountDisabled", "Guid"]
    );
    assert_eq!(row["AccountDisabled"], json!(false));
    let encoded = bench.get("/Mailbox?%24select=Guid%2CName").await;
    assert_eq!(encoded.status, 200);
    for bad in [
        "$select=Guid,ForwardingAddresses",
        "$select=",
        "$expand=MailboxPermission",
        "$expand=MobileDevice",
        "$orderby=Name",
        "$count=true",
        "$top=many",
        "PropertySet=Everything",
        "RecipientTypeDetails=Mailboxes",
        "$filter=Name like 'x'",
        "$select=Guid&$select=Name",
        "isEncoded=true",
    ] {
        assert_eq!(
            bench.get(&format!("/Mailbox?{bad}")).await.status,
            400,
            "{bad}"
        );
    }
    let all = bench.get("/Mailbox?PropertySet=All").await.rows()[0].clone();
    assert_eq!(all["IsInactiveMailbox"], json!(false));
}

#[tokio::test]
async fn c12_filters_are_by_kind_and_id() {
    let tenant = Tenant::new("corp.example")
        .user("ann@corp.example")
        .shared("desk@corp.example")
        .room("room@corp.example");
    let bench = Bench::new(tenant).await;
    let aliases = async |query: &str| {
        bench
            .get(&format!("/Mailbox?{query}"))
            .await
            .column("Alias")
            .join(" ")
    };
    assert_eq!(
        aliases("RecipientTypeDetails=SharedMailbox,RoomMailbox").await,
        "desk room"
    );
    assert_eq!(
        aliases("$filter=RecipientTypeDetails eq 'SharedMailbox'").await,
        "desk"
    );
    assert_eq!(
        aliases("Filter=RecipientTypeDetails -eq 'UserMailbox'").await,
        "ann"
    );
    let edoid = bench
        .simulator
        .read(|tenant| tenant.mailboxes[2].edoid.clone());
    assert_eq!(
        aliases(&format!("$filter=ExternalDirectoryObjectId eq '{edoid}'")).await,
        "room"
    );
    assert_eq!(aliases("$top=2").await, "ann desk");
}

#[tokio::test]
async fn c12_dead_mailboxes_show_only_when_asked_for() {
    let bench = users(2).await;
    bench
        .simulator
        .with_state(|tenant| tenant.mailboxes[0].life = Life::SoftDeleted);
    assert_eq!(bench.get("/Mailbox").await.column("Alias"), ["u2"]);
    let deleted = bench.get("/Mailbox?SoftDeletedMailbox=true").await;
    assert_eq!(deleted.column("Alias"), ["u1"]);
    assert_eq!(
        bench.get(&permission_path("u1@corp.example")).await.status,
        404
    );
}

#[tokio::test]
async fn c12_one_mailbox_by_plain_or_encoded_key() {
    let bench = Bench::new(Tenant::new("corp.example").user("o'neil@corp.example")).await;
    let one = bench.get("/Mailbox('o''neil@corp.example')").await.ok();
    assert_eq!(one["UserPrincipalName"], "o'neil@corp.example");
    assert!(one["@odata.id"].as_str().unwrap().starts_with(&bench.root));
    let encoded = STANDARD.encode("o'neil@corp.example");
    let one = bench
        .get(&format!(
            "/Mailbox('{encoded}')?isEncoded=true&$select=Alias"
        ))
        .await;
    assert_eq!(one.ok()["Alias"], "o'neil");
    assert_eq!(
        bench.get("/Mailbox('o'neil@corp.example')").await.status,
        404
    );
    assert_eq!(bench.get("/Mailbox('gone@corp.example')").await.status, 404);
}

#[tokio::test]
async fn c13_pages_hold_everything_once() {
    let bench = users(8).await;
    let (rows, end) = crawl(&bench, "/Mailbox?$select=Alias").await;
    assert_eq!(rows.join(" "), "u1 u2 u3 u4 u5 u6 u7 u8");
    assert!(end.is_none());
    let first = bench.get("/Mailbox?$select=Alias").await;
    let link = first.next_link().unwrap();
    assert!(
        link.starts_with(&format!("{}/Mailbox?", bench.root)),
        "{link}"
    );
    assert!(link.contains("%24select=Alias&%24skiptoken="), "{link}");
    let ask = bench
        .request(Method::GET, "/Mailbox?$select=Alias")
        .header("prefer", "odata.maxpagesize = 2;");
    let two = send(ask).await;
    assert_eq!(two.rows().len(), 2);
    assert!(
        two.header("preference-applied")
            .contains("odata.maxpagesize=2")
    );
    let (top, _) = crawl(&bench, "/Mailbox?$select=Alias&$top=5").await;
    assert_eq!(top.join(" "), "u1 u2 u3 u4 u5");
    let same = bench.get(&link).await;
    assert_eq!(
        same.column("Alias"),
        bench.get(&link).await.column("Alias"),
        "a page can be asked for again"
    );
}

#[tokio::test]
async fn c13_the_default_and_greatest_page_is_a_thousand() {
    let bench = users(1001).await;
    bench
        .simulator
        .switch(|switches| switches.page_rows_max = 1000);
    let ask = bench
        .request(Method::GET, "/Mailbox?$select=Alias")
        .header("prefer", "odata.maxpagesize=5000");
    for answer in [bench.get("/Mailbox?$select=Alias").await, send(ask).await] {
        assert_eq!(answer.rows().len(), 1000);
        let last = bench.get(&answer.next_link().unwrap()).await;
        assert_eq!(last.column("Alias"), ["u1001"]);
    }
}

#[tokio::test]
async fn c13_a_link_is_bound_to_its_request() {
    let mut bench = users(8).await;
    let link = bench
        .get("/Mailbox?$select=Alias")
        .await
        .next_link()
        .unwrap();
    let refused = async |bench: &Bench, link: &str| {
        let answer = bench.get(link).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.cause(),
            "Expired or Invalid pagination request. Default Expiry time is 00:30:00"
        );
    };
    refused(&bench, &link.replace("=Alias", "=Name")).await;
    refused(&bench, &format!("{link}x")).await;
    let anchor = bench.anchor.replace("UPN:someone@corp.example");
    refused(&bench, &link).await;
    bench.anchor = None;
    let unanchored = bench
        .get("/Mailbox?$select=Alias")
        .await
        .next_link()
        .unwrap();
    refused(&bench, &unanchored).await;
    bench
        .simulator
        .switch(|switches| switches.anchor_binding = false);
    assert_eq!(bench.get(&unanchored).await.status, 200);
    bench.anchor = anchor;
    bench.simulator.control().advance(Duration::from_secs(1801));
    refused(&bench, &link).await;
}

#[tokio::test]
async fn c13_paging_can_go_wrong_in_every_way() {
    let bench = users(8).await;
    for status in [404, 500] {
        bench.simulator.control().inject(faults::page_fails(status));
        let (rows, end) = crawl(&bench, "/Mailbox").await;
        assert_eq!((rows.len(), end.unwrap().status), (3, status));
    }
    bench.simulator.control().inject(faults::page_empty());
    let (rows, end) = crawl(&bench, "/Mailbox").await;
    assert_eq!((rows.len(), end.unwrap().body.len()), (3, 0));
    bench.simulator.control().inject(faults::expired_page());
    assert_eq!(crawl(&bench, "/Mailbox").await.1.unwrap().status, 400);

    let rows = async |paging| {
        bench.simulator.switch(|switches| switches.paging = paging);
        crawl(&bench, "/Mailbox").await.0.join(" ")
    };
    assert_eq!(rows(Paging::RowMoved).await, "u1 u2 u3 u3 u5 u6 u7 u8");
    assert_eq!(
        rows(Paging::DuplicatePage).await,
        "u1 u2 u3 u1 u2 u3 u4 u5 u6 u7 u8"
    );
    assert!(rows(Paging::Endless).await.ends_with('…'));
    assert!(rows(Paging::RepeatedLink).await.ends_with("u4 u5 u6 …"));
}

#[tokio::test]
async fn c11_links_can_lead_astray_and_answers_elsewhere() {
    let bench = users(4).await;
    let link = async |link| {
        bench.simulator.switch(|switches| switches.link = link);
        bench.get("/Mailbox").await.next_link().unwrap_or_default()
    };
    assert!(
        link(Link::Foreign)
            .await
            .starts_with("https://outlook.office365.com.attacker.example/")
    );
    assert!(
        link(Link::Port446)
            .await
            .starts_with("https://outlook.office365.com:446/")
    );
    assert_eq!(link(Link::Absent).await, "");
    for status in [302, 307] {
        bench.simulator.control().inject(faults::redirect(
            status,
            "https://eu.outlook.office365.com/x",
        ));
        let answer = bench.get("/Mailbox").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (status, "https://eu.outlook.office365.com/x")
        );
    }
}

#[tokio::test]
async fn c14_rows_are_as_various_as_life() {
    let mut tenant = Tenant::new("corp.example")
        .mailbox(
            Mailbox::user("Ann.Ámon@Corp.example")
                .with_upn("ann@corp.onmicrosoft.example")
                .with_name("Ann O'Neil")
                .with_alias_address("ann.old@corp.example"),
        )
        .shared("desk@corp.example")
        .discovery();
    tenant.mailboxes[0]
        .email_addresses
        .insert(0, "SIP:ann@corp.example".to_owned());
    tenant.mailboxes[1].recipient_type_details = "HologramMailbox".to_owned();
    tenant.mailboxes[1]
        .overrides
        .insert("PrimarySmtpAddress".to_owned(), Value::Null);
    tenant.mailboxes[1]
        .overrides
        .insert("Hologram".to_owned(), json!({"Colour": 7}));
    tenant.mailboxes[1].missing.push("Guid".to_owned());
    let bench = Bench::new(tenant).await;
    let rows = bench.get("/Mailbox?PropertySet=All").await.rows();
    assert_eq!(rows[0]["UserPrincipalName"], "ann@corp.onmicrosoft.example");
    assert_eq!(rows[0]["Identity"], "Ann O'Neil");
    assert_eq!(
        rows[0]["EmailAddresses"],
        json!([
            "SIP:ann@corp.example",
            "SMTP:Ann.Ámon@Corp.example",
            "smtp:ann.old@corp.example"
        ])
    );
    assert_eq!(rows[1]["RecipientTypeDetails"], "HologramMailbox");
    assert_eq!(rows[1]["AccountDisabled"], json!(true));
    assert!(rows[1]["PrimarySmtpAddress"].is_null() && rows[1].get("Guid").is_none());
    assert_eq!(rows[1]["Hologram"]["Colour"], 7);
    assert_eq!(rows[2]["ExternalDirectoryObjectId"], "");
    assert_eq!(rows[2]["ObjectKey"], rows[2]["UserPrincipalName"]);
    let id = rows[2]["@odata.id"].as_str().unwrap();
    assert!(id.ends_with("/Mailbox('DiscoverySearchMailbox%7BD919BA05-46A6-415f-80AD-7E09334BB852%7D%40corp.onmicrosoft.example')"), "{id}");
}

#[tokio::test]
async fn the_state_can_be_read_and_replaced() {
    let bench = users(1).await;
    let url = format!("{}/sandbox/exchange/state", bench.origin);
    let mut state = bench.get(&url).await.ok();
    assert_eq!(
        serde_json::from_value::<Tenant>(state.clone()).unwrap(),
        bench.simulator.state()
    );
    state["contacts"] = json!([Contact::of_kind("MailContact", "out@example.org")]);
    let put = async |state: &Value| {
        send(bench.request(Method::PUT, &url).body(state.to_string()))
            .await
            .status
    };
    assert_eq!(put(&state).await, 204);
    assert_eq!(bench.simulator.read(|tenant| tenant.contacts.len()), 1);
    state["mailboxs"] = json!([]);
    assert_eq!(put(&state).await, 400);
}
