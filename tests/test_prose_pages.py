"""What pages of prose say, against what it is said of: margins, entries of BibTeX, the citation file."""

import re

import yaml
from pybtex.database import parse_string

from popview.book.cells import WORD_SIGNS
from popview.book.names import task_title
from popview.common.folders import ROOT
from popview.runs import profiles
from popview.tasks.catalogue import RECORDS


def page(name: str) -> str:
    return (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")


def test_margins_are_those_of_the_profile():
    rows = re.findall(r"^\| (\S+) \| ±(\S+) \| (\S+) \|$", page("how-to-read"), re.MULTILINE)
    tasks = [task for task in profiles.tasks("laptop") if task != "cifar100"]
    wanted = [(task, f"{100 * profiles.settings('laptop', task)['margin']:g}") for task in tasks]
    assert rows == [(task_title(task), margin, RECORDS[task].metric) for task, margin in wanted]


def test_words_of_verdicts_are_those_of_tables():
    rows = re.findall(r"^\| (\S) \| ([a-z ]+) \|", page("how-to-read"), re.MULTILINE)
    assert {word: sign for sign, word in rows} == WORD_SIGNS


def test_entries_are_bibtex_and_those_of_the_references():
    text = page("cite")
    entries = parse_string(
        "\n".join(re.findall(r"^```\n(@.*?)^```$", text, re.MULTILINE | re.DOTALL)), "bibtex"
    ).entries
    known = parse_string((ROOT / "book" / "references.bib").read_text(encoding="utf-8"), "bibtex").entries
    for name in ("inan2024", "yu2026"):
        assert " ".join(entries[name].fields["title"].split()) == known[name].fields["title"]
        assert entries[name].persons == known[name].persons
        assert entries[name].fields["eprint"] in known[name].fields["note"]
        assert f"https://arxiv.org/abs/{entries[name].fields['eprint']}" in text
    own = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert own["authors"][0]["name"] in str(entries["popview2026"].persons["author"][0])
    assert str(own["version"]) in entries["popview2026"].fields["note"]


def test_commands_name_pages_that_are_there():
    for name in re.findall(r"popview chapter ([\w-]+)", page("rerun")):
        assert (ROOT / "book" / f"{name}.py").is_file()
