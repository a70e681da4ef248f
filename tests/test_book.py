"""Chapters: parameters, staleness, execution, on tiny books in temporary folders with a fake library."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from docutils import nodes
from pybtex.database import parse_string

import popview.common.read_log
from popview.book import build, html, notebooks, page, staging, web
from popview.book.closing import rerun_section
from popview.book.parameters import Parameter, parameter_lines, read_parameters
from popview.common.contents import page_names
from popview.common.errors import UsageError
from popview.common.files import write_zip
from popview.common.imports import imported_modules

SUMS = """# %% [markdown]
# # 2 Sums

# %% tags=["parameters"]
restarts: int = 5  # how many restarts
rate: float = 0.1
names: list[str] = ["SGD", "SAM"]  # which optimizers
window: tuple[int, int] = (0, 3)
verbose: bool = False
limit: int | None = None

# %%
from popview.optimizers.sgd import step
from popview.store import load

print(restarts, rate, names, window[0], verbose, limit, step(), load("data/results/a.txt"))
"""

PRODUCTS = """# %% [markdown]
# # 3 Products

# %%
def late():
    import popview.landscapes

late()
"""

LIBRARY = {
    "__init__.py": "",
    "common/__init__.py": "",
    "optimizers/__init__.py": "",
    "optimizers/sgd.py": "from ..noise import draw\nfrom . import base\n\n\ndef step():\n    return draw()\n",
    "optimizers/base.py": "",
    "noise.py": "import math\n\n\ndef draw():\n    return 1\n",
    "landscapes.py": "import importlib\n\nloaded = importlib.import_module('popview.store')\n",
    "store.py": (
        "from pathlib import Path\n\nfrom popview.common.read_log import record\n\n\n"
        "def load(name):\n    record(Path(name).parent)\n    return Path(name).read_text()\n"
    ),
    "unused.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A book of two chapters, with its own `popview` package under lib/."""
    package = tmp_path / "lib" / "popview"
    for name, text in LIBRARY.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    shutil.copy(popview.common.read_log.__file__, package / "common" / "read_log.py")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "sums.py").write_text(SUMS)
    (tmp_path / "book" / "products.py").write_text(PRODUCTS)
    (tmp_path / "data" / "results").mkdir(parents=True)
    (tmp_path / "data" / "results" / "a.txt").write_text("first")
    (tmp_path / "requirements.lock").write_text("numpy==2.4.6\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: sums\nchapters:\n- file: products\n")
    return tmp_path.resolve()


def chapters(root: Path) -> dict[str, build.Chapter]:
    return build.chapters(root, root / "lib")


def publish(chapter: build.Chapter) -> None:
    """Stand in for an execution: write the page that one would stamp, with what the fake store reads."""
    reads = [chapter.root / "data" / "results"] if "store" in chapter.source.read_text() else []
    stamp = build._stamp(chapter, None, reads)
    chapter.page.parent.mkdir(exist_ok=True)
    chapter.page.write_text(json.dumps({"metadata": {"popview": stamp}}))


@pytest.fixture
def fresh(root: Path) -> Path:
    for chapter in chapters(root).values():
        publish(chapter)
    return root


def reasons(root: Path) -> dict[str, list[str]]:
    return {number: build.stale(chapter) for number, chapter in chapters(root).items()}


class TestChapters:
    def test_are_found_by_number_and_name(self, root):
        assert list(chapters(root)) == ["sums", "products"]  # as the table of contents has them
        for name in ("1", "01", "sums"):
            assert build.find(root, name).name == "sums"
        for name in ("0", "3"):
            with pytest.raises(UsageError, match=f"unknown chapter '{name}'"):
                build.find(root, name)

    def test_unknown_name_is_answered_with_the_nearest(self, root):
        with pytest.raises(UsageError, match="unknown chapter 'product': did you mean 'products'"):
            build.find(root, "product")

    def test_one_that_the_contents_lack_comes_last(self, root):
        (root / "book" / "a-draft.py").write_text("")
        assert list(chapters(root)) == ["sums", "products", "a-draft"]


class TestParameters:
    def test_are_read_with_type_default_and_comment(self, root):
        found = build.parameters(chapters(root)["sums"])
        assert [*found] == ["restarts", "rate", "names", "window", "verbose", "limit"]
        assert found["restarts"] == build.Parameter("restarts", "int", 5, "how many restarts")
        assert found["window"].default == (0, 3)
        assert build.parameters(chapters(root)["products"]) == {}

    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("restarts", "200", 200),
            ("restarts", 200, 200),
            ("rate", "1e-3", 1e-3),
            ("rate", "2", 2.0),
            ("rate", 2, 2.0),
            ("names", "SGD, NiG-SGD", ["SGD", "NiG-SGD"]),
            ("names", "['SGD']", ["SGD"]),
            ("names", "", []),
            ("window", "1,2", (1, 2)),
            ("window", "(1, 2)", (1, 2)),
            ("verbose", "True", True),
            ("verbose", "false", False),
            ("limit", "none", None),
            ("limit", "7", 7),
        ],
    )
    def test_values_are_read_as_the_type_says(self, root, name, text, value):
        effective = build.override(chapters(root)["sums"], {name: text})
        assert effective[name] == value
        assert type(effective[name]) is type(value)

    @pytest.mark.parametrize(
        ("name", "value", "kind"),
        [
            ("restarts", "many", "int"),
            ("restarts", "1.5", "int"),
            ("restarts", 1.5, "int"),
            ("restarts", True, "int"),
            ("rate", "fast", "float"),
            ("names", "[1, 2]", "list[str]"),
            ("names", "[SGD", "list[str]"),
            ("window", "1,2,3", "tuple[int, int]"),
            ("verbose", "yes", "bool"),
            ("limit", "few", "int | None"),
        ],
    )
    def test_wrong_type_is_refused_by_name_value_and_type(self, root, name, value, kind):
        with pytest.raises(UsageError) as error:
            build.override(chapters(root)["sums"], {name: value})
        assert str(error.value) == f"parameter {name}: {value!r} is not {kind}"

    @pytest.mark.parametrize(
        ("bounds", "good", "bad"),
        [
            ("1 or more", ["1", "500"], ["0", "-3"]),
            ("above 0", ["0.1"], ["0", "nan"]),
            ("0 to 1", ["0", "1", "0.5"], ["-0.1", "1.01"]),
        ],
    )
    def test_a_number_out_of_its_bounds_is_refused(self, root, bounds, good, bad):
        line = f"share: float | None = 0.5  # of [all] restarts [{bounds}]"
        line = line.replace("0.5", "1", 1)
        (root / "book" / "sums.py").write_text(f'# %% tags=["parameters"]\n{line}\n')
        sums = chapters(root)["sums"]
        known = build.parameters(sums)
        assert known["share"].bounds == bounds
        assert parameter_lines(known) == [f"share: float | None = 1.0  of [all] restarts [{bounds}]"]
        assert [build.override(sums, {"share": text})["share"] for text in good] == [*map(float, good)]
        assert build.override(sums, {"share": "none"})["share"] is None
        for text in bad:
            with pytest.raises(UsageError, match=rf"^parameter share: {float(text)!r} is not {bounds}$"):
                build.override(sums, {"share": text})

    def test_a_default_out_of_its_bounds_is_refused(self, root):
        (root / "book" / "sums.py").write_text('# %% tags=["parameters"]\nrestarts: int = 0  # some [1 or more]\n')
        with pytest.raises(UsageError, match=r"^parameter restarts: 0 is not 1 or more$"):
            build.parameters(chapters(root)["sums"])

    def test_unknown_name_is_answered_with_the_nearest(self, root):
        with pytest.raises(UsageError, match="unknown parameter of chapter sums 'restart': did you mean 'restarts'"):
            build.override(chapters(root)["sums"], {"restart": "3"})

    @pytest.mark.parametrize("line", ["restarts = 5", "restarts: int = len('abc')", "restarts: int = 'five'"])
    def test_declaration_without_type_or_literal_is_refused(self, root, line):
        (root / "book" / "sums.py").write_text(f'# %% tags=["parameters"]\n{line}\n')
        with pytest.raises(UsageError, match="chapter sums"):
            build.parameters(chapters(root)["sums"])

    def test_own_values_go_to_a_page_of_their_own(self, root):
        chapter = chapters(root)["sums"]
        assert build.output_path(chapter) == build.output_path(chapter, {"restarts": "5"}) == chapter.page
        custom = build.output_path(chapter, {"restarts": "6"})
        assert custom.parent == root / "book" / "run" / "custom"
        assert custom != build.output_path(chapter, {"restarts": "7"})

    @pytest.mark.parametrize(
        "header",
        [
            "# %% tags=['parameters']",
            "# %% slideshow={'slide_type': 'skip'} tags=['hide-input', 'parameters']",
            '#%% tags = ["parameters", "hide-input"]',
            '# %% {"tags": ["parameters"]}',
        ],
    )
    def test_the_tag_is_seen_as_jupytext_reads_it(self, header):
        import jupytext

        text = f"{header}\nrestarts: int = 5\n\n# %% tags=['hide-input']\nparameters = ['parameters']\n"
        first = jupytext.reads(text, fmt="py:percent").cells[0]
        assert "parameters" in first.metadata["tags"]
        assert read_parameters(text, "page")["restarts"].default == 5


class TestModules:
    def test_imports_are_followed(self, root):
        found = imported_modules(SUMS, root / "lib")
        names = ["", ".common", ".common.read_log", ".noise", ".optimizers", ".optimizers.base", ".optimizers.sgd"]
        names.append(".store")
        assert [*found] == [f"popview{name}" for name in names]

    def test_imports_inside_functions_and_by_name_are_followed(self, root):
        found = imported_modules(PRODUCTS, root / "lib")
        assert [*found] == [
            "popview",
            "popview.common",
            "popview.common.read_log",
            "popview.landscapes",
            "popview.store",
        ]

    def test_text_that_does_not_parse_is_named(self, root):
        (root / "book" / "products.py").write_text("x = (\n")
        publish(chapters(root)["sums"])
        with pytest.raises(UsageError, match=r"products\.py, line 1"):
            imported_modules("x = (\n", root / "lib", origin="products.py")


class TestStaleness:
    def test_never_run(self, root):
        assert reasons(root) == {"sums": ["never run"], "products": ["never run"]}

    def test_fresh(self, fresh):
        assert reasons(fresh) == {"sums": [], "products": []}

    def test_text(self, fresh):
        (fresh / "book" / "products.py").write_text(PRODUCTS + "\n# more\n")
        assert reasons(fresh) == {"sums": [], "products": ["text changed"]}

    @pytest.mark.parametrize(
        ("module", "stale"),
        [
            ("noise", {"sums"}),
            ("optimizers.base", {"sums"}),
            ("landscapes", {"products"}),
            ("store", {"sums", "products"}),
            ("unused", set()),
        ],
    )
    def test_module_makes_exactly_its_dependents_stale(self, fresh, module, stale):
        path = fresh / "lib" / "popview" / f"{module.replace('.', '/')}.py"
        path.write_text(path.read_text() + "\n# more\n")
        told = [f"module popview.{module} changed"]
        assert reasons(fresh) == {name: told if name in stale else [] for name in ("sums", "products")}

    def test_new_and_gone_modules(self, fresh):
        package = fresh / "lib" / "popview"
        (package / "noise.py").write_text("from popview import unused\n")
        (package / "optimizers" / "base.py").unlink()
        assert reasons(fresh)["sums"] == [
            "module popview.noise changed",
            "module popview.unused is new",
            "module popview.optimizers.base is gone",
        ]

    def test_parameter(self, fresh):
        chapter = chapters(fresh)["sums"]
        assert build.stale(chapter, {"restarts": "200"}) == ["parameter restarts: 5 -> 200"]
        chapter.source.write_text(SUMS.replace("restarts: int = 5", "restarts: int = 8"))
        assert build.stale(chapter) == ["text changed", "parameter restarts: 5 -> 8"]

    def test_result(self, fresh):
        (fresh / "data" / "results" / "a.txt").write_text("other")
        assert reasons(fresh) == {"sums": ["result data/results changed"], "products": []}

    def test_new_result_in_a_folder_that_was_listed(self, fresh):
        (fresh / "data" / "results" / ".temporary").write_text("half")
        assert reasons(fresh)["sums"] == []
        (fresh / "data" / "results" / "b.txt").write_text("second")
        assert reasons(fresh)["sums"] == ["result data/results changed"]

    def test_removed_result(self, fresh):
        shutil.rmtree(fresh / "data" / "results")
        assert reasons(fresh)["sums"] == ["result data/results is gone"]

    def test_environment(self, fresh):
        (fresh / "requirements.lock").write_text("numpy==3\n")
        assert reasons(fresh) == {name: ["requirements.lock changed"] for name in ("sums", "products")}


class TestReads:
    def test_appends_absolute_paths(self, tmp_path, monkeypatch):
        monkeypatch.setenv("POPVIEW_READS", str(tmp_path / "reads"))
        monkeypatch.chdir(tmp_path)
        popview.common.read_log.record("a.csv")
        popview.common.read_log.record(tmp_path / "data")
        assert (tmp_path / "reads").read_text().splitlines() == [f"{tmp_path}/a.csv", f"{tmp_path}/data"]

    def test_does_nothing_elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.delenv("POPVIEW_READS", raising=False)
        popview.common.read_log.record(tmp_path)
        assert not any(tmp_path.iterdir())


class TestExecution:
    """These start kernels, about 3 s each."""

    def test_publishes_a_stamped_page_and_again_the_same_bytes(self, root):
        chapter = chapters(root)["sums"]
        first = build.execute(chapter).read_bytes()
        notebook = json.loads(first)
        assert notebook["cells"][-1]["outputs"][0]["text"] == ["5 0.1 ['SGD', 'SAM'] 0 False None 1 first\n"]
        assert set(notebook["metadata"]["popview"]["files"]) == {"requirements.lock", "data/results"}
        assert str(root) not in first.decode()
        assert build.stale(chapter) == []
        assert build.execute(chapter).read_bytes() == first

    @pytest.mark.slow
    def test_own_parameters_leave_the_page_alone(self, root):
        chapter = chapters(root)["sums"]
        custom = build.execute(chapter, {"restarts": "6", "window": "1,2"})
        assert "6 0.1 ['SGD', 'SAM'] 1 False None 1 first" in custom.read_text()
        assert not chapter.page.exists()
        told = json.loads(custom.read_text())["cells"][1]["source"]
        assert "`restarts = 6, window = (1, 2)`. Tables" in "".join(told)
        assert "of your own" not in build.execute(chapter).read_text()

    def test_of_what_papermill_prints_the_error_is_told(self, fresh):
        rule = "-" * 20
        log = f"Traceback:\n  here\nnbclient.exceptions.CellTimeoutError: A cell timed out\n{rule}\nx = 1\n{rule}\n"
        told = str(build._failure(chapters(fresh)["sums"], None, log, fresh))
        assert told.endswith(": nbclient.exceptions.CellTimeoutError: A cell timed out")
        assert str(build._failure(chapters(fresh)["sums"], None, f"no kernel\n{rule}\n", fresh)).endswith(": no kernel")
        assert str(build._failure(chapters(fresh)["sums"], None, "", fresh)).endswith(": papermill printed nothing")

    def test_a_page_that_cannot_be_written_is_one_line(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match=r"cannot write .*page\.ipynb: "):
            notebooks.publish({}, tmp_path / "file" / "page.ipynb")

    def test_failing_cell_leaves_the_old_page(self, fresh):
        chapter = chapters(fresh)["sums"]
        before = chapter.page.read_bytes()
        chapter.source.write_text(SUMS + "\n# %%\n# what fails\nraise ValueError('one\\ntwo')\n")
        with pytest.raises(build.ChapterError) as error:
            build.execute(chapter)
        where = "chapter sums, cell 3 (raise ValueError('one\\ntwo'))"
        assert str(error.value) == f"{where}: ValueError: two; see book/run/failed/sums.ipynb"
        assert chapter.page.read_bytes() == before
        assert (fresh / "book" / "run" / "failed" / "sums.ipynb").is_file()

    @pytest.mark.slow
    def test_a_reason_that_torch_spreads_over_many_lines_is_told(self, fresh):
        chapter = chapters(fresh)["sums"]
        chapter.source.write_text("# %%\nimport torch\ntorch.zeros(3, dtype=torch.int8)[10**30]\n# %%\nassert 1 == 2\n")
        with pytest.raises(build.ChapterError) as error:
            build.execute(chapter)
        told = str(error.value)
        reason = told.partition("Error")[2].rpartition("; see")[0]
        assert len(reason.split()) > 3, told
        assert "\n" not in told

    @pytest.mark.slow
    def test_an_error_without_a_word_is_told_by_its_kind(self, fresh):
        chapter = chapters(fresh)["sums"]
        chapter.source.write_text("# %%\nassert 1 == 2\n")
        with pytest.raises(build.ChapterError, match=r"cell 1 \(assert 1 == 2\): AssertionError; see "):
            build.execute(chapter)

    def test_a_library_in_another_encoding_is_one_line(self, fresh):
        """A module that a chapter imports, and the chapter itself."""
        file = fresh / "lib" / "popview" / "noise.py"
        file.write_bytes(file.read_bytes() + "# naïve\n".encode("latin-1"))
        with pytest.raises(UsageError, match=r"noise\.py, line 6: not UTF-8 .*: save it as UTF-8"):
            build.stale(chapters(fresh)["sums"])
        chapter = chapters(fresh)["products"]
        chapter.source.write_bytes("# %%\n# Größe\n".encode("utf-16"))
        with pytest.raises(UsageError, match=r"products\.py, line 1: not UTF-8"):
            build.execute(chapter)

    @pytest.mark.slow
    def test_a_name_that_is_no_utf8_is_noted(self, root):
        chapter = chapters(root)["products"]
        name = "'/nowhere/caf' + chr(0xDCE9)"  # é in Latin-1, as Python has it
        chapter.source.write_text(f"# %%\nfrom popview.common.read_log import record\n\nrecord({name})\n")
        build.execute(chapter)
        assert any(
            file.endswith("caf\\xe9") for file in json.loads(chapter.page.read_text())["metadata"]["popview"]["files"]
        )
        assert build.stale(chapter) == []

    @pytest.mark.slow
    def test_module_that_changes_while_it_runs_makes_the_page_stale(self, root):
        chapter = chapters(root)["products"]
        path = root / "lib" / "popview" / "landscapes.py"
        chapter.source.write_text(PRODUCTS + f"\nopen({str(path)!r}, 'a').write('# more')\n")
        build.execute(chapter)
        assert build.stale(chapter) == ["module popview.landscapes changed"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("_toc.yml", b"format: [\n", r"_toc\.yml is no YAML: while parsing"),
        ("_toc.yml", b"- chapters\n", r"_toc\.yml must hold keys and values"),
        ("_config.yml", "title: Größe\n".encode("latin-1"), r"_config\.yml, line 1: not UTF-8"),
        ("_config.yml", None, r"_config\.yml cannot be read: No such file"),
        (
            "_toc.yml",
            b"format: jb-book\nroot: nowhere\n",
            r"_toc\.yml names nowhere, and there is neither book/nowhere\.md nor",
        ),
    ],
)
def test_settings_that_cannot_be_read_are_one_line(tmp_path, capfd, name, content, told):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "prose.md").write_text("# 1 Prose\n")
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "_config.yml").write_text("title: Small\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: prose\n")
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=told) as error:
        html.render(tmp_path)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_what_takes_longest_is_run_first(root, monkeypatch):
    (root / "book" / "a-draft.py").write_text("")
    (root / "book" / "seconds.toml").write_text("sums = 3\nproducts = 70\n")
    due = []
    monkeypatch.setattr(build, "_run_all", lambda chapters: due.extend(chapters) or ["not run"])
    with pytest.raises(build.ChapterError, match="not run"):
        build.build(root, library=root / "lib")
    assert [chapter.name for chapter in due] == ["a-draft", "products", "sums"]


@pytest.mark.slow
def test_build_runs_what_is_stale_and_warns_of_nothing(fresh, capsys, monkeypatch):
    """The book's own configuration on a book of one prose page and two chapters; then nothing is left to do."""
    project = Path(build.__file__).resolve().parents[3]
    shutil.copy(project / "_config.yml", fresh)
    shutil.copytree(project / "book" / "assets", fresh / "book" / "assets")
    (fresh / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n- file: sums\n- file: products\n- file: how-to-read\n"
    )
    (fresh / "book" / "references.bib").write_text("@misc{a2020,\n author={A, B},\n title={C},\n year={2020}\n}\n")
    home = "# Is it so?\n\nSAM is {cite:t}`a2020`, $x^2$. [](sums.ipynb), {download}`a <data/paper/a.txt>`\n"
    bibliography = "\n```{bibliography}\n```\n"
    (fresh / "book" / "index.md").write_text(home)
    terms = "# Words\n\n```{glossary}\nSAM\n  Sharpness-aware minimization. It looks uphill.\n```\n"
    (fresh / "book" / "how-to-read.md").write_text(terms)
    (fresh / "data" / "paper").mkdir()
    (fresh / "data" / "paper" / "a.txt").write_text("first")
    for chapter in chapters(fresh).values():
        build.execute(chapter)
    with pytest.raises(UsageError, match="jupyter-book gave 1 warnings or errors"):
        build.build(fresh, library=fresh / "lib")  # no bibliography to cite
    capsys.readouterr()
    (fresh / "book" / "index.md").write_text(home + bibliography)
    build.build(fresh, library=fresh / "lib")
    assert capsys.readouterr().out.startswith("fresh chapters: sums, products\nchapters 0.")
    site = fresh / "_build" / "html"
    home_page = (site / "index.html").read_text()
    assert '<html lang="en"' in home_page
    assert '<meta name="description" content="SAM is A [2020], ' in home_page
    assert '<meta property="og:title" content="Is it so?">' in home_page
    assert '<meta name="citation_author" content="' in home_page
    assert '<abbr title="Sharpness-aware minimization">SAM</abbr>' in home_page
    assert "_static/tex-svg.js" in home_page
    assert "_static/tex-svg.js" not in (site / "sums.html").read_text()  # no formula there
    assert "https://" not in "".join(re.findall(r"<(?:script|link|img)[^>]*>", home_page))
    assert "Run this page with other numbers" in (site / "sums.html").read_text()
    assert "../../test-functions.html" in (site / "book" / "run" / "03-landscapes.html").read_text()
    assert not html.render(fresh)
    (fresh / "data" / "paper" / "a.txt").write_text("other")
    assert html.render(fresh)  # a file that a page lets its reader download


class TestStaging:
    def notebook(self, code: str, name: str = "text/html") -> str:
        outputs = [{"output_type": "display_data", "metadata": {}, "data": {name: [code[:9], code[9:]]}}]
        cells = [
            {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "", "outputs": []},
            {"cell_type": "code", "metadata": {}, "source": "", "outputs": outputs},
        ]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})

    @pytest.mark.parametrize("kind", ["text/html", "application/papermill.record/text/html"])
    def test_tables_and_pictures_become_files_with_addresses(self, tmp_path, kind):
        link = page.provenance(pd.DataFrame({"a": [1.5, 2.0]}), "numbers.csv", restarts=3).data
        picture = '<img data-name="x.svg" src="data:image/svg+xml;base64,PHN2Zy8+">'
        (tmp_path / "book" / "run").mkdir(parents=True)
        notebook = tmp_path / "book" / "run" / "sums.ipynb"
        notebook.write_text(self.notebook(link + picture, kind))
        (tmp_path / "book" / "sums.py").write_text(SUMS)
        staging.stage(tmp_path, tmp_path / "stage", {"sums": notebook})
        files = tmp_path / "stage" / "extra" / "files" / "sums"
        assert (files / "numbers.csv").read_text() == "a\n1.5\n2.0\n"
        assert (files / "x.svg").read_text() == "<svg/>"
        staged = json.loads((tmp_path / "stage" / "sums.ipynb").read_text())
        shown = staged["cells"][1]["outputs"][0]["data"][kind]
        assert 'href="files/sums/numbers.csv"' in shown
        assert 'src="files/sums/x.svg"' in shown
        assert "base64" not in shown
        assert staged["cells"][0]["metadata"]["tags"] == ["parameters", "hide-input"]
        assert staged["cells"][-1]["source"].startswith("## Run this page with other numbers")
        assert "`restarts` | int | `5` |  | how many restarts" in staged["cells"][-1]["source"]
        own = nbformat.read(tmp_path / "stage" / "extra" / "notebooks" / "sums.ipynb", as_version=4)
        nbformat.validate(own)
        assert [cell.cell_type for cell in own.cells] == ["markdown", "code", "code"]
        assert own.cells[1].metadata["tags"] == ["parameters"]
        assert own.cells[1].source.startswith("restarts: int = 5  # how many restarts\n")
        assert not any(cell.get("outputs") for cell in own.cells)
        assert "hide-input" not in notebook.read_text()

    def test_a_page_hands_files_to_the_top_of_the_site(self, tmp_path):
        (tmp_path / "book" / "run").mkdir(parents=True)
        notebook = tmp_path / "book" / "run" / "sums.ipynb"
        notebook.write_text(self.notebook(page.site_file("sums.json", "{}\n"), "text/html"))
        staging.stage(tmp_path, tmp_path / "stage", {"sums": notebook})
        assert (tmp_path / "stage" / "extra" / "sums.json").read_text() == "{}\n"
        staged = json.loads((tmp_path / "stage" / "sums.ipynb").read_text())
        assert 'href="sums.json"' in staged["cells"][1]["outputs"][0]["data"]["text/html"]

    def test_the_results_that_ship_are_a_zip_beside_the_page_on_data(self, tmp_path, monkeypatch):
        data = tmp_path / "data"
        for name in ("a/b/c.parquet", "a/b/mine.parquet", "ensembles/laptop/d.csv", "paper/claims.csv", "own/e.csv"):
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_text(name)
        (data / "README.md").write_text("words")
        (data / "manifest.csv").write_text("path,bytes,rows,sha256\na/b/c.parquet,13,1,0\n")
        (tmp_path / "book").mkdir()
        (tmp_path / "book" / "data.md").write_text("# Data\n")
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["data"]))
        file = tmp_path / "stage" / "extra" / "data.zip"
        with zipfile.ZipFile(file) as zipped:
            listed = ["a/b/c.parquet", "ensembles/laptop/d.csv", "manifest.csv", "paper/claims.csv", "README.md"]
            assert sorted(zipped.namelist()) == sorted(f"data/{name}" for name in listed)
            assert zipped.read("data/a/b/c.parquet") == b"a/b/c.parquet"
        before = file.stat().st_mtime_ns
        os.utime(data / "README.md", (1e9, 1e9))
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["data"]))
        assert file.stat().st_mtime_ns == before  # the same bytes, whenever the files are from
        deflated, whole = [], file.read_bytes()
        monkeypatch.setattr(staging, "write_zip", lambda target, contents: deflated.append(write_zip(target, contents)))
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["data"]))
        assert not deflated  # the zip that is there is right
        place = whole.index(b"a/b/c.parquet") + len("a/b/c.parquet")  # where its content begins
        for damaged in (b"", whole[:-1], whole[:place] + bytes(4) + whole[place + 4 :]):
            file.write_bytes(damaged)
            staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["data"]))
            assert file.read_bytes() == whole
        (data / "README.md").write_text("wards")
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["data"]))
        with zipfile.ZipFile(file) as zipped:
            assert zipped.read("data/README.md") == b"wards"
        assert len(deflated) == 4
        (tmp_path / "book" / "other.md").write_text("# Other\n")
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["other"]))
        assert not file.exists()
        (data / "a" / "b" / "c.parquet").unlink()
        with pytest.raises(
            UsageError, match=r"c\.parquet is not there, and data/manifest\.csv lists it: popview verify"
        ):
            staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["data"]))

    def test_every_page_of_the_contents_says_how_to_cite_it(self, tmp_path):
        (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: a\n")
        (tmp_path / "_config.yml").write_text("title: T & U\nauthor: Who\ncopyright: '2026'\n")
        (tmp_path / "book").mkdir()
        for name in ("a", "draft"):
            (tmp_path / "book" / f"{name}.md").write_text(f"# Why *{name}*?\n\nBecause.\n")
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["a", "draft"]))
        assert "Cite" not in (tmp_path / "stage" / "draft.md").read_text()
        text = (tmp_path / "stage" / "a.md").read_text()
        entry = re.search(r"^```bibtex\n(@.*?)^```$", text, re.MULTILINE | re.DOTALL)
        fields = parse_string(entry[1], "bibtex").entries["popview2026-a"].fields
        assert (fields["title"], fields["booktitle"], fields["year"]) == ("Why a?", "T \\& U", "2026")
        assert "url" not in fields  # no address is invented
        (tmp_path / "_config.yml").write_text(
            "title: T\nauthor: Who\ncopyright: '2026'\nhtml: {baseurl: 'https://b.c/d/'}\n"
        )
        staging.stage(tmp_path, tmp_path / "stage", staging.sources(tmp_path, ["a"]))
        assert "url       = {https://b.c/d/a.html}" in (tmp_path / "stage" / "a.md").read_text()

    def test_what_is_unchanged_is_left_alone_and_what_is_gone_is_removed(self, tmp_path):
        (tmp_path / "book").mkdir()
        for name in ("a", "b"):
            (tmp_path / "book" / f"{name}.md").write_text(name)
        folder = tmp_path / "stage"
        staging.stage(tmp_path, folder, staging.sources(tmp_path, ["a", "b"]))
        before = (folder / "a.md").stat().st_mtime_ns
        (tmp_path / "book" / "b.md").unlink()
        staging.stage(tmp_path, folder, staging.sources(tmp_path, ["a"]))
        assert (folder / "a.md").stat().st_mtime_ns == before
        assert not (folder / "b.md").exists()
        with pytest.raises(UsageError, match=r"_toc\.yml names b, and there is neither book/b\.md nor "):
            staging.sources(tmp_path, ["a", "b"])


def test_contents_are_read_in_order(tmp_path):
    assert page_names(tmp_path) == []
    (tmp_path / "_toc.yml").touch()
    assert page_names(tmp_path) == []
    parts = "root: index\nparts:\n- caption: A\n  chapters:\n  - file: b\n    sections:\n    - file: c\n"
    (tmp_path / "_toc.yml").write_text(f"format: jb-book\n{parts}- caption: D\n  chapters:\n  - file: a\n")
    assert page_names(tmp_path) == ["index", "b", "c", "a"]


def test_a_parameters_bar_does_not_end_its_cell_of_the_table():
    words = rerun_section("sums", read_parameters(SUMS, "sums"), "", 61.0, guide=False)
    assert "| `limit` | int \\| None | `None` |" in words
    assert "popview chapter sums -p restarts=5" in words
    assert "git clone" not in words
    assert "with your numbers in about 2 minutes, under" in words
    assert "git clone https://a.b/c && cd popview" in rerun_section(
        "x", {"a": Parameter("a", "int", 1, "")}, "https://a.b/c", None, guide=True
    )


def test_a_pages_head_is_escaped():
    head = web.page_head('A "quote"', "a < b & c", "Book", "Who", "2026")
    assert '<meta name="description" content="a &lt; b &amp; c">' in head
    assert 'content="A &quot;quote&quot;"' in head


def test_only_whole_words_in_capitals_are_abbreviations():
    meanings = dict.fromkeys(["NiG", "SGD", "L-BFGS-GSS", "MBH", "SD", "restart", "A12"], "what it means")
    found = web.abbreviated("NiG-SGD, SGDX, L-BFGS-GSS, MBHs, SD of SGD’s restart, A12", meanings)
    assert [node.astext() for node in found if not isinstance(node, nodes.Text)] == [
        "NiG",
        "L-BFGS-GSS",
        "SD",
        "SGD",
        "A12",
    ]
    assert "".join(node.astext() for node in found) == "NiG-SGD, SGDX, L-BFGS-GSS, MBHs, SD of SGD’s restart, A12"
    assert [node.astext() for node in web.abbreviated("none", {})] == ["none"]
