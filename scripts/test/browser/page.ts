// A page of another origin that calls the gateway through @connectrpc/connect-web, by every transport that a browser has.
// It does a customer's errands and tells how it went in `window.outcome`.
import { Code, ConnectError, createClient, type CallOptions, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuthService } from "../gen/flotilla/identity/v1/auth_pb.js";
import { UserService } from "../gen/flotilla/identity/v1/user_pb.js";
import { CatalogService } from "../gen/flotilla/inventory/v1/catalog_pb.js";
import { StockService } from "../gen/flotilla/inventory/v1/stock_pb.js";
import { OrderService, OrderState } from "../gen/flotilla/orders/v1/order_pb.js";
import { PaymentService } from "../gen/flotilla/payments/v1/payment_pb.js";

interface Task {
  gateway: string;
  operator: { email: string; password: string };
  /** Whether this page's origin may not call at all. */
  stranger: boolean;
}

interface Outcome {
  lines: string[];
  failure?: string;
}

declare global {
  interface Window {
    outcome?: Outcome;
  }
}

const timeoutMs = 20_000;
const lines: string[] = [];
const task = JSON.parse(decodeURIComponent(location.hash.slice(1))) as Task;

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const baseUrl = task.gateway;
const transports: [string, Transport][] = [
  ["connect, binary", createConnectTransport({ baseUrl, useBinaryFormat: true })],
  ["connect, json", createConnectTransport({ baseUrl })],
  ["connect, binary, reads by GET", createConnectTransport({ baseUrl, useBinaryFormat: true, useHttpGet: true })],
  ["connect, json, reads by GET", createConnectTransport({ baseUrl, useHttpGet: true })],
  ["gRPC-Web, binary", createGrpcWebTransport({ baseUrl, useBinaryFormat: true })],
  ["gRPC-Web, json", createGrpcWebTransport({ baseUrl, useBinaryFormat: false })],
];

/** The code of the error that a call ends with. */
async function refusal(call: Promise<unknown>): Promise<ConnectError | undefined> {
  return call.then(
    () => undefined,
    (error) => ConnectError.from(error),
  );
}

async function signIn(transport: Transport, email: string, password: string): Promise<[string, CallOptions]> {
  const answer = await createClient(AuthService, transport).login({ email, password }, { timeoutMs });
  return [answer.user, { timeoutMs, headers: { authorization: `Bearer ${answer.accessToken}` } }];
}

/** A unary call of each kind, a stream to its end, one that is left, and an error of each kind. */
async function errands(transport: Transport, run: string): Promise<string> {
  const catalog = createClient(CatalogService, transport);
  const orders = createClient(OrderService, transport);
  const [, operator] = await signIn(transport, task.operator.email, task.operator.password);
  const price = { currencyCode: "USD", units: 12n, nanos: 500_000_000 };
  const product = await catalog.createProduct(
    { product: { displayName: "Browser lantern", price }, productId: `browser-${run}` },
    operator,
  );
  await createClient(StockService, transport).adjustStock(
    { product: product.name, delta: 10n, reason: "delivery", requestId: `stock-${run}` },
    operator,
  );
  const [email, password] = [`browser-${run}@example.com`, `secret-${run}`];
  const user = { email, displayName: "Browser", password };
  await createClient(UserService, transport).createUser({ user, requestId: `user-${run}` }, { timeoutMs });
  const [name, customer] = await signIn(transport, email, password);
  await createClient(PaymentService, transport).topUpAccount(
    { name: name.replace("users/", "accounts/"), amount: { currencyCode: "USD", units: 100n }, requestId: `money-${run}` },
    operator,
  );

  const page = await catalog.listProducts({ pageSize: 1 }, { timeoutMs });
  check(page.products.length === 1, "one product was asked for");
  const seen = await catalog.getProduct({ name: product.name }, { timeoutMs });
  check(seen.displayName === "Browser lantern" && seen.price?.units === 12n, "the product came back changed");

  const order = await orders.placeOrder({ lines: [{ product: product.name, quantity: 2n }], requestId: `order-${run}` }, customer);
  const states: OrderState[] = [];
  for await (const state of orders.watchOrder({ name: order.name }, customer)) {
    check(state.order !== undefined, "a state without an order");
    states.push(state.order.state);
  }
  check(states.at(-1) === OrderState.CONFIRMED, `the order ended as ${OrderState[states.at(-1) ?? 0]}`);

  // A stream without an end, left by the page.
  const leaving = new AbortController();
  let prices = 0;
  const left = await refusal(
    (async () => {
      for await (const _ of catalog.watchPrices({}, { signal: leaving.signal })) {
        prices += 1;
        leaving.abort();
      }
    })(),
  );
  check(prices >= 1 && left?.code === Code.Canceled, `left a stream of prices with ${String(left)}`);

  const stranger = await refusal(orders.getOrder({ name: order.name }, { timeoutMs }));
  check(stranger?.code === Code.Unauthenticated, `an order shown to a stranger: ${String(stranger)}`);
  check(stranger.details.length > 0, "an error without details");
  const missing = await refusal(catalog.getProduct({ name: "products/no-such-thing" }, { timeoutMs }));
  check(missing?.code === Code.NotFound, `a product that doesn't exist: ${String(missing)}`);
  const broken = await refusal(
    (async () => {
      for await (const _ of orders.watchOrder({ name: "orders/00000000-0000-7000-8000-000000000000" }, customer));
    })(),
  );
  check(broken?.code === Code.NotFound, `an order that doesn't exist was watched: ${String(broken)}`);
  return states.map((state) => OrderState[state]).join(" > ");
}

async function run(): Promise<void> {
  if (task.stranger) {
    for (const [name, transport] of transports) {
      const refused = await refusal(createClient(CatalogService, transport).listProducts({}, { timeoutMs }));
      // The browser tells its page no more than that nothing came back.
      check(refused !== undefined && refused.rawMessage.includes("fetch"), `${name}: a foreign page may call: ${String(refused)}`);
    }
    lines.push("a page of an origin that isn't allowed is kept out");
    return;
  }
  for (const [name, transport] of transports) {
    const started = crypto.randomUUID().slice(0, 12);
    lines.push(`${name}: ${await errands(transport, started).catch((error) => { throw new Error(`${name}: ${String(error)}`); })}`);
  }
}

run().then(
  () => (window.outcome = { lines }),
  (error) => (window.outcome = { lines, failure: String(error) }),
);
