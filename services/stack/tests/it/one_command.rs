//! `stack`: one command that serves both services on a new file.

use api::chat::v1::{ListChatsRequest, chat_service_client::ChatServiceClient};
use testing::{Process, channel, current, eventually};

#[tokio::test]
async fn stack_serves_on_a_new_file_and_ends_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("new.db");
    let file = file.to_str().unwrap();
    let mut stack = Process::start(env!("CARGO_BIN_EXE_stack"), &["--file", file], &[]);
    let (schema, chat) = (stack.address("schema").await, stack.address("chat").await);

    let hint = eventually("it prints how to make a call", async || {
        stack.output().into_iter().find(|line| line.starts_with("try: "))
    })
    .await;
    assert_eq!(hint, format!("try: grpcurl -plaintext {chat} chat.v1.ChatService/ListChats"));
    let mut chats = ChatServiceClient::new(channel(chat));
    assert!(chats.list_chats(ListChatsRequest::default()).await.is_ok());
    assert!(current(schema).await.at_head);

    assert!(stack.terminate().await.success());
}

#[tokio::test]
async fn stack_listens_on_the_loopback_only() {
    for flag in ["--schema-listen", "--chat-listen"] {
        let arguments = ["--file", "nowhere/there.db", flag, "0.0.0.0:0"];
        let mut stack = Process::start(env!("CARGO_BIN_EXE_stack"), &arguments, &[]);
        assert!(!stack.ended().await.success());
        eventually("it prints why", async || {
            stack.output().iter().any(|line| line.contains("not the loopback")).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("never.db");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["--file", file.to_str().unwrap(), "--chat-listen", &address];
    let mut stack = Process::start(env!("CARGO_BIN_EXE_stack"), &arguments, &[]);

    assert_eq!(stack.ended().await.code(), Some(1));
    let expected = format!("stack: cannot listen on {address}");
    eventually(&expected, async || {
        stack.output().iter().any(|line| line.starts_with(&expected)).then_some(())
    })
    .await;
    assert!(!file.exists(), "no file is created before both addresses are bound");
}
