"""Reads metrics from standard input with PyPI's prometheus-client, and prints them as one JSON array of families.

usage: metrics_client.py openmetrics|text
"""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

text = sys.stdin.buffer.read().decode()
reader = {"openmetrics": openmetrics, "text": parser}[sys.argv[1]]
print(
    json.dumps(
        [
            {
                "name": family.name,
                "type": family.type,
                "unit": family.unit,
                "help": family.documentation,
                "samples": [{"name": s.name, "labels": s.labels, "value": s.value} for s in family.samples],
            }
            for family in reader.text_string_to_metric_families(text)
        ]
    )
)
