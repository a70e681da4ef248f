"""What a browser finds in the built book: `make audit`. Exits with 1 where it finds anything, or has no browser.

    python tests/audit_pages.py [--book _build/html] [--pages index,…]

Every page is opened by Debian's Chromium from a server on this machine, at 1280 and 390 pixels, light and dark. Told
are errors on the console, requests that fail or go elsewhere, a page that scrolls sideways, cells and code that are cut
off, links and anchors that lead nowhere, pictures without a text, text smaller than 9 pixels, and what axe-core finds
serious or critical, with every fold open. Of the playground it is told too where its scripts compute anything else than
the library (`audit_playground.py`).
"""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jsonschema
import pandas as pd
import typer
from audit_playground import playground_faults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}

#: Of the theme's scripts, on every page and without effect.
KNOWN = ("Identifier 'THEME_JS_URL' has already been declared", "Identifier 'THEBE_JS_URL' has already been declared")

#: The paper's tables and figures, by the page that answers each: anchors ``paper-table-1``, folded or not.
PAPER = {
    "test-functions": ["figure-1", "figure-2", "figure-3", "table-1"],
    "loss-and-generalization": ["table-2a", "table-2b", "table-3a", "table-3b", "table-4", "table-5a", "table-5b"],
    "better-than-sgd": ["table-6", "figure-4"],
}

#: What is asked of a page: sentences, one for each fault.
ASK = """() => {
  const faults = [], root = document.documentElement, article = document.querySelector("article.bd-article");
  const named = (e) => `${e.tagName.toLowerCase()} "${e.innerText.slice(0, 40).replace(/\\s+/g, " ")}"`;
  const scrolls = (e) => {
    for (; e && e !== article; e = e.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  if (root.scrollWidth > innerWidth + 1) faults.push(`scrolls sideways by ${root.scrollWidth - innerWidth} pixels`);
  if (!article) return faults;
  const right = article.getBoundingClientRect().right;
  for (const e of article.querySelectorAll("td, th, pre, figure img, figcaption, p, summary")) {
    if (!e.checkVisibility()) continue;
    const box = e.getBoundingClientRect();
    if (box.right > right + 2 && !scrolls(e)) faults.push(`cut off at the right: ${named(e)}`);
    if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "hidden")
      faults.push(`cut off: ${named(e)}`);
    if (e.innerText && parseFloat(getComputedStyle(e).fontSize) < 9) faults.push(`text below 9 pixels: ${named(e)}`);
  }
  for (const e of document.querySelectorAll("img"))
    if (!e.alt && !e.closest("[aria-hidden]")) faults.push(`a picture without a text: ${e.src.slice(0, 80)}`);
  if (!root.lang) faults.push("no language");
  for (const name of article.querySelector("#index") ? [] : ["description", "citation_title"])
    if (!document.querySelector(`meta[name=${name}]`)?.content) faults.push(`no ${name}`);
  return faults;
}"""

#: What is unfolded fades in for a third of a second: colours are judged once it is there.
SETTLED = """() => Promise.all(document.getAnimations()
  .filter(one => Number.isFinite(one.effect.getComputedTiming().endTime)).map(one => one.finished))"""

LINKS = "() => [...document.querySelectorAll('a[href]')].map(a => a.href)"
ANCHORS = "() => [...document.querySelectorAll('[id]')].map(e => e.id)"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yield its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()


def opened(tab: Page, address: str) -> list[str]:
    """Open a page, and return what the browser says of it."""
    faults: list[str] = []
    host = urlsplit(address).netloc
    tab.on("console", lambda message: message.type == "error" and faults.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: faults.append(f"script: {error.message}"))
    tab.on("requestfailed", lambda request: faults.append(f"request failed: {request.url}"))
    tab.on("response", lambda answer: answer.status >= 400 and faults.append(f"{answer.status}: {answer.url}"))

    def outside(route) -> None:
        if urlsplit(route.request.url).netloc not in (host, "") and not route.request.url.startswith("data:"):
            faults.append(f"a request elsewhere: {route.request.url}")
            route.abort()
        else:
            route.continue_()

    tab.route("**/*", outside)
    tab.goto(address, wait_until="load")
    tab.wait_for_timeout(300)
    faults += tab.evaluate(ASK)
    tab.evaluate("document.querySelectorAll('article details').forEach(fold => fold.open = true)")
    tab.evaluate(SETTLED)
    faults += tab.evaluate(ASK)
    found = list(dict.fromkeys(faults))  # what axe itself asks the server for does not count
    for violation in Axe().run(tab).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            where = "; ".join(node["html"][:100] for node in violation["nodes"][:3])
            found.append(f"axe, {violation['impact']}: {violation['id']} ({len(violation['nodes'])}): {where}")
    return [fault for fault in found if not any(known in fault for known in KNOWN)]


def from_disk(tab: Page, file: Path) -> list[str]:
    """Open a page as a file; return what it asks for elsewhere, what fails, and what the browser says of it."""
    faults: list[str] = []
    tab.on("console", lambda message: message.type == "error" and faults.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: faults.append(f"script: {error.message}"))
    tab.on("requestfailed", lambda request: faults.append(f"request failed: {request.url[:100]}"))

    def outside(request) -> None:
        if urlsplit(request.url).scheme not in ("file", "data", "blob", "about"):
            faults.append(f"a request elsewhere: {request.url}")

    tab.on("request", outside)
    tab.goto(file.resolve().as_uri(), wait_until="load")
    tab.wait_for_timeout(300)
    return [fault for fault in dict.fromkeys(faults) if not any(known in fault for known in KNOWN)]


def ledger_faults(book: Path) -> list[str]:
    """Return what the ledger's files are not: of their schema, or what the page's own table says."""
    found = json.loads((book / "ledger.json").read_text(encoding="utf-8"))
    schema = json.loads((book / "ledger.schema.json").read_text(encoding="utf-8"))
    faults = [
        f"ledger.json: {error.message[:200]}" for error in jsonschema.Draft202012Validator(schema).iter_errors(found)
    ]
    shown = pd.read_csv(book / "files" / "ledger" / "ledger.csv", dtype=str, keep_default_na=False)
    own = pd.DataFrame(found["verdicts"]).rename(columns={"numbers": "detail", "main_number": "number"})
    top = pd.read_csv(book / "ledger.csv", dtype=str, keep_default_na=False)
    top = top.rename(columns={"numbers": "detail", "main_number": "number"})
    for name, table in (("ledger.json", own), ("ledger.csv", top)):
        if not table[shown.columns].equals(shown):
            faults.append(f"{name}: its rows are not those of the page's table")
    return faults


def broken(folder: Path, start: str, links: dict[str, list[str]], anchors: dict[str, set[str]]) -> list[str]:
    """Return the links of pages to pages, files and anchors of the site that are not there."""
    found = []
    for name, targets in links.items():
        for target in dict.fromkeys(targets):
            if not target.startswith(start):
                continue
            parts = urlsplit(target)
            path = unquote(parts.path).lstrip("/") or "index.html"
            if not (folder / path).is_file():
                found.append(f"{name}: a link to {path}, which is not there")
            elif parts.fragment and path in anchors and unquote(parts.fragment) not in anchors[path]:
                found.append(f"{name}: a link to {path}#{parts.fragment}, where there is no such anchor")
    return found


def main(book: Path = Path("_build/html"), pages: str = "") -> None:
    """Open every page, print what is wrong, and end with 1 where something is."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        raise SystemExit("audit: there is no Chromium: apt-get install chromium")
    if not (book / "index.html").is_file():
        raise SystemExit(f"audit: {book} has no index.html: make book")
    names = pages.split(",") if pages else sorted(path.stem for path in book.glob("*.html"))
    faults: list[str] = []
    links: dict[str, list[str]] = {}
    anchors: dict[str, set[str]] = {}
    with served(book) as start, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name in names:
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
                    context.add_init_script(f"localStorage.setItem('mode', '{scheme}')")
                    tab = context.new_page()
                    faults += [f"{name}, {size}, {scheme}: {fault}" for fault in opened(tab, f"{start}{name}.html")]
                    if (size, scheme) == ("desktop", "light"):
                        links[f"{name}.html"] = tab.evaluate(LINKS)
                        anchors[f"{name}.html"] = set(tab.evaluate(ANCHORS))
                    context.close()
            context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
            context.add_init_script("localStorage.setItem('mode', 'light')")
            faults += [f"{name}, from disk: {fault}" for fault in from_disk(context.new_page(), book / f"{name}.html")]
            context.close()
        if "playground" in names:
            faults += [f"playground: {fault}" for fault in playground_faults(browser, f"{start}playground.html")]
        browser.close()
        faults += broken(book, start, links, anchors)
        if "ledger" in names:
            faults += ledger_faults(book)
        for name in PAPER.keys() & set(names):
            lacking = [part for part in PAPER[name] if f"paper-{part}" not in anchors[f"{name}.html"]]
            faults += [f"{name}: no anchor for the paper's {part}" for part in lacking]
    for fault in faults:
        print(fault)
    print(f"audit: {len(names)} pages, each at {len(SIZES)} sizes, light and dark: {len(faults)} faults")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    typer.run(main)
