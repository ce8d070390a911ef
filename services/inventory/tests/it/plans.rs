use crate::world::World;

#[tokio::test]
async fn plans() {
    let world = World::start().await;
    for round in 0..3 {
    for (name, ff, index) in [("with_index", 100, true), ("without", 100, false), ("without_ff50", 50, false)] {
        world.database.query(&format!("DROP TABLE IF EXISTS r_{name}"), &[]).await;
        world.database.query(&format!("CREATE TABLE r_{name} (LIKE reservations INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor={ff})"), &[]).await;
        world.database.query(&format!("ALTER TABLE r_{name} ADD PRIMARY KEY (order_id)"), &[]).await;
        if index { world.database.query(&format!("CREATE INDEX ON r_{name} (notice_at) WHERE state='held'"), &[]).await; }
        let sql = format!("WITH t AS MATERIALIZED (SELECT clock_timestamp() a), i AS (INSERT INTO r_{name} (order_id, state, product_ids, quantities, expires_at, notice_at)
              SELECT (lpad(to_hex(n), 12, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid, 'held', '{{p1,p2}}', '{{1,1}}', now() + n * interval '1 ms', now() + n * interval '1ms' FROM generate_series(1,50000) n RETURNING 1)
              SELECT 1 FROM t, (SELECT count(*) FROM i) x");
        let start = std::time::Instant::now();
        let w0: i64 = world.database.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[]).await;
        world.database.query(&sql, &[]).await;
        let insert = start.elapsed();
        let w1: i64 = world.database.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[]).await;
        let start = std::time::Instant::now();
        for chunk in 0..50 {
            world.database.query(&format!("UPDATE r_{name} SET state='committed' WHERE order_id >= (lpad(to_hex({chunk}*1000), 12, '0') || '70008000000000000000')::uuid and order_id < (lpad(to_hex(({chunk}+1)*1000), 12, '0') || '70008000000000000000')::uuid"), &[]).await;
        }
        let update = start.elapsed();
        let w2: i64 = world.database.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[]).await;
        let done: i64 = world.database.value(&format!("SELECT count(*) FROM r_{name} WHERE state='committed'"), &[]).await;
        println!("{round} {name}: insert {:?}/row wal {}, update {:?}/row wal {} done {done}", insert / 50000, (w1-w0)/50000, update / 50000, (w2-w1)/50000);
    }}
}
