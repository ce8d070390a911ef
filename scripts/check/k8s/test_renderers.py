"""What renderers.py takes for a difference, and which values it takes for used.

    python -m unittest test_renderers
"""

import unittest

from renderers import difference, other, used

ONE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: x, b: y}\n"
TWO = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n"


class Renderers(unittest.TestCase):
    def test_an_order_or_a_spelling_is_no_difference(self):
        self.assertIsNone(difference(f"{ONE}---\n{TWO}", f"{TWO}---\n{ONE}"))
        self.assertIsNone(difference(ONE, ONE.replace("{a: x, b: y}", '\n  b: "y"\n  a: x')))

    def test_another_value_and_a_missing_object_are(self):
        self.assertIn("-  b: y\n+  b: z", difference(ONE, ONE.replace("b: y", "b: z")))
        self.assertIn("-  name: two", difference(f"{ONE}---\n{TWO}", ONE))
        # What a cluster takes for another type is another value.
        self.assertIsNotNone(difference(ONE.replace("a: x", "a: 1"), ONE.replace("a: x", 'a: "1"')))

    def test_a_value_is_used_where_it_stands_alone(self):
        values = {"tag": other(3001, "tag", "0.1.0"), "replicas": other(3011, "replicas", "1")}
        self.assertEqual(used(values, "image: orders:3001.3002.3003"), {"tag"})
        self.assertEqual(used(values, "replicas: 3011"), {"replicas"})
        self.assertEqual(used(values, "memory: 30110Mi\nimage: orders:3001.3002.3003.1"), set())

    def test_another_value_has_the_form_of_the_first(self):
        self.assertEqual(other(3001, "memoryLimit", "256Mi"), "3001Mi")
        self.assertEqual(other(3001, "serversNetwork", "10.0.0.0/8"), "10.185.0.0/16")
        self.assertEqual(other(3001, "registry", "localhost/flotilla"), "other-3001.example.org/fleet")


if __name__ == "__main__":
    unittest.main()
