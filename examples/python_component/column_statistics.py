"""A component in Python: statistics of the columns of a table, and whether the parties hold as many rows.

Every party keeps its data to itself. What it tells the others is how many rows it has, and only when it is asked to.
"""

from __future__ import annotations

import math
from typing import Annotated, Dict, List, Optional

from norn.component import (
    ComponentError,
    DataInput,
    DataOutput,
    Field,
    ModelOutput,
    Param,
    Task,
    component,
    main,
)


class Column:
    """Count, mean and variance in one pass (Welford), least and greatest value."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = 0.0
        self.squares = 0.0
        self.least = math.inf
        self.greatest = -math.inf

    def add(self, value: float) -> None:
        self.n += 1
        step = value - self.mean
        self.mean += step / self.n
        self.squares += step * (value - self.mean)
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / (self.n - 1)) if self.n > 1 else 0.0


def chosen(table: DataInput, wanted: Optional[List[str]]) -> List[int]:
    """Positions of the columns to describe."""
    numbers = {f.name: i for i, f in enumerate(table.fields) if f.is_feature and f.is_number}
    if wanted is None:
        return list(numbers.values())
    for name in wanted:
        if name not in numbers:
            known = ", ".join(numbers) or "none"
            raise ComponentError(f"parameter columns: the table has no column '{name}' of numbers (it has: {known})")
    return [numbers[name] for name in wanted]


def compare_rows(task: Task, rows: int) -> Dict[str, int]:
    """Row counts of all parties, by "role party"."""
    others = [(r, p) for r in ("guest", "host") for p in task.parties(r) if (r, p) != (task.role, task.party_id)]
    for role, party in others:
        task.send_json(role, party, "rows", rows)
    counts = {f"{task.role} {task.party_id}": rows}
    for role, party in others:
        counts[f"{role} {party}"] = int(task.receive_json(role, party, "rows", max_bytes=100))
    return counts


@component(roles=["guest", "host"], version="1.0.0")
def column_statistics(
    task: Task,
    input_data: DataInput,
    output_data: DataOutput,
    output_model: Optional[ModelOutput] = None,
    *,
    columns: Annotated[Optional[List[str]], Param("columns to describe; by default every column of numbers")] = None,
    least_rows: Annotated[int, Param("fail when the table has fewer rows", minimum=0)] = 1,
    compare: Annotated[bool, Param("tell the other parties how many rows there are")] = False,
) -> None:
    """Mean, deviation, least and greatest value of each column of numbers."""
    positions = chosen(input_data, columns)
    if len(input_data) < least_rows:
        raise ComponentError(f"the table has {len(input_data)} rows, fewer than least_rows {least_rows}")
    found = [Column() for _ in positions]
    for row in input_data.rows():
        for column, position in zip(found, positions):
            column.add(float(row[position]))
    names = [input_data.fields[i].name for i in positions]
    described = [(n, c) for n, c in zip(names, found) if c.n > 0]
    output_data.write(
        [Field.sample_id("column"), Field("rows", "int64")]
        + [Field(n) for n in ("mean", "deviation", "least", "greatest")],
        [[n, c.n, c.mean, c.deviation, c.least, c.greatest] for n, c in described],
    )
    task.metric("rows", len(input_data))
    for n, c in described:
        task.metric("mean", c.mean, groups=[n])
    if compare:
        task.metric("rows_of_parties", compare_rows(task, len(input_data)))
    if output_model is not None:
        output_model.write({"columns": {n: {"mean": c.mean, "deviation": c.deviation} for n, c in described}})
    task.log(f"described {len(described)} columns of {len(input_data)} rows")


if __name__ == "__main__":
    main()
