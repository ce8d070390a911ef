//! Rows: what can't be read is an error that tells where and why, never a panic.

use flotilla_postgres::{ErrorKind, Row};

use crate::support::Database;

const ONE: &str = "SELECT 1::bigint AS id, 'of ann' AS body, NULL::bigint AS end_time FROM pg_class LIMIT 1";

async fn row(database: &Database) -> Row {
    database.system().query(ONE, &[]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_column_is_read_by_name_in_any_order_and_by_place() {
    let database = Database::fresh().await;
    let row = row(&database).await;
    for _ in 0..2 {
        assert_eq!(row.get::<&str>("body").unwrap(), "of ann");
        assert_eq!(row.get::<i64>("id").unwrap(), 1);
        assert_eq!(row.get::<Option<i64>>("end_time").unwrap(), None);
        assert_eq!((row.get::<i64>(0).unwrap(), row.get::<String>(1).unwrap().as_str()), (1, "of ann"));
    }
}

#[tokio::test]
async fn what_cannot_be_read_names_statement_column_and_types() {
    let database = Database::fresh().await;
    let row = row(&database).await;
    for (told, expected) in [
        (row.get::<i32>("id").map(drop), "SELECT pg_class: column id: expected i32, found int8"),
        (row.get::<bool>(1).map(drop), "SELECT pg_class: column body: expected bool, found text"),
        (row.get::<i64>("end_time").map(drop), "SELECT pg_class: column end_time: expected i64, found null"),
        (row.get::<i64>("ends").map(drop), "SELECT pg_class: no column ends among id, body, end_time"),
        (row.get::<i64>(3).map(drop), "SELECT pg_class: no column 3 among id, body, end_time"),
    ] {
        let error = told.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Other, expected));
    }
}
