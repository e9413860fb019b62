//! Items 19 to 22: cmdlets over InvokeCommand.

use cloud_sync::sandbox::exchange::{GroupKind, Link, NoOutput, ResultSize};

use super::*;

async fn org() -> Bench {
    let tenant = Tenant::new("corp.example")
        .user("ann@corp.example")
        .user("bob@corp.example")
        .shared("desk@corp.example")
        .mail_user("guest@example.org")
        .security_group(
            "Inner",
            &[
                "bob@corp.example",
                "Outer",
                "guest@example.org",
                "gone@corp.example",
            ],
        )
        .security_group("Outer", &["ann@corp.example", "Inner"])
        .distribution_group("News", &[])
        .group_of_kind(GroupKind::GroupMailbox, "Project", &["ann@corp.example"])
        .group_of_kind(
            GroupKind::DynamicDistributionGroup,
            "Everyone",
            &["ann@corp.example", "bob@corp.example"],
        )
        .group_of_kind(
            GroupKind::UniversalSecurityGroup,
            "Plain",
            &["ann@corp.example"],
        )
        .group_of_kind(
            GroupKind::RoleGroup,
            "Discovery Management",
            &["bob@corp.example"],
        )
        .full_access("desk@corp.example", "Outer")
        .full_access("desk@corp.example", "ann@corp.example");
    Bench::new(tenant).await
}

#[track_caller]
fn names(answer: &Answer) -> String {
    answer.column("DisplayName").join(" ")
}

#[tokio::test]
async fn c19_each_cmdlet_has_its_own_world() {
    let bench = org().await;
    let by = async |cmdlet: &str, parameters| names(&bench.cmdlet(cmdlet, parameters).await);
    let all = json!({"ResultSize": "Unlimited"});
    assert_eq!(by("Get-Mailbox", all.clone()).await, "ann bob desk");
    assert_eq!(
        by("Get-DistributionGroup", all.clone()).await,
        "Inner Outer News"
    );
    assert_eq!(
        by("Get-Recipient", all.clone()).await,
        "ann bob desk Inner Outer News Project Everyone guest"
    );
    assert_eq!(
        by("Get-Group", all.clone()).await,
        "Inner Outer News Project Plain Discovery Management"
    );
    assert_eq!(by("Get-UnifiedGroup", all).await, "Project");
    let of = |group: &str| json!({"Identity": group, "ResultSize": "Unlimited"});
    assert_eq!(
        by("Get-DistributionGroupMember", of("Inner")).await,
        "bob Outer guest"
    );
    assert_eq!(
        by("get-distributiongroupmember", of("outer@corp.example")).await,
        "ann Inner"
    );
    assert_eq!(
        by("Get-DynamicDistributionGroupMember", of("Everyone")).await,
        "ann bob"
    );
    assert_eq!(
        by("Get-RoleGroupMember", of("Discovery Management")).await,
        "bob"
    );
    let links = json!({"Identity": "Project", "LinkType": "Members"});
    assert_eq!(by("Get-UnifiedGroupLinks", links).await, "ann");
    let plain = bench.cmdlet("Get-Group", of("Plain")).await.rows();
    let ann = bench
        .simulator
        .read(|tenant| tenant.mailboxes[0].name.clone());
    assert_eq!(plain[0]["Members"], json!([ann]));
    let wrong_kind = bench
        .cmdlet("Get-DistributionGroupMember", of("Project"))
        .await;
    assert_eq!(wrong_kind.status, 404);
    let domains = bench.cmdlet("Get-AcceptedDomain", json!({})).await;
    assert_eq!(
        domains.column("DomainName"),
        ["corp.onmicrosoft.example", "corp.example"]
    );
}

#[tokio::test]
async fn c19_a_null_or_empty_identity_is_everything() {
    let bench = org().await;
    for identity in [json!(null), json!("")] {
        for (cmdlet, count) in [
            ("Get-Mailbox", 3),
            ("Get-Recipient", 9),
            ("Get-DistributionGroup", 3),
        ] {
            let answer = bench.cmdlet(cmdlet, json!({"Identity": identity})).await;
            assert_eq!(answer.rows().len(), count, "{cmdlet}");
        }
        for cmdlet in ["Get-MailboxPermission", "Get-DistributionGroupMember"] {
            let answer = bench.cmdlet(cmdlet, json!({"Identity": identity})).await;
            assert_eq!(answer.status, 400, "{cmdlet}");
        }
    }
}

#[tokio::test]
async fn c19_what_is_unknown_or_wrong_is_refused() {
    let bench = org().await;
    let unknown = bench.cmdlet("Get-Everything", json!({})).await;
    assert_eq!((unknown.status, unknown.body), (403, vec![0; 1024]));
    let missing = bench.cmdlet("Get-MailboxPermission", json!({})).await;
    assert_eq!(
        (missing.status, missing.json()["error"]["message"].as_str()),
        (400, Some("Invalid Operation"))
    );
    let parameter = bench
        .cmdlet("Get-Mailbox", json!({"Identiti": "ann"}))
        .await;
    assert_eq!(parameter.status, 400);
    assert!(
        parameter.json()["error"]["details"][0]["message"]
            .as_str()
            .unwrap()
            .contains("AmbiguousParameterSetException")
    );
    for parameters in [
        json!({"Identity": ["ann"]}),
        json!({"ResultSize": "All"}),
        json!({"ResultSize": 0}),
        json!({"SoftDeletedMailbox": "true"}),
        json!({"RecipientTypeDetails": "Nonsense"}),
        json!({"Filter": "Name -like 'a*'"}),
        json!({"Identity": "ann", "identity": "bob"}),
    ] {
        let answer = bench.cmdlet("Get-Mailbox", parameters.clone()).await;
        assert_eq!(answer.status, 400, "{parameters}");
    }
    let prefix = bench
        .cmdlet("Get-Mailbox", json!({"RecipientTypeDetails": "Shared"}))
        .await;
    assert_eq!(prefix.rows().len(), 0, "a prefix passes and fits nothing");
}

#[tokio::test]
async fn c19_the_form_of_the_request_is_checked() {
    let bench = org().await;
    for body in [
        json!({}),
        json!({"CmdletInput": {"CmdletName": "Get-Mailbox"}}),
        json!({"CmdletInput": {"CmdletName": "Get-Mailbox", "Parameters": null}}),
        json!({"CmdletInput": {"CmdletName": "Get-Mailbox", "Parameters": {}, "Extra": 1}}),
        json!({"CmdletInput": {"CmdletName": "Get-Mailbox", "Parameters": {}}, "Extra": 1}),
    ] {
        assert_eq!(
            bench.post("/InvokeCommand", &body).await.status,
            400,
            "{body}"
        );
    }
    let list = command("Get-Mailbox", json!({}));
    assert_eq!(bench.post("/InvokeCommand?$top=1", &list).await.status, 400);
    let text = bench
        .request(Method::POST, "/InvokeCommand")
        .header("content-type", "text/plain");
    assert_eq!(send(text.body(list.to_string())).await.status, 415);
    assert_eq!(bench.get("/InvokeCommand").await.status, 405);
}

#[tokio::test]
async fn c19_a_name_of_two_objects_is_ambiguous() {
    let bench = org().await;
    bench.simulator.with_state(|tenant| {
        tenant.mailboxes[0].name = "Outer".to_owned();
    });
    let ask = json!({"Identity": "Outer"});
    let answer = bench.cmdlet("Get-Recipient", ask.clone()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.header("x-exceptiontype"),
        "ManagementObjectAmbiguousException"
    );
    assert!(
        answer
            .cause()
            .contains("doesn't represent a unique recipient")
    );
    bench
        .simulator
        .switch(|switches| switches.ambiguous_status = 404);
    assert_eq!(bench.cmdlet("Get-Recipient", ask.clone()).await.status, 404);
    assert_eq!(
        names(&bench.cmdlet("Get-DistributionGroup", ask).await),
        "Outer",
        "one of each kind"
    );
}

#[tokio::test]
async fn c20_the_envelope_of_permissions() {
    let bench = org().await;
    let answer = bench
        .cmdlet(
            "Get-MailboxPermission",
            json!({"Identity": "desk@corp.example"}),
        )
        .await;
    let body = answer.ok();
    assert_eq!(body["@adminapi.warnings"], json!([]));
    assert_eq!(body["adminapi.warnings@odata.type"], "#Collection(String)");
    assert!(
        body["@odata.context"]
            .as_str()
            .unwrap()
            .ends_with("$metadata#Collection(Exchange.GenericHashTable)")
    );
    let rows = answer.rows();
    let users: Vec<_> = rows
        .iter()
        .map(|row| row["User"].as_str().unwrap())
        .collect();
    assert_eq!(
        users,
        [
            "NT AUTHORITY\\SELF",
            "NT AUTHORITY\\SELF",
            "Outer",
            "ann@corp.example"
        ]
    );
    assert_eq!(
        rows[1]["AccessRights"],
        json!(["FullAccess, ExternalAccount, ReadPermission"])
    );
    assert_eq!(rows[1]["AccessRights@odata.type"], "#Collection(String)");
    assert_eq!(rows[0]["UserSid"], "S-1-5-10");
    assert!(
        rows[2]["UserSid"]
            .as_str()
            .unwrap()
            .starts_with("S-1-5-21-")
    );
    assert_eq!(rows[3]["PrimarySmtpAddress"], "");
}

#[tokio::test]
async fn c20_selection_and_no_output() {
    let bench = org().await;
    let list = command("Get-DistributionGroup", json!({"ResultSize": "Unlimited"}));
    let answer = bench.post("/InvokeCommand?$select=Name,Guid", &list).await;
    let row = answer.rows()[0].clone();
    let members: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["Guid", "Guid@data.type", "Name"]);
    assert_eq!(
        bench
            .post("/InvokeCommand?$select=Nonsense", &list)
            .await
            .status,
        400
    );
    let recipients = bench.cmdlet("Get-Recipient", json!({})).await.rows();
    assert!(
        recipients
            .iter()
            .all(|row| row.get("UserPrincipalName").is_none())
    );
    let empty = async || {
        bench
            .cmdlet("Get-DistributionGroupMember", json!({"Identity": "News"}))
            .await
    };
    assert!(empty().await.ok().get("value").is_none());
    bench
        .simulator
        .switch(|switches| switches.no_output = NoOutput::EmptyArray);
    assert_eq!(empty().await.ok()["value"], json!([]));
    bench
        .simulator
        .switch(|switches| switches.no_output = NoOutput::EmptyBody);
    assert_eq!(empty().await.body.len(), 0);
}

#[tokio::test]
async fn c21_pages_go_on_by_posting_the_same_body() {
    let mut bench = org().await;
    bench
        .simulator
        .switch(|switches| switches.page_rows_max = 4);
    let list = command("Get-Recipient", json!({"ResultSize": "Unlimited"}));
    let first = bench
        .post("/InvokeCommand?$select=DisplayName", &list)
        .await;
    assert_eq!(names(&first), "ann bob desk Inner");
    let warning = first.ok()["@adminapi.warnings"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(warning.starts_with("There are more results available"));
    let link = first.next_link().unwrap();
    assert!(
        link.starts_with(&format!("{}/InvokeCommand?%24skiptoken=", bench.root)),
        "{link}"
    );
    let second = bench.post(&link, &list).await;
    assert_eq!(names(&second), "Outer News Project Everyone");
    assert_eq!(
        second.rows()[0].as_object().unwrap().len(),
        1,
        "the selection is remembered"
    );
    let third = bench.post(&second.next_link().unwrap(), &list).await;
    assert_eq!(names(&third), "guest");
    assert_eq!(third.ok()["@adminapi.warnings"], json!([]));
    assert!(third.next_link().is_none());

    assert_eq!(bench.get(&link).await.status, 405);
    let other = command("Get-Recipient", json!({}));
    let refused = bench.post(&link, &other).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .cause()
            .starts_with("Expired or Invalid pagination request")
    );
    bench.anchor = Some("UPN:ann@corp.example");
    assert_eq!(bench.post(&link, &list).await.status, 400);
    bench.anchor = None;
    let unanchored = bench
        .post("/InvokeCommand", &list)
        .await
        .next_link()
        .unwrap();
    assert_eq!(bench.post(&unanchored, &list).await.status, 400);
    bench.simulator.switch(|switches| {
        switches.anchor_binding = false;
        switches.get_on_link_status = None;
    });
    assert_eq!(names(&bench.get(&link).await), names(&second));
}

#[tokio::test]
async fn c21_result_size_limits_pages_unless_ignored() {
    let bench = org().await;
    let one = json!({"ResultSize": 1});
    let answer = bench.cmdlet("Get-Mailbox", one.clone()).await;
    assert_eq!(
        (answer.rows().len(), answer.next_link().is_some()),
        (1, true)
    );
    bench
        .simulator
        .switch(|switches| switches.link = Link::Absent);
    let cut = bench.cmdlet("Get-Mailbox", one.clone()).await.ok();
    assert!(cut.get("@odata.nextLink").is_none());
    assert_eq!(
        cut["@adminapi.warnings"].as_array().unwrap().len(),
        1,
        "truncated, and it says so"
    );
    bench
        .simulator
        .switch(|switches| switches.result_size = ResultSize::Ignored);
    assert_eq!(bench.cmdlet("Get-Mailbox", one).await.rows().len(), 3);
}

#[tokio::test]
async fn c21_without_result_size_a_thousand_come() {
    let bench = org().await;
    let members: Vec<String> = (0..1001)
        .map(|number| format!("m{number}@corp.example"))
        .collect();
    bench.simulator.with_state(|tenant| {
        for member in &members {
            tenant
                .mailboxes
                .push(sandbox::exchange::Mailbox::user(member));
        }
        tenant.group_mut("News").unwrap().members = members;
        tenant.switches.page_rows_max = 5000;
    });
    let answer = bench
        .cmdlet("Get-DistributionGroupMember", json!({"Identity": "News"}))
        .await;
    assert_eq!(
        (answer.rows().len(), answer.next_link().is_some()),
        (1000, true)
    );
    let all = bench
        .cmdlet(
            "Get-DistributionGroupMember",
            json!({"Identity": "News", "ResultSize": "Unlimited"}),
        )
        .await;
    assert_eq!((all.rows().len(), all.next_link()), (1001, None));
}

#[tokio::test]
async fn c22_errors_say_their_cause_in_two_ways() {
    let bench = org().await;
    let ask = command(
        "Get-MailboxPermission",
        json!({"Identity": "gone@corp.example"}),
    );
    let text = "The operation couldn't be performed because object 'gone@corp.example' couldn't be found on 'dc01.example.invalid'.";
    let exception = "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException";
    let pipe = bench.post("/InvokeCommand", &ask).await;
    assert_eq!((pipe.status, pipe.cause()), (404, text.to_owned()));
    let error = pipe.json()["error"].clone();
    assert_eq!(error["code"], "NotFound");
    assert_eq!(error["message"], "Error executing cmdlet");
    assert_eq!(
        error["details"][0]["message"],
        format!("Ex6F9304|{exception}|{text}")
    );
    assert_eq!(error["innererror"]["internalexception"]["type"], exception);
    let imitation = bench
        .post_request("/InvokeCommand", &ask)
        .header("X-ResponseFormat", "json");
    let error = send(imitation).await.json()["error"].clone();
    let detail: Value =
        serde_json::from_str(error["details"][0]["message"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&detail["TypeName"], &detail["Message"]),
        (&json!(exception), &json!(text))
    );
    bench
        .simulator
        .switch(|switches| switches.not_found_status = 400);
    assert_eq!(bench.post("/InvokeCommand", &ask).await.status, 400);
}
