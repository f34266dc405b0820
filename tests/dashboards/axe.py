"""axe-core's verdict on a drawn page; its script comes with the wheel `axe-playwright-python`, from no host."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SCRIPT: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# What Streamlit 1.67 and its charts themselves draw so: by rule, and by the only elements that are let off, each with its reason.
STREAMLITS_OWN: Final = {
    # Groups of the navigation are a div between the list and its items, in both rules; without groups there would be none.
    "list": "[data-testid=stSidebarNavItems]",
    "listitem": "[data-testid=stSidebarNavItems] li",
    # A layer of a chart in which nothing is to be drawn, such as the mark that waits for a pointer: an empty group shows nothing to name.
    "svg-img-alt": "g.role-mark:empty",
}
_RUN: Final = """async ([own]) => {
  const found = await axe.run(document, {resultTypes: ['violations'], runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}});
  const said = [];
  for (const violation of found.violations.filter(one => ['serious', 'critical'].includes(one.impact))) {
    for (const node of violation.nodes) {
      const element = document.querySelector(node.target[0]);
      if (element && own[violation.id] && element.matches(own[violation.id])) continue;
      const why = [...node.any, ...node.all, ...node.none].map(check => check.message).join('; ');
      said.push(`${violation.id}: ${node.html.slice(0, 160)} (${why})`);
    }
  }
  return said;
}"""


def serious_violations(page: Page) -> list[str]:
    """What axe finds serious or critical by WCAG 2.1 A and AA, a sentence for each element; what is Streamlit's own is left out."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SCRIPT)
    found: list[str] = page.evaluate(_RUN, [STREAMLITS_OWN])
    return found
