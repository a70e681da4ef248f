"""The ledger for machines: every verdict with its claim, numbers, rule and versions, as JSON and CSV."""

import json
from importlib.metadata import version
from typing import Any

import pandas as pd

from popview.common.files import read_utf8
from popview.common.folders import PAPER
from popview.paper.claims import DOCUMENTS

#: Version of the form of both files, and the name of the JSON schema that states it.
SCHEMA, SCHEMA_FILE = 1, "ledger.schema.json"

COLUMNS = {
    **{name: name for name in ("id", "document", "where", "claim", "page", "scale", "variant", "verdict")},
    "detail": "numbers",
    "number": "main_number",
    **{name: name for name in ("evidence", "rule", "rule_version")},
}


def as_json(entries: pd.DataFrame, profile: str) -> str:
    """Return the ledger as JSON, in the form of `schema`.

    Parameters
    ----------
    entries : DataFrame
        As `popview.paper.claims.judge_everything` returns it.
    profile : str
        Scale of the runs.
    """
    rows = entries[[*COLUMNS]].rename(columns=COLUMNS).to_dict("records")
    head: dict[str, Any] = {"$schema": SCHEMA_FILE, "schema_version": SCHEMA, "popview": version("popview")}
    ledger = head | {"profile": profile, "documents": DOCUMENTS, "verdicts": rows}
    return json.dumps(ledger, ensure_ascii=False, indent=1) + "\n"


def as_csv(entries: pd.DataFrame, profile: str) -> str:
    """Return the same verdicts as a table, with the profile and popview's version in each row."""
    table = entries[[*COLUMNS]].rename(columns=COLUMNS)
    return str(table.assign(profile=profile, popview=version("popview")).to_csv(index=False))


def schema() -> str:
    """Return the JSON schema, as ``data/paper`` has it."""
    return read_utf8(PAPER / SCHEMA_FILE)
