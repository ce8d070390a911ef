use super::*;

fn admission(change: impl FnOnce(&mut ServerSettings, &mut EdgeSettings)) -> Admission {
    let (mut server, mut edge) = (ServerSettings::default(), EdgeSettings::default());
    change(&mut server, &mut edge);
    Admission::new(&server, &edge, &Registry::new()).unwrap()
}

fn client(address: u8, user: u128) -> Client {
    Client { address: Some([10, 0, 0, address].into()), user: (user > 0).then(|| Uuid::from_u128(user)) }
}

#[tokio::test(start_paused = true)]
async fn calls_count_for_the_user_where_one_is_known_and_for_the_address_where_not() {
    let admission = admission(|server, _| server.max_calls = 8);
    let held: Vec<_> = std::iter::from_fn(|| admission.call_slot(client(1, 1)).ok()).collect();
    assert_eq!(held.len(), 4);
    let another = admission.call(client(1, 2)).await.expect("another user at the same address");
    let nobody = admission.call(client(1, 0)).await.expect("somebody without a token there");
    drop((held, another, nobody));
}

#[tokio::test(start_paused = true)]
async fn watches_of_one_resource_by_a_user_are_limited_and_others_are_not() {
    let admission = admission(|_, edge| edge.max_watches_per_user = 2);
    let watch = |user, name| admission.stream(client(1, user), Some(("WatchOrder", name)));
    let _held = (watch(1, "orders/1").await.unwrap(), watch(1, "orders/1").await.unwrap());
    let asked = Instant::now();
    assert_eq!(watch(1, "orders/1").await.unwrap_err().reason(), "CALLER_LIMIT");
    assert_eq!(asked.elapsed(), DELAY);
    watch(1, "orders/2").await.unwrap();
    watch(2, "orders/1").await.unwrap();
}

#[test]
fn streams_are_bounded_by_user_and_by_address() {
    let bounded = |server: &mut ServerSettings, edge: &mut EdgeSettings| {
        (server.max_streams, edge.max_streams_per_user, edge.max_streams_per_address) = (1000, 3, 5);
    };
    let admission = admission(bounded);
    let open = |client| std::iter::from_fn(|| admission.stream_slot(client, None).ok()).collect::<Vec<_>>();
    let (first, second) = (open(client(1, 1)), open(client(1, 2)));
    assert_eq!((first.len(), second.len()), (3, 2));
    assert_eq!(open(client(2, 2)).len(), 1, "the user's third");
    drop(first);
    assert_eq!(open(client(1, 0)).len(), 3);
}

#[tokio::test]
async fn a_body_that_has_arrived_is_never_evicted() {
    let admission = admission(|_, edge| edge.max_arriving = 1);
    let waiting = admission.receive(client(1, 0), std::future::pending::<()>());
    let mut waiting = pin!(waiting);
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(admission.receive(client(1, 0), async { 7 }).await.unwrap(), 7);
    assert!(poll!(waiting.as_mut()).is_pending());
    let mut next = pin!(admission.receive(client(1, 0), std::future::pending::<()>()));
    assert!(poll!(next.as_mut()).is_pending());
    assert_eq!(waiting.await.unwrap_err().reason(), "CALLER_LIMIT");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_its_caller_has_caused_is_delayed() {
    let admission = admission(|_, _| {});
    let later = Instant::now() + Duration::from_secs(10);
    let refused = async |reason| {
        let error = RpcError::new(Code::ResourceExhausted, reason, "a service's");
        let began = Instant::now();
        let answer = admission.in_turn(client(1, 1), "orders", later, async { Err::<(), _>(error.into()) }).await;
        (answer.unwrap_err().code(), began.elapsed())
    };
    assert_eq!(refused("RATE_LIMITED").await, (Code::ResourceExhausted, DELAY));
    assert_eq!(refused("OVERLOADED").await, (Code::ResourceExhausted, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gets_no_turn_until_its_deadline_is_refused() {
    let admission = admission(|_, _| {});
    let never = || std::future::pending::<Result<(), Status>>();
    let later = Instant::now() + Duration::from_secs(10);
    let at_work =
        (0..EdgeSettings::default().concurrency()).map(|_| admission.in_turn(client(1, 1), "orders", later, never()));
    let mut at_work: Vec<_> = at_work.map(Box::pin).collect();
    for call in &mut at_work {
        assert!(poll!(call.as_mut()).is_pending());
    }
    let refused = admission.in_turn(client(2, 1), "orders", later, never()).await.unwrap_err();
    assert_eq!((Details::of(&refused).reason.as_deref(), Instant::now()), (Some("CALLER_LIMIT"), later));
    for (client, service) in [(client(1, 1), "payments"), (client(1, 2), "orders"), (Client::default(), "orders")] {
        admission.in_turn(client, service, later, async { Ok(()) }).await.unwrap();
    }
}

#[tokio::test]
async fn a_burst_of_one_address_lets_others_begin() {
    let admission = Arc::new(admission(|_, _| {}));
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let giving_back = tokio::spawn({
        let admission = Arc::clone(&admission);
        async move { admission.give_back_turns().await }
    });
    let begin = |address: u8| {
        let (admission, order) = (Arc::clone(&admission), Arc::clone(&order));
        let address: IpAddr = [10, 0, 0, address].into();
        async move { admission.begin(Some(address), || async { order.lock().push(address) }).await }
    };
    let mut requests: Vec<_> = (0..1000).map(|_| tokio::spawn(begin(1))).collect();
    requests.push(tokio::spawn(begin(2)));
    for request in requests {
        request.await.unwrap();
    }
    let other = order.lock().iter().position(|address| *address == IpAddr::from([10, 0, 0, 2])).unwrap();
    assert_eq!((order.lock().len(), other), (1001, BEGINNINGS), "it began after one turn of the others");
    giving_back.abort();
}
