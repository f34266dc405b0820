"""The documentation as a site that needs no network, with every internal link and anchor looked at.

python -m checks.site               build it in site/; exit code 1 where something leads nowhere
"""

from __future__ import annotations

import argparse
import inspect
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).resolve().parents[1]
LIBRARIES: Final = ("forecasting", "inventory")
OUTSIDE: Final = ("README.md", "CONTRIBUTING.md")  # read beside the site, and link into it
LOADED_BY: Final = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}  # a browser fetches these unasked


class Page(HTMLParser):
    """What a built page has to be linked to by (ids), what it links to, and what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and addresses of one tag."""
        values = {name: value for name, value in attrs if value}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if (attribute := LOADED_BY.get(tag)) and attribute in values and values.get("rel") != "canonical":
            self.loads.append(values[attribute])


def assemble(folder: Path) -> None:
    """The sources of the site stand in `folder`: docs/, and what is generated from other places of the checkout."""
    shutil.copy(ROOT / "zensical.toml", folder)
    docs = folder / "docs"
    shutil.copytree(ROOT / "docs", docs)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (docs / "changelog.md").write_text(changes.replace("](docs/", "]("), encoding="utf-8")
    (docs / "python.md").write_text("\n".join(_python_page()) + "\n", encoding="utf-8")
    (docs / "decisions/index.md").write_text("\n".join(_decision_log(docs / "decisions")) + "\n", encoding="utf-8")


def _python_page() -> Iterator[str]:
    yield "# Python\n\nTwo libraries work on frames alone, without a store: `forecasting` and `inventory`. What each exports:"
    for name in LIBRARIES:
        library = import_module(name)
        yield f"\n## {name}\n\n{inspect.getdoc(library)}"
        for member in library.__all__:
            what = getattr(library, member)
            first = (inspect.getdoc(what) or "").split("\n\n")[0]
            yield f"\n### {name}.{member}\n\n```python\n{_signature(member, what)}\n```\n\n{first}"


def _signature(name: str, what: Callable[..., object]) -> str:
    """How it is called, a parameter a line."""
    signature = inspect.signature(what)
    lines = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        lines.append(f"{parameter.name}: {_type_name(parameter.annotation)}{default}")
    returned = "" if inspect.isclass(what) else f" -> {_type_name(signature.return_annotation)}"
    return "\n".join((f"{name}(", *(f"    {line}," for line in lines), f"){returned}"))


def _type_name(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _decision_log(folder: Path) -> Iterator[str]:
    yield "# Decision log\n\nWhat was decided about the design, why, and what it costs. The newest last.\n"
    for path in sorted(folder.glob("0*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        yield f"- [{path.stem[:4]}]({path.name}) {re.sub(r'^[0-9]+[.] ', '', title)}"


@dataclass(frozen=True, slots=True)
class Site:
    """A built site: its folder, and its pages by path."""

    folder: Path
    pages: Mapping[Path, Page]

    @classmethod
    def read(cls, folder: Path) -> Site:
        """The site that stands in a folder."""
        found = (path for path in sorted(folder.rglob("*.html")) if path.name != "404.html")
        return cls(folder, {path: Page(path.read_text(encoding="utf-8")) for path in found})

    def problems(self) -> Iterator[str]:
        """Every link that leads nowhere, everything that is loaded from another host, and every page that nothing leads to."""
        reached = {self.folder / "index.html"}
        for path, page in self.pages.items():
            name = path.relative_to(self.folder)
            yield from (f"{name} loads {problem}" for address in page.loads for problem in self._load_problem(path, address))
            targets = [(address, *_target(path, address)) for address in page.links if not _is_elsewhere(address)]
            reached |= {target for _, target, _ in targets if target != path}
            yield from (
                f"{name} links to {address}, {wrong}" for address, target, anchor in targets if (wrong := self.lacks(target, anchor))
            )
        yield from (
            f"{path.relative_to(self.folder)} is linked from nowhere; name it in zensical.toml" for path in self.pages.keys() - reached
        )

    def lacks(self, target: Path, anchor: str) -> str:
        """What is missing of a file and a place in it; empty where nothing is."""
        if not target.exists():
            return "which is not there"
        return "which has no such heading" if anchor and target in self.pages and anchor not in self.pages[target].ids else ""

    @staticmethod
    def _load_problem(path: Path, address: str) -> Iterator[str]:
        if urlsplit(address).netloc:
            yield f"{address} from another host"
        elif not urlsplit(address).scheme and not _target(path, address)[0].exists():
            yield f"{address}, which is not there"


def _is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.scheme or parts.netloc)


def _target(path: Path, address: str) -> tuple[Path, str]:
    """The file that a link on a page means, and the place in it."""
    parts = urlsplit(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return (target / "index.html" if target.is_dir() else target), unquote(parts.fragment)


def problems_outside(site: Site, folder: Path) -> Iterator[str]:
    """Every link of README.md and CONTRIBUTING.md in `folder` that leads nowhere, or to no heading of the site."""
    for name in OUTSIDE:
        for address in re.findall(r"\]\(([^)\s]+)\)", (folder / name).read_text(encoding="utf-8")):
            if _is_elsewhere(address):
                continue
            target, anchor = _target(folder / name, address)
            wrong = "" if target.exists() else "which is not there"
            if anchor and target.suffix == ".md" and target.is_relative_to(folder / "docs"):
                wrong = wrong or site.lacks((site.folder / target.relative_to(folder / "docs")).with_suffix(".html"), anchor)
            if wrong:
                yield f"{name} links to {address}, {wrong}"


def render(folder: Path) -> list[str]:
    """The site that `assemble` prepared stands in `folder`/site; what is wrong with it, a line each."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / "zensical.toml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing from outside
    if ended.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", ended.stdout + ended.stderr)
        places = re.findall(r"Warning: (.*)\n.*\[ (\S+) \]", said)
        return [f"{place}: {what}" for what, place in places] or [said]
    site = Site.read(folder / "site")
    return [*site.problems(), *problems_outside(site, ROOT)]


def build(to: Path) -> list[str]:
    """The site stands in `to`, where nothing is wrong with it; otherwise `to` stays as it was, and what is wrong is a line each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        assemble(folder)
        found = render(folder)
        if not found:
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(folder / "site", to)
        return found


def main() -> int:
    """Build the site and say what is wrong with it."""
    parser = argparse.ArgumentParser(description="Build the documentation and look at its links.")
    parser.add_argument("--to", type=Path, default=ROOT / "site")
    to = parser.parse_args().to
    found = build(to)
    for problem in found:
        sys.stdout.write(f"{problem}\n")
    if not found:
        sys.stdout.write(
            f"The site stands in {to.name}/, every link leads somewhere. Open {to.name}/index.html; for its search, serve the folder:\n"
            f"  python3 -m http.server --bind 127.0.0.1 --directory {to.name}\n"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
