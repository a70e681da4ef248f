"""A Sphinx extension: the heads of pages, for search engines and reference managers, and abbreviations explained."""

import html
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

__all__ = ["ABBREVIATIONS", "Abbreviations", "page_head", "setup"]

#: Abbreviation → what it stands for: shown where a reader points at it, on every page.
ABBREVIATIONS = {
    "SGD": "stochastic gradient descent",
    "GD": "gradient descent",
    "NiG": "noise in the gradient",
    "NiM": "noise in the model, that is, in its weights",
    "BH": "Basin Hopping: kick, local search, accept",
    "MBH": "monotonic Basin Hopping: a hop that did not help is undone",
    "SAM": "sharpness-aware minimization",
    "SWA": "stochastic weight averaging",
    "AdamW": "Adam with decoupled weight decay",
    "SGLD": "stochastic gradient Langevin dynamics",
    "L-BFGS-GSS": "limited-memory BFGS, a quasi-Newton method, with a golden-section line search",
    "SetA": "the ten checkpoints of each run with the lowest training loss",
    "SetB": "the ten checkpoints of each run with the highest test score",
    "TOST": "two one-sided tests, which can show that a difference lies within a margin",
    "Holm": "Holm's correction of p-values for several tests in one family",
    "ICC": "intra-class correlation: how alike the checkpoints of one run are",
    "A12": "probability that a run of the first beats a run of the second",
    "SD": "standard deviation",
    "F1": "harmonic mean of precision and recall",
}

_WORDS = re.compile(rf"(?<![\w-])({'|'.join(sorted(map(re.escape, ABBREVIATIONS), key=len, reverse=True))})(?![\w])")

#: Longest description of a page, in characters.
LONGEST = 300


class Abbreviations(SphinxPostTransform):
    """Give every abbreviation of `ABBREVIATIONS` in running text and in tables its meaning, shown on hover."""

    default_priority = 900

    def run(self, **options: Any) -> None:
        """Replace the texts of the document at hand."""
        for text in list(self.document.findall(nodes.Text)):
            parent = text.parent
            if not isinstance(parent, nodes.paragraph | nodes.caption | nodes.strong | nodes.emphasis):
                continue
            if len(pieces := _WORDS.split(text.astext())) > 1:
                parent.replace(text, [_piece(piece, place) for place, piece in enumerate(pieces) if piece])


def _piece(words: str, place: int) -> nodes.Node:
    return nodes.abbreviation(words, words, explanation=ABBREVIATIONS[words]) if place % 2 else nodes.Text(words)


def page_head(title: str, description: str, book: str, authors: str, year: str) -> str:
    """Return the tags of a page's head: what a shared link shows, and what a reference manager reads.

    Parameters
    ----------
    title, description
        Of the page.
    book, authors, year
        Of the book.
    """
    names = {"description": description, "citation_title": f"{title} ({book})", "citation_author": authors}
    names |= {"citation_publication_date": year, "citation_inbook_title": book, "citation_language": "en"}
    properties = {"og:title": title, "og:description": description, "og:type": "article", "og:site_name": book}
    lines = [f'<meta name="{name}" content="{html.escape(content)}">' for name, content in names.items()]
    lines += [f'<meta property="{name}" content="{html.escape(content)}">' for name, content in properties.items()]
    return "\n".join(lines) + "\n"


def first_words(document: nodes.document, longest: int = LONGEST) -> str:
    """Return a page's first paragraph in plain text, cut at a word where it is longer."""
    words = next((node.astext() for node in document.findall(nodes.paragraph)), "")
    words = " ".join(words.split())
    return words if len(words) <= longest else words[:longest].rsplit(" ", 1)[0] + " …"


def _add_head(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    if document is None:
        return
    title = next((node.astext() for node in document.findall(nodes.title)), pagename)
    head = page_head(
        title, first_words(document) or title, app.config.html_title, app.config.author, str(app.config.copyright)
    )
    context["metatags"] = context.get("metatags", "") + head


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_post_transform(Abbreviations)
    app.connect("html-page-context", _add_head)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
