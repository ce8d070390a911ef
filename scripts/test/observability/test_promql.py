"""The finder of metric names, by examples."""

import unittest

from promql import known, metrics


class Names(unittest.TestCase):
    def test_functions_labels_strings_and_durations_are_no_metrics(self):
        query = 'histogram_quantile(0.99, sum by (route, le) (rate(a_bucket{job=~"b|c",d="e_f"}[5m] offset 1h))) > 0.5'
        self.assertEqual(metrics(query), {"a_bucket"})

    def test_every_operand_is_found(self):
        query = "sum(a) by (x) / on (sli) group_left (version) b:c:ratio unless d > bool 14.4 * e or vector(1) and f"
        self.assertEqual(metrics(query), {"a", "b:c:ratio", "d", "e", "f"})

    def test_comments_are_no_metrics(self):
        self.assertEqual(metrics("a # and b\n + c"), {"a", "c"})

    def test_a_histogram_is_known_by_its_series_and_not_by_its_name(self):
        names = known([{"name": "h", "type": "histogram"}, {"name": "c", "type": "counter"}])
        self.assertTrue({"h_bucket", "h_sum", "h_count", "c", "up"} <= names)
        self.assertNotIn("h", names)
        self.assertNotIn("c_sum", names)


unittest.main()
