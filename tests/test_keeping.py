"""What is cited and kept: the citation files, the archive, the links of the project's own pages, their workflow."""

import hashlib
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from pybtex.database import parse_string

from popview.book import archive
from popview.book.closing import Settings
from popview.common.errors import UsageError
from popview.common.folders import ROOT

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
ZENODO = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
KNOWN = parse_string((ROOT / "book" / "references.bib").read_text(encoding="utf-8"), "bibtex").entries
BOOK = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


#: Of the Citation File Format 1.2.0: what must be there; of what may be, what we use, of the whole and of a reference.
NEEDED = {"cff-version", "message", "title", "authors"}
USED = {"abstract", "type", "version", "date-released", "license", "keywords", "references"}
REFERENCE = {"type", "title", "authors", "year", "collection-title", "url", "identifiers", "notes"}

#: Of Zenodo's deposit schema, which allows nothing else.
ALLOWED = {
    "title", "upload_type", "description", "creators", "access_right", "license", "keywords", "related_identifiers",
    "references", "notes", "contributors", "communities", "grants", "subjects", "publication_date",
}  # fmt: skip


class TestCitation:
    def test_has_the_fields_of_the_format(self):
        assert set(CITATION) == NEEDED | USED
        assert CITATION["cff-version"] == "1.2.0"
        assert CITATION["type"] == "software"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(CITATION["date-released"]))
        for entry in CITATION["references"]:
            assert {"type", "title", "authors"} <= set(entry) <= REFERENCE
            assert entry["type"] in ("article", "conference-paper", "generic")
            for person in entry["authors"]:
                assert set(person) in ({"family-names", "given-names"}, {"name"}, {"alias"})
            for identifier in entry.get("identifiers", ()):
                assert set(identifier) == {"type", "value"}
                assert identifier["type"] in ("doi", "url", "swh", "other")

    def test_names_the_three_documents_as_the_references_do(self):
        first, second, third = CITATION["references"]
        for entry, key in ((first, "inan2024"), (second, "yu2026")):
            of = KNOWN[key]
            assert entry["title"] == of.fields["title"]
            assert str(entry["year"]) == of.fields["year"]
            number = of.fields["note"].removeprefix("arXiv ")
            assert entry["url"] == f"https://arxiv.org/abs/{number}"
            assert entry["identifiers"] == [{"type": "other", "value": f"arXiv:{number}"}]
            people = [f"{person['family-names']}, {person['given-names']}" for person in entry["authors"]]
            assert people == [str(person) for person in of.persons["author"]]
        assert first["collection-title"] == KNOWN["inan2024"].fields["booktitle"]
        assert third["title"] in (ROOT / "book" / "cite.md").read_text(encoding="utf-8")
        assert "year" not in third  # it has none

    def test_is_of_the_book_and_the_package(self):
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert CITATION["title"] == BOOK["title"] == ZENODO["title"]
        assert [person["name"] for person in CITATION["authors"]] == [BOOK["author"]]
        assert CITATION["license"] == ZENODO["license"] == re.search('^license = "(.*)"$', project, re.MULTILINE)[1]
        assert f"popview-{CITATION['version']}.zip" in (ROOT / "book" / "cite.md").read_text(encoding="utf-8")


class TestZenodo:
    def test_has_the_fields_of_the_schema(self):
        assert {"title", "upload_type", "description", "creators"} <= set(ZENODO) <= ALLOWED
        assert ZENODO["upload_type"] == "software"
        assert ZENODO["access_right"] == "open"
        for creator in ZENODO["creators"]:
            assert {"name"} <= set(creator) <= {"name", "affiliation", "orcid", "gnd"}
        for related in ZENODO["related_identifiers"]:
            assert set(related) == {"identifier", "relation", "scheme"}
            assert related["relation"] in ("isDerivedFrom", "references", "cites")
            assert related["scheme"] == "arxiv"
        assert all(isinstance(text, str) for text in (*ZENODO["keywords"], *ZENODO["references"]))

    def test_says_what_the_citation_says(self):
        assert [creator["name"] for creator in ZENODO["creators"]] == [one["name"] for one in CITATION["authors"]]
        assert ZENODO["keywords"] == CITATION["keywords"]
        assert len(ZENODO["references"]) == len(CITATION["references"])
        for text, entry in zip(ZENODO["references"], CITATION["references"], strict=True):
            assert entry["title"] in text
        numbers = [one["identifiers"][0]["value"] for one in CITATION["references"] if "identifiers" in one]
        assert [related["identifier"] for related in ZENODO["related_identifiers"]] == numbers


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


@pytest.fixture
def book(tmp_path) -> Path:
    """A git checkout with a built book."""
    root = tmp_path / "book"
    (root / "_build" / "html" / "files").mkdir(parents=True)
    (root / "_build" / "html" / "index.html").write_text("<p>Hello</p>")
    (root / "_build" / "html" / "files" / "a b.csv").write_text("a\n1\n")
    (root / "_build" / "inputs.json").write_text("{}")
    (root / "data").mkdir()
    (root / "data" / "a.parquet").write_bytes(bytes(range(256)))
    (root / "run").write_text("#!/bin/sh\n")
    (root / ".gitignore").write_text("_build/\n*.tmp\n")
    (root / "mine.tmp").write_text("mine")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "all")
    return root


class TestArchive:
    def test_is_the_same_bytes_whenever_it_is_made(self, book, monkeypatch):
        first = archive.archive(book)
        before = first.read_bytes()
        for path in book.rglob("*"):
            os.utime(path, (1e9, 1e9))
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        os.chmod(book / "data" / "a.parquet", 0o600)
        second = archive.archive(book)
        assert second == first
        assert second.read_bytes() == before
        said = second.with_suffix(".txt").read_text()
        assert said.startswith(f"{hashlib.sha256(before).hexdigest()}  {second.name}\n")

    def test_holds_what_is_tracked_and_built_with_checksums(self, book, tmp_path):
        made = archive.archive(book)
        with zipfile.ZipFile(made) as zipped:
            assert zipped.testzip() is None
            names = zipped.namelist()
            zipped.extractall(tmp_path / "elsewhere")
        folder = tmp_path / "elsewhere" / made.stem
        wanted = {
            ".gitignore",
            "run",
            "data/a.parquet",
            "html/index.html",
            "html/files/a b.csv",
            "COMMIT",
            "SHA256SUMS",
        }
        assert {name.partition("/")[2] for name in names} == wanted
        assert (folder / "data" / "a.parquet").read_bytes() == (book / "data" / "a.parquet").read_bytes()
        done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder)
        assert done.returncode == 0
        assert len((folder / "SHA256SUMS").read_text().splitlines()) == len(wanted) - 1

    def test_a_changed_file_is_another_archive(self, book):
        before = archive.archive(book).read_bytes()
        (book / "_build" / "html" / "index.html").write_text("<p>Hallo</p>")
        assert archive.archive(book).read_bytes() != before

    def test_what_cannot_be_archived_is_one_line(self, book, tmp_path):
        (book / "run").write_text("changed\n")
        with pytest.raises(UsageError, match=r"^1 tracked files are changed: commit first, beginning with run$"):
            archive.archive(book)
        git(book, "commit", "-qam", "more")
        (book / "_build" / "html" / "index.html").unlink()
        with pytest.raises(UsageError, match=r"^no built book in .*: make book$"):
            archive.archive(book)
        (tmp_path / "_build" / "html").mkdir(parents=True)
        (tmp_path / "_build" / "html" / "index.html").touch()
        with pytest.raises(UsageError, match="is no git checkout: fatal: not a git repository"):
            archive.archive(tmp_path)


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "data/README.md"])
def test_links_lead_somewhere(file):
    text = re.sub(r"^```.*?^```$", "", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match("https?:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (ROOT / file).parent / path if path else ROOT / file
        assert place.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles], (
                target
            )


def test_addresses_are_empty_until_there_are_any():
    settings = Settings.of(BOOK)
    assert (settings.site, settings.repository) == ("", "")
    assert settings.title == BOOK["title"]


def test_workflow_and_container_name_targets_that_are_there():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["build"]["steps"]
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    commands = [step["run"] for step in steps if "run" in step] + [container["onCreateCommand"]]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(READY)", ".venv/.ready")
    for command in commands:
        assert re.search(rf"^{re.escape(command.split()[1])}:", makefile, re.MULTILINE), command
    assert str(steps[1]["with"]["python-version"]) == "3.11"
    assert container["image"].endswith(":3.11")
    assert [step["with"]["path"] for step in steps if "pages-artifact" in step.get("uses", "")] == ["_build/html"]
