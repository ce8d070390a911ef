//! What a user may see.

use flotilla_postgres::{ErrorKind, Pool};
use uuid::Uuid;

use crate::support::Database;

const ANN: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);
const ALL: &str = "SELECT body FROM notes ORDER BY body";

async fn notes() -> Database {
    let database = Database::fresh().await;
    database
        .run(
            "CREATE TABLE notes (owner uuid NOT NULL, body text PRIMARY KEY);
             ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
             ALTER TABLE notes FORCE ROW LEVEL SECURITY;
             CREATE POLICY everything ON notes TO tested_system USING (true);
             CREATE POLICY own ON notes TO tested_user
                 USING (owner = nullif(current_setting('flotilla.user_id', true), '')::uuid);
             GRANT SELECT, INSERT ON notes TO tested_system, tested_user",
        )
        .await;
    let insert = "INSERT INTO notes VALUES ($1, 'of ann'), ($2, 'of bob')";
    database.system().query(insert, &[&ANN, &BOB]).await.unwrap();
    database
}

async fn seen_by(pool: &Pool, user: Uuid) -> Vec<String> {
    pool.query_as(user, ALL, &[]).await.unwrap().iter().map(|row| row.get(0).unwrap()).collect()
}

#[tokio::test]
async fn a_user_sees_their_own_rows_only() {
    let database = notes().await;
    let user = database.user();
    assert_eq!(seen_by(&user, ANN).await, ["of ann"]);
    assert_eq!(seen_by(&user, BOB).await, ["of bob"]);
    let tx = user.begin_as(ANN).await.unwrap();
    assert_eq!(tx.query(ALL, &[]).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    assert_eq!(database.system().query(ALL, &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_statement_of_the_moment_is_bound_by_row_security_and_its_parameters_are_text() {
    let database = notes().await;
    let user = database.user();
    let sql =
        "SELECT body FROM notes WHERE owner = ANY (ARRAY[$1::uuid, $2::uuid]) AND body LIKE $3 || '%' LIMIT $4::bigint";
    let params = [ANN.to_string(), BOB.to_string(), "of".to_owned(), "10".to_owned()];
    let seen: Vec<String> =
        user.query_text_as(ANN, sql, &params).await.unwrap().iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(seen, ["of ann"]);
    assert_eq!(database.system().query_text(sql, &params).await.unwrap().len(), 2);
    let quoted = [ANN.to_string(), BOB.to_string(), "of' OR true --".to_owned(), "10".to_owned()];
    assert!(database.system().query_text(sql, &quoted).await.unwrap().is_empty());

    let wrong = user.query_text_as(ANN, sql, &["x".to_owned(), "y".to_owned(), String::new(), "1".to_owned()]).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Data);
    assert!(user.query(ALL, &[]).await.unwrap().is_empty(), "the one connection is in step and knows no user");
}

#[tokio::test]
async fn a_user_is_forgotten_with_the_transaction() {
    let database = notes().await;
    let user = database.user();
    assert_eq!(seen_by(&user, ANN).await, ["of ann"]);
    assert!(user.query(ALL, &[]).await.unwrap().is_empty());
    let tx = user.begin_as(BOB).await.unwrap();
    tx.rollback().await.unwrap();
    let tx = user.begin().await.unwrap();
    assert!(tx.query(ALL, &[]).await.unwrap().is_empty());
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn a_user_cant_write_for_another() {
    let database = notes().await;
    let user = database.user();
    let insert = "INSERT INTO notes VALUES ($1, $2)";
    let error = user.query_as(ANN, insert, &[&BOB, &"forged"]).await.unwrap_err();
    assert_eq!((error.kind(), error.sql_state()), (ErrorKind::Other, Some("42501")));
    user.query_as(ANN, insert, &[&ANN, &"second"]).await.unwrap();
    assert_eq!(seen_by(&user, ANN).await, ["of ann", "second"]);
}

#[tokio::test]
async fn a_statement_that_isnt_sent_leaves_no_transaction_open() {
    let database = notes().await;
    let user = database.user();
    // An integer where a uuid belongs can't be encoded; begin and commit are under way by then.
    let error = user.query_as(ANN, "SELECT body FROM notes WHERE owner = $1", &[&1_i32]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(!error.outcome_unknown());
    assert_eq!(seen_by(&user, BOB).await, ["of bob"]);
    assert!(user.query(ALL, &[]).await.unwrap().is_empty());
}
