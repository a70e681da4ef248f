"""How much of each page of the built book meets the eye at first: screens, words, figures and tables that are open.

    python benchmarks/page_sizes.py [BOOK] [--pages home,…] [--shots FOLDER]

BOOK is the folder with the built pages, ``_build/html`` by default. Each page is opened by Debian's Chromium at 1280 ×
900 and at 390 × 844 pixels, with everything folded that is folded when it opens. Words and tables within closed folds,
and in the lists that are made by machine (a section of the class ``listing``), are not counted. A screen is 900 pixels.
"""

from pathlib import Path

import typer
from playwright.sync_api import Browser, sync_playwright

#: What is asked of a page. Of hidden elements, and those within closed folds, innerText is empty.
ASK = """() => {
  const article = document.querySelector("article.bd-article");
  const shown = (e) => e.checkVisibility() && !e.closest(".listing, #run-this-page-with-other-numbers");
  const top = (e) => e ? (e.getBoundingClientRect().top + scrollY) / 900 : null;
  const pictures = [...article.querySelectorAll("figure picture, figure img, .plotly-graph-div")].filter(shown);
  const captions = [...article.querySelectorAll("figcaption, table caption")].filter(shown).map(e => e.innerText);
  const rerun = article.querySelector("#run-this-page-with-other-numbers");
  const words = article.innerText.split(/\\s+/).length - (rerun ? rerun.innerText.split(/\\s+/).length : 0)
    - [...article.querySelectorAll(".listing")].map(e => e.innerText.split(/\\s+/).length).reduce((a, b) => a + b, 0);
  return {
    screens: (rerun ? top(rerun) - top(article) : article.offsetHeight / 900),
    words, first_figure: top(pictures[0]), figures: pictures.length,
    open_tables: [...article.querySelectorAll("table")].filter(shown).length,
    all_tables: article.querySelectorAll("table").length,
    longest_caption: Math.max(0, ...captions.map(text => text.split(/\\s+/).length)),
    scroll: document.documentElement.scrollWidth - innerWidth,
  };
}"""

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


def opened(browser: Browser, page: Path, size: str, scheme: str, shot: Path | None, whole: bool) -> dict[str, float]:
    """Open a page, take a picture of its first screen, and return the answers to `ASK`."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)  # type: ignore[arg-type]
    tab = context.new_page()
    tab.add_init_script(f"localStorage.setItem('mode', '{scheme}'); localStorage.setItem('theme', '{scheme}')")
    tab.goto(page.resolve().as_uri())
    tab.wait_for_timeout(700)
    if shot:
        tab.screenshot(path=shot, full_page=whole)
    found = tab.evaluate(ASK)
    context.close()
    return found


def main(
    book: Path = Path("_build/html"),
    pages: str = "",
    shots: Path | None = None,
    dark: bool = False,
    whole: bool = False,
) -> None:
    """Print a line for each page, and the sums."""
    names = pages.split(",") if pages else sorted(path.stem for path in book.glob("*.html"))
    names = [name for name in names if name not in ("genindex", "search")]
    print("| page | screens | phone | words | first figure | figures | tables open | all | longest caption |")
    print("|---|---|---|---|---|---|---|---|---|")
    words = tables = 0.0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name in names:
            found = {}
            for size in SIZES:
                for scheme in ("light", "dark") if dark else ("light",):
                    shot = shots / f"{name}-{size}-{scheme}.png" if shots else None
                    found[size] = opened(browser, book / f"{name}.html", size, scheme, shot, whole)
            wide = found["desktop"]
            first = "–" if wide["first_figure"] is None else f"{wide['first_figure']:.1f}"
            print(
                f"| {name} | {wide['screens']:.1f} | {found['phone']['screens']:.1f} | {wide['words']} | {first} | "
                f"{wide['figures']} | {wide['open_tables']} | {wide['all_tables']} | {wide['longest_caption']} |"
            )
            words, tables = words + wide["words"], tables + wide["open_tables"]
        browser.close()
    print(f"\nIn all {words:.0f} words and {tables:.0f} tables are open.")


if __name__ == "__main__":
    typer.run(main)
