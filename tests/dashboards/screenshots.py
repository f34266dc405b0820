"""Pictures of every page, wide and as on a phone, light and dark: `make screenshots`.

`python -m tests.dashboards.screenshots HOME FOLDER [PAGE ...]`: a home folder with a published release, where the pictures go, and
which pages; default is all.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from dashboards.pages import PAGES
from tests.dashboards.serving import browsing, free_port, served, settle

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS: Final = {"wide": 1400, "phone": 390}
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_HIGHEST: Final = 12_000


def take_all(home: Path, folder: Path, names: list[str]) -> None:
    """`FOLDER/PAGE-wide-light.png` and so on, each as high as the page's content; what was there under the name is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    who = {name: os.environ[name] for name in ("ORDERCAST_OPERATOR",) if name in os.environ}
    with served(home, free_port(), who) as address:
        for theme in THEMES:
            for width_name, width in WIDTHS.items():
                with browsing(width=width, theme=theme) as browser:
                    page = browser.new_page()
                    for name in names:
                        page.goto(f"{address}/{'' if name == PAGES[0].name else name}")  # the first page has no path of its own
                        take(page, folder / f"{name}-{width_name}-{theme}.png", width=width)


def take(page: Page, path: Path, *, width: int) -> None:
    """The whole content of the page, which scrolls inside its window."""
    page.set_viewport_size({"width": width, "height": 900})
    settle(page)
    height = int(page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight"))
    page.set_viewport_size({"width": width, "height": min(max(height + 20, 900), _HIGHEST)})
    page.wait_for_timeout(700)
    page.screenshot(path=path)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    take_all(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:] or [page.name for page in PAGES])
