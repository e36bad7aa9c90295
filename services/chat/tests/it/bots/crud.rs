//! Creating, updating, listing and deleting bots and assignments.

use api::chat::v1::{
    Assignment, Bot, CreateBotRequest, DeleteBotRequest, GetBotRequest, ListAssignmentsRequest,
    ListBotsRequest, ListParkedDeliveriesRequest, RetryDeliveryRequest, UnassignBotRequest,
    UpdateBotRequest,
};
use prost_types::FieldMask;
use serde_json::json;
use testing::{Backend, apply, both, reason};
use tonic::{Code, Status};
use wire::convert::to_struct;

use super::{assign, assigned_bot, assignment, bot, client, create};
use crate::{chats::assert_invalid, fixture::Fixture};

fn assert_not_found(status: &Status, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::NotFound, expected));
}

#[apply(both!)]
async fn a_bot_is_created_updated_and_deleted(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut client = client(fixture.chat);
    let config = Some(to_struct(json!({"language": "de"})));
    let given = Bot { description: "translates".into(), config, ..bot("translation") };
    let created = create(&fixture, given.clone()).await.unwrap();
    assert_eq!(
        created,
        Bot {
            id: created.id.clone(),
            created_at: created.created_at,
            updated_at: created.created_at,
            ..given
        }
    );
    let get = GetBotRequest { id: created.id.clone() };
    assert_eq!(client.get_bot(get.clone()).await.unwrap().into_inner().bot, Some(created.clone()));

    let changed = Bot { name: "other".into(), r#type: "x".into(), ..created.clone() };
    let update_mask = Some(FieldMask { paths: vec!["name".into()] });
    let request = UpdateBotRequest { bot: Some(changed), update_mask };
    let updated = client.update_bot(request).await.unwrap().into_inner().bot.unwrap();
    assert_eq!((updated.name.as_str(), &updated.r#type), ("other", &created.r#type));

    client.delete_bot(DeleteBotRequest { id: created.id.clone() }).await.unwrap();
    assert_not_found(&client.get_bot(get).await.unwrap_err(), "BOT_NOT_FOUND");
    let gone = client.delete_bot(DeleteBotRequest { id: created.id.clone() }).await.unwrap_err();
    assert_not_found(&gone, "BOT_NOT_FOUND");
    let request = UpdateBotRequest { bot: Some(created), update_mask: None };
    assert_not_found(&client.update_bot(request).await.unwrap_err(), "BOT_NOT_FOUND");
}

#[apply(both!)]
async fn bots_are_listed_by_type_in_pages(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut client = client(fixture.chat);
    let mut created = Vec::new();
    for kind in ["a", "b", "a", "a"] {
        created.push(create(&fixture, bot(kind)).await.unwrap());
    }
    let all = client.list_bots(ListBotsRequest::default()).await.unwrap().into_inner();
    assert_eq!((all.bots, all.next_page_token.as_str()), (created.clone(), ""));
    let request = ListBotsRequest { page_size: 2, r#type: "a".into(), ..Default::default() };
    let first = client.list_bots(request.clone()).await.unwrap().into_inner();
    let page_token = first.next_page_token;
    let rest = ListBotsRequest { page_token: page_token.clone(), ..request };
    let rest = client.list_bots(rest).await.unwrap().into_inner();
    let of_a: Vec<Bot> = created.into_iter().filter(|bot| bot.r#type == "a").collect();
    assert_eq!([first.bots, rest.bots].concat(), of_a);
    assert_eq!(rest.next_page_token, "");
    let other = ListBotsRequest { page_token, r#type: "b".into(), page_size: 2 };
    assert_invalid(&client.list_bots(other).await.unwrap_err(), "page_token", "PAGE_TOKEN_INVALID");
}

#[apply(both!)]
async fn assignments_are_listed_by_priority(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut client = client(fixture.chat);
    let chat = fixture.chat("a").await;
    let list = ListAssignmentsRequest { chat_id: chat.clone() };
    let mut bots = Vec::new();
    for priority in [2, -1, 1] {
        let bot = create(&fixture, bot("echo")).await.unwrap();
        let given = Assignment { priority, ..assignment(&chat, &bot) };
        bots.push((priority, assign(&fixture, given).await.unwrap()));
    }
    // Assigning again updates the assignment.
    let config_override = Some(to_struct(json!({"a": 1})));
    let given = Assignment { config_override, enabled: false, ..bots[0].1.clone() };
    bots[0].1 = assign(&fixture, given.clone()).await.unwrap();
    assert_eq!(bots[0].1, given);
    bots.sort_by_key(|(priority, _)| *priority);
    let listed = client.list_assignments(list.clone()).await.unwrap().into_inner().assignments;
    assert!(listed.iter().eq(bots.iter().map(|(_, bot)| bot)), "{listed:?}");

    let unassign = UnassignBotRequest { chat_id: chat.clone(), bot_id: given.bot_id.clone() };
    client.unassign_bot(unassign.clone()).await.unwrap();
    let refused = client.unassign_bot(unassign).await.unwrap_err();
    assert_not_found(&refused, "ASSIGNMENT_NOT_FOUND");
    let listed = client.list_assignments(list).await.unwrap().into_inner().assignments;
    assert_eq!(listed.len(), 2);

    let unknown_chat = Assignment { chat_id: "unknown".into(), ..given.clone() };
    assert_not_found(&assign(&fixture, unknown_chat).await.unwrap_err(), "CHAT_NOT_FOUND");
    let unknown_bot = Assignment { bot_id: "unknown".into(), ..given };
    assert_not_found(&assign(&fixture, unknown_bot).await.unwrap_err(), "BOT_NOT_FOUND");
    let list = ListAssignmentsRequest { chat_id: "unknown".into() };
    assert_not_found(&client.list_assignments(list).await.unwrap_err(), "CHAT_NOT_FOUND");
}

#[apply(both!)]
async fn invalid_fields_are_refused_by_name(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut client = client(fixture.chat);
    let nan = prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(f64::NAN)) };
    let nan = Some(prost_types::Struct { fields: [("n".into(), nan)].into() });
    for (given, field, reason) in [
        (Bot { r#type: String::new(), ..bot("") }, "bot.type", "FIELD_REQUIRED"),
        (Bot { r#type: "x".repeat(101), ..bot("") }, "bot.type", "FIELD_TOO_LONG"),
        (Bot { name: String::new(), ..bot("a") }, "bot.name", "FIELD_REQUIRED"),
        (Bot { name: "a\0".into(), ..bot("a") }, "bot.name", "FIELD_HOLDS_NUL"),
        (Bot { description: "x".repeat(10_001), ..bot("a") }, "bot.description", "FIELD_TOO_LONG"),
        (Bot { config: nan.clone(), ..bot("a") }, "bot.config.n", "JSON_UNKEPT"),
    ] {
        assert_invalid(&create(&fixture, given).await.unwrap_err(), field, reason);
    }
    let none = client.create_bot(CreateBotRequest::default()).await.unwrap_err();
    assert_invalid(&none, "bot", "FIELD_REQUIRED");
    let update_mask = Some(FieldMask { paths: vec!["id".into()] });
    let request = UpdateBotRequest { bot: Some(Bot { id: "x".into(), ..bot("a") }), update_mask };
    assert_invalid(
        &client.update_bot(request).await.unwrap_err(),
        "update_mask",
        "UPDATE_MASK_UNKNOWN_PATH",
    );
    let chat = fixture.chat("a").await;
    let assigned = assigned_bot(&fixture, &chat, "echo").await;
    let given = Assignment { config_override: nan, ..assignment(&chat, &assigned) };
    assert_invalid(
        &assign(&fixture, given).await.unwrap_err(),
        "assignment.config_override.n",
        "JSON_UNKEPT",
    );
    let request = ListParkedDeliveriesRequest { page_token: "x".into(), ..Default::default() };
    assert_invalid(
        &client.list_parked_deliveries(request).await.unwrap_err(),
        "page_token",
        "PAGE_TOKEN_INVALID",
    );
    let request = RetryDeliveryRequest { message_id: "x".into(), bot_id: assigned.id };
    assert_not_found(&client.retry_delivery(request).await.unwrap_err(), "DELIVERY_NOT_FOUND");
}

/// A row as SQLAlchemy's `JSON` and `DateTime` write it.
#[apply(both!)]
async fn a_bot_of_another_program_is_read(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let sql = "insert into bots (id, type, name, config, enabled, created_at, updated_at) values \
               ('a', 'echo', 'old', '{\"language\": \"de\", \"n\": null}', true, \
               '2024-05-06 07:08:09.123456', '2024-05-06 07:08:09')";
    fixture.database.execute(sql).await;
    let request = GetBotRequest { id: "a".into() };
    let read = client(fixture.chat).get_bot(request).await.unwrap().into_inner().bot.unwrap();
    assert_eq!((read.name.as_str(), read.description.as_str()), ("old", ""));
    assert!(read.config.unwrap().fields.contains_key("language"));
}
