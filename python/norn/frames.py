"""pandas, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any, Dict, Iterable, List

from norn.errors import MissingPackage


def pandas() -> Any:
    """The module, or words on how to get it."""
    try:
        return importlib.import_module("pandas")
    except ImportError as e:
        raise MissingPackage("data frames need the package pandas: pip install pandas") from e


def from_rows(rows: Iterable[Dict[str, str]], index: bool = True) -> Any:
    """A DataFrame of rows of texts: columns become numbers where every cell is one.

    index: the first column, the sample id, becomes the index and stays text.
    """
    pd = pandas()
    columns: Dict[str, List[str]] = {}
    for row in rows:
        for name, cell in row.items():
            columns.setdefault(name, []).append(cell)
    names = list(columns)
    frame = pd.DataFrame(columns, columns=names, dtype=object)
    for name in names[1:] if index else names:
        try:
            frame[name] = pd.to_numeric(frame[name])
        except (ValueError, TypeError):
            pass
    return frame.set_index(names[0]) if index and names else frame
