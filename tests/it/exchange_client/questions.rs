//! Groups, members and recipients.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cmdlet_goes_on_with_the_same_body_and_headers() {
    let first = Arc::new(Mutex::new(None));
    let service = fake(move |seen| {
        let sent = (seen.body.clone(), seen.header("x-anchormailbox").to_owned());
        assert_eq!(*first.lock().unwrap().get_or_insert(sent.clone()), sent);
        assert_eq!(seen.method, Method::POST);
        let input = &seen.json()["CmdletInput"];
        assert_eq!(input["CmdletName"], "Get-DistributionGroupMember");
        assert_eq!(
            input["Parameters"],
            json!({"Identity": id(1), "ResultSize": "Unlimited"})
        );
        let link = format!("{ROOT}/InvokeCommand?%24skiptoken=2");
        let rows = |from: usize, to: usize| {
            (from..to).map(|number| {
            json!({"Name": "x", "RecipientTypeDetails": "UserMailbox", "ExternalDirectoryObjectId": id(number), "Guid@odata.type": "x"})
        }).collect::<Vec<_>>()
        };
        match page_number(seen) {
            1 => json_response(&json!({"value": rows(0, 1000), "@odata.nextLink": link,
                "@adminapi.warnings": ["There are more results available than are currently displayed."]})),
            _ => json_response(&json!({"value": rows(1000, 1500), "@adminapi.warnings": []})),
        }
    });
    let answer = client(service)
        .answer(&members(GroupKind::Security))
        .await
        .unwrap();
    let Answer::Members(MembersAnswer::Complete(rows)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(rows.len(), 1500);
}

#[tokio::test(start_paused = true)]
async fn r11_only_a_clean_answer_about_a_recipient_counts() {
    type Answers = fn() -> Response;
    let found = || {
        json_response(
            &json!({"@odata.context": "x", "value": [{"RecipientTypeDetails": "MailUser", "Name": "x", "Guid": id(1)}]}),
        )
    };
    let cases: [(&str, Answers, &str); 9] = [
        ("found", found, "found"),
        (
            "404",
            || error(404, NOT_FOUND, "couldn't be found"),
            "not found",
        ),
        (
            "400",
            || error(400, NOT_FOUND, "couldn't be found"),
            "not found",
        ),
        (
            "no rows",
            || json_response(&json!({"@odata.context": "x"})),
            "not found",
        ),
        (
            "ambiguous",
            || error(400, "M.ManagementObjectAmbiguousException", "two"),
            "ambiguous",
        ),
        (
            "two rows",
            || {
                json_response(
                    &json!({"value": [{"Name": "x", "Guid": id(1)}, {"Name": "x", "Guid": id(2)}]}),
                )
            },
            "ambiguous",
        ),
        ("stray JSON", || json_response(&json!({})), "failed"),
        ("empty body", || status(200), "failed"),
        (
            "wrong type",
            || json_response(&json!({"value": [{"Name": 7}]})),
            "failed",
        ),
    ];
    for (name, answers, expected) in cases {
        let answer = client(fake(move |_| answers()))
            .answer(&recipient("anna"))
            .await
            .unwrap();
        let Answer::Recipient(answer) = answer else {
            panic!("{answer:?}")
        };
        let kind = match answer {
            RecipientAnswer::Found(_) => "found",
            RecipientAnswer::NotFound => "not found",
            RecipientAnswer::Ambiguous => "ambiguous",
            RecipientAnswer::Failed(_) => "failed",
        };
        assert_eq!(kind, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_without_an_id_are_told_apart_by_their_guid() {
    const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
    let member = |number: usize| json!({"Name": number.to_string(), "Guid": id(number), "ExternalDirectoryObjectId": NOBODY});
    let nameless =
        |name: &str| json!({"Name": name, "Guid": NOBODY, "ExternalDirectoryObjectId": NOBODY});
    let service = fake(move |seen| {
        let link = format!("{ROOT}/InvokeCommand?%24skiptoken=2");
        match page_number(seen) {
            1 => json_response(
                &json!({"value": [member(1), member(2), nameless("a")], "@odata.nextLink": link}),
            ),
            _ => json_response(&json!({"value": [member(3), nameless("b")]})),
        }
    });
    let answer = client(service).answer(&members(GroupKind::Role)).await;
    let Ok(Answer::Members(MembersAnswer::Complete(rows))) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(rows.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn r11_one_name_with_two_contents_is_ambiguous() {
    let service = fake(|_| {
        json_response(&json!({"value": [
            {"Name": "x", "Guid": id(1), "RecipientTypeDetails": "MailUser"},
            {"Name": "x", "Guid": id(1), "RecipientTypeDetails": "UserMailbox"}]}))
    });
    let answer = client(service).answer(&recipient("x")).await.unwrap();
    assert_eq!(answer, Answer::Recipient(RecipientAnswer::Ambiguous));
}

#[tokio::test(start_paused = true)]
async fn r11_silence_about_members_counts_only_if_the_group_says_the_same() {
    let cases = [
        (json!([{"Name": "g", "Members": []}]), true),
        (json!([{"Name": "g", "Members": ["a"]}]), false),
        (json!([{"Name": "g", "Members": null}]), false),
        (json!([{"Name": "g"}]), false),
        (json!([]), false),
        (
            json!([{"Name": "g", "Members": []}, {"Name": "g", "Members": []}]),
            false,
        ),
    ];
    for (group, expected) in cases {
        for kind in [
            GroupKind::Security,
            GroupKind::Distribution,
            GroupKind::Role,
        ] {
            let group = group.clone();
            let service = fake(move |seen| {
                let input = &seen.json()["CmdletInput"];
                if input["CmdletName"] != "Get-Group" {
                    return status(200);
                }
                assert_eq!(input["Parameters"]["Identity"], id(1));
                json_response(&json!({"value": group}))
            });
            let answer = client(service).answer(&members(kind)).await.unwrap();
            let is_empty = answer == Answer::Members(MembersAnswer::Complete(Vec::new()));
            assert_eq!(is_empty, expected && kind != GroupKind::Role, "{answer:?}");
            assert!(is_empty || matches!(answer, Answer::Members(MembersAnswer::Failed(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r11_silence_about_groups_counts_only_if_nothing_else_is_heard() {
    let roles = r#"{"value":[{"Name":"r","RecipientTypeDetails":"RoleGroup"}]}"#;
    let none = r#"{"value":[]}"#;
    let team = r#"{"value":[{"Name":"g","RecipientTypeDetails":"MailUniversalSecurityGroup"}]}"#;
    let groups = r#"{"value":[{"Name":"g","RecipientTypeDetails":"RoomList"}]}"#;
    let unclear = r#"{"value":[{"Name":"g"}]}"#;
    for (directory, all, expected) in [
        (["", "", ""], roles, Some(0)),
        (["", "", ""], none, Some(0)),
        (["", "", ""], team, None),
        (["", "", ""], groups, None),
        (["", "", ""], unclear, None),
        (["", "", ""], "", None),
        (["", "", groups], "", Some(1)),
        (["", "oops", ""], roles, None),
    ] {
        let service = fake(move |seen| {
            if seen.json()["CmdletInput"]["CmdletName"] == "Get-Group" {
                return all.into_response();
            }
            directory[seen.number].into_response()
        });
        let answer = client(service)
            .answer(&Question::GroupDirectory)
            .await
            .unwrap();
        let read = if let Answer::Directory(DirectoryAnswer::Complete(rows)) = answer {
            Some(rows.len())
        } else {
            None
        };
        assert_eq!(read, expected, "{directory:?} {all}");
    }
}

#[tokio::test(start_paused = true)]
async fn r11_silence_about_groups_is_confirmed_over_pages_of_others() {
    let page = |first: usize, link: bool| {
        let groups: Vec<_> = (first..first + 1000)
            .map(|n| json!({"Name": n.to_string(), "Guid": id(n), "RecipientTypeDetails": "GroupMailbox"}))
            .collect();
        let mut page = json!({"value": groups});
        if link {
            page["@odata.nextLink"] = json!(format!("{ROOT}/InvokeCommand?%24skiptoken=2"));
        }
        json_response(&page)
    };
    let service = fake(move |seen| {
        if seen.json()["CmdletInput"]["CmdletName"] != "Get-Group" {
            return "".into_response();
        }
        let is_second = page_number(seen) == 2;
        page(if is_second { 1001 } else { 1 }, !is_second)
    });
    let answer = client(service)
        .answer(&Question::GroupDirectory)
        .await
        .unwrap();
    assert!(
        matches!(&answer, Answer::Directory(DirectoryAnswer::Complete(groups)) if groups.is_empty()),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_envelope_of_nothing_is_asked_for_again() {
    let service = fake(|seen| match seen.number {
        0 | 1 => json_response(&json!({})),
        _ => json_response(&json!({"value": [{"Name": "x", "Guid": id(1)}]})),
    });
    let answer = client(service).answer(&recipient("x")).await.unwrap();
    assert!(
        matches!(answer, Answer::Recipient(RecipientAnswer::Found(_))),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_identity_is_never_sent() {
    let client = client(fake(|_| panic!("sent")));
    let answer = client.answer(&recipient(" ")).await.unwrap();
    assert!(matches!(
        answer,
        Answer::Recipient(RecipientAnswer::Failed(_))
    ));
    let nobody = Question::Members {
        identity: String::new(),
        kind: GroupKind::Role,
    };
    let answer = client.answer(&nobody).await.unwrap();
    assert!(matches!(answer, Answer::Members(MembersAnswer::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_or_vanished_group_is_not_read() {
    let truncated: fn(&Seen) -> Response = |_| {
        json_response(
            &json!({"value": [{"Name": "x"}], "@adminapi.warnings": ["There are more results available than are currently displayed."]}),
        )
    };
    for answers in [truncated, |_| status(404), |_| status(403)] {
        let client = client(fake(answers));
        let answer = client.answer(&members(GroupKind::Security)).await.unwrap();
        assert!(
            matches!(
                answer,
                Answer::Members(MembersAnswer::Failed(_) | MembersAnswer::NotFound)
            ),
            "{answer:?}"
        );
        let answer = client.answer(&Question::GroupDirectory).await.unwrap();
        assert!(
            matches!(answer, Answer::Directory(DirectoryAnswer::Failed(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_group_has_its_cmdlet() {
    for (kind, name, members) in [
        (GroupKind::Distribution, "Get-DistributionGroupMember", 2),
        (GroupKind::Microsoft365, "Get-UnifiedGroupLinks", 2),
        (GroupKind::Dynamic, "Get-DynamicDistributionGroupMember", 2),
        (GroupKind::Role, "Get-RoleGroupMember", 2),
        (GroupKind::PlainSecurity, "Get-Group", 3),
    ] {
        let service = fake(move |seen| {
            let input = &seen.json()["CmdletInput"];
            assert_eq!(input["CmdletName"], name);
            let link_type = (kind == GroupKind::Microsoft365).then_some("Members");
            assert_eq!(input["Parameters"]["LinkType"].as_str(), link_type);
            if kind == GroupKind::PlainSecurity {
                return json_response(
                    &json!({"value": [{"Name": "g", "Members": ["a", "b", "c"]}]}),
                );
            }
            json_response(&json!({"value": [{"Name": "a"}, {"Name": "b"}]}))
        });
        let answer = client(service).answer(&self::members(kind)).await.unwrap();
        let Answer::Members(MembersAnswer::Complete(rows)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(rows.len(), members);
    }
}
