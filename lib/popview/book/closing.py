"""What stands at the end of every page: how to run it with other numbers, and how to cite it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from popview.book.parameters import Parameter
from popview.common.files import read_utf8

TEMPLATES = Path(__file__).with_name("templates")
#: The site's folder of notebooks to run, one a computed page.
NOTEBOOKS = "notebooks"
#: Where the book has a page on that.
RERUN_GUIDE = " [](rerun.md) says what it takes."
CITE_GUIDE = "\n[](cite.md) has the papers' entries, too."


@dataclass(frozen=True)
class Settings:
    """What ``_config.yml`` says of the book, and where it is: both addresses are empty until it has them.

    Attributes
    ----------
    title, author, year : str
        Of the book.
    site, repository : str
        Addresses of the site and of the project.
    """

    title: str
    author: str
    year: str
    site: str
    repository: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """Return the settings of a ``_config.yml``."""
        html = config.get("html") or {}
        facts = (config.get("title"), config.get("author"), config.get("copyright"))
        addresses = (html.get("baseurl"), html.get("repository_url"))
        return cls(*(str(value or "") for value in (*facts, *addresses)))


def rerun_section(page: str, known: dict[str, Parameter], repository: str, seconds: float | None, guide: bool) -> str:
    """Return the section that lists a page's parameters and says how to run it with others, in Markdown.

    `repository` is the project's address, or empty; `seconds` is what the page takes, if known; `guide` says whether
    there is a page ``rerun.md`` to refer to.
    """
    first = next(iter(known.values()))
    lines = ["| parameter | type | default | bounds | |", "|---|---|---|---|---|"]
    lines += [
        f"| `{entry.name}` | {_cell(entry.type)} | `{entry.default!r}` | {entry.bounds} | {_cell(entry.help)} |"
        for entry in known.values()
    ]
    folder = f"git clone {repository} && cd popview" if repository else "cd popview"
    return read_utf8(TEMPLATES / "rerun.md").format(
        folder=folder,
        page=page,
        example=f"{first.name}={first.default}",
        table="\n".join(lines),
        guide=RERUN_GUIDE if guide else "",
        span=f" in {span(seconds)}" if seconds else "",
        notebooks=NOTEBOOKS,
    )


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def span(seconds: float) -> str:
    """Write what a page takes: "about 3 minutes"."""
    minutes = math.ceil(seconds / 60)
    return "about a minute" if minutes == 1 else f"about {minutes} minutes"


def cite_section(page: str, title: str, settings: Settings, guide: bool) -> str:
    """Return a fold with a page's entry of BibTeX, in Markdown.

    Parameters
    ----------
    page, title : str
        Its name and its title.
    settings : Settings
        Of the book. Without the site's address the entry has none.
    guide : bool
        Whether there is a page ``cite.md`` to refer to.
    """
    address = f",\n  url       = {{{settings.site.rstrip('/')}/{page}.html}}" if settings.site else ""
    return read_utf8(TEMPLATES / "cite.md").format(
        page=page,
        title=_bibtex(title),
        book=_bibtex(settings.title),
        author=_bibtex(settings.author),
        year=settings.year,
        version=version("popview"),
        address=address,
        guide=CITE_GUIDE if guide else "",
    )


def _bibtex(words: str) -> str:
    """Return words with BibTeX's special characters escaped, and without Markdown's marks."""
    return re.sub(r"([&%#_$])", r"\\\1", re.sub(r"[*`]", "", words.strip()))
