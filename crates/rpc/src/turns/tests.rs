use std::pin::pin;

use futures::poll;

use super::*;

const KEPT: Duration = Duration::from_millis(50);

impl<K: Hash + Eq> Turns<K> {
    fn remembered(&self) -> usize {
        self.0.callers.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_has_a_limited_number_of_turns_and_the_longest_waiting_call_gets_the_next() {
    let turns = Turns::new(2, KEPT);
    let (first, second) = (turns.take("a").await, turns.take("a").await);
    let (mut third, mut fourth) = (pin!(turns.take("a")), pin!(turns.take("a")));
    assert!(poll!(third.as_mut()).is_pending() && poll!(fourth.as_mut()).is_pending());
    assert_eq!(turns.waiting(), 2);
    turns.take("b").await.over();
    first.over();
    let mut late = pin!(turns.take("a"));
    assert!(poll!(late.as_mut()).is_pending() && poll!(fourth.as_mut()).is_pending(), "the third was there first");
    let third = third.await;
    second.over();
    let fourth = fourth.await;
    third.over();
    late.await.over();
    fourth.over();
    assert_eq!((turns.waiting(), turns.remembered()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_turn_is_kept_for_a_moment() {
    let turns = Turns::new(1, KEPT);
    drop(turns.take("a").await);
    let began = Instant::now();
    tokio::select! {
        turn = turns.take("a") => turn.over(),
        never = turns.give_back() => match never {},
    }
    let waited = began.elapsed();
    assert!(waited >= KEPT && waited < KEPT * 2, "{waited:?}");
    assert_eq!(turns.remembered(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_while_it_waits_leaves_nothing() {
    let turns = Turns::new(1, KEPT);
    let first = turns.take("a").await;
    {
        let (mut waiting, mut granted) = (pin!(turns.take("a")), pin!(turns.take("a")));
        assert!(poll!(waiting.as_mut()).is_pending() && poll!(granted.as_mut()).is_pending());
        waiting.set(turns.take("a"));
        first.over();
        assert_eq!(turns.remembered(), 1);
    }
    assert_eq!(
        (turns.waiting(), turns.remembered()),
        (0, 0),
        "also one that was granted its turn without having polled it"
    );
    let began = Instant::now();
    turns.take("a").await.over();
    assert_eq!(began.elapsed(), Duration::ZERO);
}
