// The generated TypeScript client against a fleet, over Connect: sign up, sign in, list products, place an order, watch it.
// Arguments: the gateway's address, and the file with the operator's credentials.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Code, ConnectError, createClient, type CallOptions } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AuthService } from "../gen/flotilla/identity/v1/auth_pb.js";
import { UserService } from "../gen/flotilla/identity/v1/user_pb.js";
import { CatalogService } from "../gen/flotilla/inventory/v1/catalog_pb.js";
import { StockService } from "../gen/flotilla/inventory/v1/stock_pb.js";
import { OrderService, OrderState } from "../gen/flotilla/orders/v1/order_pb.js";
import { PaymentService } from "../gen/flotilla/payments/v1/payment_pb.js";

const timeoutMs = 20_000;
const [address, secretsFile] = process.argv.slice(2);
assert(address !== undefined && secretsFile !== undefined, "an address and a file of credentials");
const secrets = JSON.parse(await readFile(secretsFile, "utf-8")) as { admin_email: string; admin_password: string };
const run = randomUUID().slice(0, 12);
const transport = createConnectTransport({ baseUrl: `http://${address}`, useBinaryFormat: true });
const auth = createClient(AuthService, transport);
const catalog = createClient(CatalogService, transport);
const orders = createClient(OrderService, transport);

async function signIn(email: string, password: string): Promise<[string, CallOptions]> {
  const answer = await auth.login({ email, password }, { timeoutMs });
  return [answer.user, { timeoutMs, headers: { authorization: `Bearer ${answer.accessToken}` } }];
}

const [, operator] = await signIn(secrets.admin_email, secrets.admin_password);
const price = { currencyCode: "USD", units: 12n, nanos: 500_000_000 };
const product = await catalog.createProduct(
  { product: { displayName: "TypeScript lantern", price }, productId: `typescript-${run}` },
  operator,
);
await createClient(StockService, transport).adjustStock(
  { product: product.name, delta: 10n, reason: "delivery", requestId: `stock-${run}` },
  operator,
);

const [email, password] = [`typescript-${run}@example.com`, `secret-${run}`];
const user = { email, displayName: "TypeScript", password };
await createClient(UserService, transport).createUser({ user, requestId: `user-${run}` }, { timeoutMs });
const [name, customer] = await signIn(email, password);
await createClient(PaymentService, transport).topUpAccount(
  {
    name: name.replace("users/", "accounts/"),
    amount: { currencyCode: "USD", units: 100n },
    requestId: `money-${run}`,
  },
  operator,
);

const page = await catalog.listProducts({ pageSize: 1 }, { timeoutMs });
assert.equal(page.products.length, 1);

const request = { lines: [{ product: product.name, quantity: 2n }], requestId: `order-${run}` };
const order = await orders.placeOrder(request, customer);
const again = await orders.placeOrder(request, customer);
assert.equal(order.name, again.name, "a repeat is the same order");
assert.equal(order.total?.units, 25n);

const states: OrderState[] = [];
for await (const seen of orders.watchOrder({ name: order.name }, customer)) {
  assert(seen.order !== undefined);
  states.push(seen.order.state);
}
assert.equal(states.at(-1), OrderState.CONFIRMED);

await assert.rejects(
  orders.getOrder({ name: order.name }, { timeoutMs }),
  (error) => error instanceof ConnectError && error.code === Code.Unauthenticated,
  "an order was shown to a stranger",
);
console.log(`typescript over Connect: ${states.map((state) => OrderState[state]).join(" > ")}`);
