"""A Sphinx extension: the heads of pages, their button for downloads, and abbreviations explained."""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from popview.book.closing import NOTEBOOKS

#: The page whose glossary says what abbreviations mean.
GLOSSARY = "how-to-read"

#: Longest description of a page, in characters.
LONGEST = 300


class Abbreviations(SphinxPostTransform):
    """Give every abbreviation of the book's glossary, in running text and in tables, its meaning, shown on hover."""

    default_priority = 900

    def run(self, **options: Any) -> None:
        """Replace the texts of the document at hand."""
        if self.env.docname == GLOSSARY or GLOSSARY not in self.env.found_docs:
            return
        meanings = glossary(self.env.get_doctree(GLOSSARY))
        for text in list(self.document.findall(nodes.Text)) if meanings else ():
            if isinstance(text.parent, nodes.paragraph | nodes.caption | nodes.strong | nodes.emphasis):
                pieces = abbreviated(text.astext(), meanings)
                if any(isinstance(piece, nodes.abbreviation) for piece in pieces):
                    text.parent.replace(text, pieces)


def glossary(document: nodes.document) -> dict[str, str]:
    """Return the terms of a page's glossary, each with its first sentence."""
    items = [item for part in document.findall(addnodes.glossary) for item in part.findall(nodes.definition_list_item)]
    meanings: dict[str, str] = {}
    for item in items:
        words = " ".join(next(item.findall(nodes.definition)).astext().split())
        meanings |= {term.astext(): words.split(". ")[0].rstrip(".") for term in item.findall(nodes.term)}
    return meanings


def abbreviated(words: str, meanings: Mapping[str, str]) -> list[nodes.Node]:
    """Return words as text and abbreviations: of the terms in `meanings`, those in capitals, where they stand alone."""
    terms = sorted((term for term in meanings if re.search("[A-Z].*[A-Z]|[A-Z][0-9]", term)), key=len, reverse=True)
    pieces = re.split(rf"(?<![\w-])({'|'.join(map(re.escape, terms))})(?!\w)", words) if terms else [words]
    found: list[nodes.Node] = []
    for place, piece in enumerate(pieces):
        if place % 2:
            found.append(nodes.abbreviation(piece, piece, explanation=meanings[piece]))
        elif piece:
            found.append(nodes.Text(piece))
    return found


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


def _offer_notebook(app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _: Any) -> None:
    """Offer what a reader can run for download, and not the source that Jupyter Book was given."""
    place = f"{NOTEBOOKS}/{pagename}.ipynb"
    there = any(Path(app.srcdir, folder, place).is_file() for folder in app.config.html_extra_path)
    for group in context.get("header_buttons", ()):
        if group.get("label") == "download-buttons":
            others = [button for button in group["buttons"] if button["label"] == "download-pdf-button"]
            notebook = {"type": "link", "url": place, "text": ".ipynb", "icon": "fas fa-code"}
            notebook |= {"tooltip": "Download this page as a notebook", "label": "download-notebook-button"}
            group["buttons"] = [notebook, *others] if there else others


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_post_transform(Abbreviations)
    app.connect("html-page-context", _add_head)
    app.connect("html-page-context", _offer_notebook, priority=502)  # after the theme has put its buttons there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
