"""Marks large payments made abroad: a rule in Python."""
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import (
    Column, Description, Field, Kind, Output, Projection, Read, Shape, TextForm, Values_Booleans,
)

SCHEMA = {
    "type": "object",
    "properties": {"max_amount": {"type": "number", "default": 1000}},
    "additionalProperties": False,
}
max_amount = 1000.0


class Stage(exports.Stage):
    def describe(self):
        return Description("abroad", "0.1.0", "Marks large payments made abroad.", json.dumps(SCHEMA))

    def open(self, config):
        global max_amount
        max_amount = json.loads(config or "{}").get("max_amount", 1000)
        if not isinstance(max_amount, (int, float)):
            raise Err("max_amount: expected a number")

    def bind(self, schema):
        reads = [
            Read("amount", Kind.FLOAT, True),
            Read("country", Kind.TEXT, True),
            Read("home_country", Kind.TEXT, True),
        ]
        writes = [Field("fraud", Kind.BOOLEAN, False)]
        return Projection(reads, writes, [], [], Shape.KEEP, TextForm.EACH, False)

    def process(self, batch):
        amounts, countries, homes = (column.values.value for column in batch.columns)
        fraud = [
            amount > max_amount and country != home
            for amount, country, home in zip(amounts, countries, homes)
        ]
        return Output([Column(Values_Booleans(fraud), [], [])], [], [], [])

    def close(self):
        pass
