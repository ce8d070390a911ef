"""The generated Python client against a fleet, over gRPC: sign up, sign in, list products, place an order, watch it.

Arguments: the gateway's address, and the file with the operator's credentials.
"""

import json
import sys
import uuid

import grpc

from flotilla.identity.v1 import auth_pb2, auth_pb2_grpc, user_pb2, user_pb2_grpc
from flotilla.inventory.v1 import catalog_pb2, catalog_pb2_grpc, stock_pb2, stock_pb2_grpc
from flotilla.orders.v1 import order_pb2, order_pb2_grpc
from flotilla.payments.v1 import payment_pb2, payment_pb2_grpc
from google.type import money_pb2

DEADLINE = 20


def main(address: str, secrets_file: str) -> None:
    with open(secrets_file, encoding="utf-8") as file:
        secrets = json.load(file)
    run = uuid.uuid4().hex[:12]
    with grpc.insecure_channel(address) as channel:
        auth = auth_pb2_grpc.AuthServiceStub(channel)
        users = user_pb2_grpc.UserServiceStub(channel)
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        stock = stock_pb2_grpc.StockServiceStub(channel)
        orders = order_pb2_grpc.OrderServiceStub(channel)
        payments = payment_pb2_grpc.PaymentServiceStub(channel)

        def sign_in(email, password):
            answer = auth.Login(auth_pb2.LoginRequest(email=email, password=password), timeout=DEADLINE)
            return answer.user, {"timeout": DEADLINE, "metadata": [("authorization", f"Bearer {answer.access_token}")]}

        _, operator = sign_in(secrets["admin_email"], secrets["admin_password"])
        price = money_pb2.Money(currency_code="USD", units=12, nanos=500_000_000)
        product = catalog.CreateProduct(
            catalog_pb2.CreateProductRequest(
                product=catalog_pb2.Product(display_name="Python lantern", price=price), product_id=f"python-{run}"
            ),
            **operator,
        )
        adjustment = stock_pb2.AdjustStockRequest(
            product=product.name, delta=10, reason="delivery", request_id=f"stock-{run}"
        )
        stock.AdjustStock(adjustment, **operator)

        email, password = f"python-{run}@example.com", f"secret-{run}"
        user = user_pb2.User(email=email, display_name="Python", password=password)
        users.CreateUser(user_pb2.CreateUserRequest(user=user, request_id=f"user-{run}"), timeout=DEADLINE)
        name, customer = sign_in(email, password)
        top_up = payment_pb2.TopUpAccountRequest(
            name=name.replace("users/", "accounts/"),
            amount=money_pb2.Money(currency_code="USD", units=100),
            request_id=f"money-{run}",
        )
        payments.TopUpAccount(top_up, **operator)

        page = catalog.ListProducts(catalog_pb2.ListProductsRequest(page_size=1), timeout=DEADLINE)
        assert len(page.products) == 1, page

        line = order_pb2.PlaceOrderLine(product=product.name, quantity=2)
        request = order_pb2.PlaceOrderRequest(lines=[line], request_id=f"order-{run}")
        order = orders.PlaceOrder(request, **customer)
        again = orders.PlaceOrder(request, **customer)
        assert order.name == again.name, "a repeat is the same order"
        assert order.total.units == 25, order

        states = [
            order_pb2.OrderState.Name(seen.order.state)
            for seen in orders.WatchOrder(order_pb2.WatchOrderRequest(name=order.name), **customer)
        ]
        assert states[-1] == "ORDER_STATE_CONFIRMED", states

        try:
            orders.GetOrder(order_pb2.GetOrderRequest(name=order.name), timeout=DEADLINE)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
        else:
            raise AssertionError("an order was shown to a stranger")
    print(f"python over gRPC: {' > '.join(states)}")


main(*sys.argv[1:])
