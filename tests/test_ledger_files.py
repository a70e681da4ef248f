"""The ledger for machines: what stands at the top of the site, against the table that it is made of, and its schema."""

import hashlib
import io
import json
import tomllib

import jsonschema
import pandas as pd
import pytest

from popview.book import page, staging
from popview.common.contents import page_names
from popview.common.folders import PAPER
from popview.paper import claims, ledger, rules
from popview.paper.rules import Computed


@pytest.fixture(scope="module")
def entries() -> pd.DataFrame:
    """Verdicts from the printed tables, and of a task that was not run."""
    table = claims.read_claims().assign(computed="", study="")
    table = table[(table[["printed", "task", "reason"]] != "").any(axis=1)]
    return claims.judge_claims(table, {("digits", "base"): None}, Computed(), set(page_names()))


@pytest.fixture(scope="module")
def site(entries, tmp_path_factory):
    """The files at the top of a site whose page hands them over as the page of the ledger does."""
    root = tmp_path_factory.mktemp("site")
    files = {"json": ledger.as_json(entries, "laptop"), "csv": ledger.as_csv(entries, "laptop")}
    files |= {"schema.json": ledger.schema()}
    links = " ".join(page.site_file(f"ledger.{kind}", content) for kind, content in files.items())
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": links}}
    cells = [{"cell_type": "code", "metadata": {}, "source": "", "outputs": [output]}]
    notebook = root / "ledger.ipynb"
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    staging.stage(root, root / "stage", {"ledger": notebook})
    return root / "stage" / staging.EXTRA


def test_json_is_of_its_schema_and_says_what_the_table_says(site, entries):
    found = json.loads((site / "ledger.json").read_text())
    schema = json.loads((site / found["$schema"]).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    assert found["documents"] == claims.DOCUMENTS
    assert found["profile"] == "laptop"
    table = pd.DataFrame(found["verdicts"])
    same = [
        "id",
        "document",
        "where",
        "claim",
        "page",
        "scale",
        "variant",
        "verdict",
        "rule",
        "rule_version",
        "evidence",
    ]
    pd.testing.assert_frame_equal(table[same], entries[same], check_dtype=False)
    assert list(table["numbers"]) == list(entries["detail"])
    assert list(table["main_number"]) == list(entries["number"])


def test_the_schema_knows_every_verdict_and_refuses_others(entries):
    schema = json.loads(ledger.schema())
    verdict = schema["properties"]["verdicts"]["items"]["properties"]["verdict"]
    assert verdict["enum"] == list(rules.WORDS)
    said = json.loads(ledger.as_json(entries, "laptop"))
    said["verdicts"][0]["verdict"] = "true"
    with pytest.raises(jsonschema.ValidationError, match="'true' is not one of"):
        jsonschema.validate(said, schema)


def test_csv_has_the_same_rows(site):
    rows = json.loads((site / "ledger.json").read_text())["verdicts"]
    table = pd.read_csv(io.StringIO((site / "ledger.csv").read_text()), dtype=str, keep_default_na=False)
    assert table.drop(columns=["profile", "popview"]).to_dict("records") == rows


def test_a_rules_version_is_the_hash_of_its_entry(entries):
    stated = tomllib.loads((PAPER / "rules.toml").read_text())
    judged = entries[entries["rule"] != ""]
    assert len(judged) > 10
    for row in judged.itertuples():
        text = json.dumps(stated[row.evidence][row.rule], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row.rule_version == hashlib.sha256(text.encode()).hexdigest()[:12]
    unjudged = entries[entries["rule"] == ""]
    assert set(unjudged["scale"]) == {claims.NO_SCALE}
    assert (unjudged[["evidence", "rule_version"]] == "").all(axis=None)


def test_only_a_changed_rule_has_another_version(tmp_path, monkeypatch):
    before = rules.load_rules("printed")
    text = (
        (PAPER / "rules.toml").read_text().replace('algorithms = ["SGD", "NiM-SGD", "SAM"]', 'algorithms = ["SGD"]', 1)
    )
    (tmp_path / "rules.toml").write_text(text)
    monkeypatch.setattr(rules, "PAPER", tmp_path)
    after = rules.load_rules("printed")
    assert [name for name in before if before[name].version != after[name].version] == ["top_three"]
