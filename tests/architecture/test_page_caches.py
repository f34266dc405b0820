"""What a page caches is seen by all sessions: its key holds the release, and nothing it reaches reads who looks, what they chose, or when.

So what depends on somebody's role can only come in as an argument, and an argument is part of the key.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
CACHES = {"cache_data", "cache_resource", "lru_cache", "cached", "cache"}
LIMITS = {"max_entries", "ttl", "hash_funcs"}
# Whatever tells who looks, what they have chosen, or when.
AROUND = {"identity", "session_state", "user", "context", "query_params", "load_settings", "environ", "now", "today"}
# Not part of the key themselves; what decides what they hold is: the state of the store, the release.
UNHASHED = {"_store": "state", "_catalogue": "release"}


@dataclass(frozen=True)
class Module:
    """A source with its functions, methods among them, by name, and what each imported name stands for: a module, or a name in one."""

    tree: ast.Module
    functions: dict[str, ast.FunctionDef]
    classes: dict[str, ast.ClassDef]
    imported: dict[str, tuple[str, str]]


def parsed(source: str) -> Module:
    """The source, taken apart."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return Module(
        tree,
        {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)},
        {node.name: node for node in nodes if isinstance(node, ast.ClassDef)},
        {one.asname or one.name: (node.module or "", one.name) for node in imports for one in node.names},
    )


def problems(sources: Mapping[str, str]) -> list[str]:
    """What is wrong with the caches of these modules, by dotted name."""
    modules = {name: parsed(source) for name, source in sources.items()}
    return [f"{name}: {problem}" for name in modules for problem in _of_module(name, modules)]


def _of_module(name: str, modules: Mapping[str, Module]) -> Iterator[str]:
    module = modules[name]
    allowed = set()
    for function in module.functions.values():
        for decorator in function.decorator_list:
            allowed |= {id(part) for part in ast.walk(decorator)}
            if _named(decorator.func if isinstance(decorator, ast.Call) else decorator) in CACHES:
                yield from (
                    f"{function.name} {problem}" for problem in (*_of_key(function, decorator), *_around(name, function.name, modules))
                )
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute) and _named(node) in CACHES and id(node) not in allowed:
            yield f"line {node.lineno}: {_named(node)} is only for decorators with the release in their key"


def _of_key(function: ast.FunctionDef, decorator: ast.expr) -> list[str]:
    keywords = {keyword.arg: keyword.value for keyword in decorator.keywords} if isinstance(decorator, ast.Call) else {}
    found = [f"has no {limit}" for limit in sorted(LIMITS - keywords.keys())]
    if "hash_funcs" in keywords and _named(keywords["hash_funcs"]) != "BY_RELEASE":
        found.append("hash_funcs is not BY_RELEASE")
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    if not any(one.arg == "release" and one.annotation is not None and _named(one.annotation) == "Release" for one in parameters):
        found.append("has no `release: Release` in its key")
    names = {one.arg for one in parameters}
    return found + [
        f"has {name}, which is not part of the key" for name in names if name.startswith("_") and UNHASHED.get(name) not in names
    ]


def _around(module: str, function: str, modules: Mapping[str, Module]) -> list[str]:
    """What it reads besides its arguments, itself or in whatever it reaches in these modules."""
    waiting, reached, found = [(module, function)], set(), set()
    while waiting:
        place = waiting.pop()
        if place in reached:
            continue
        reached.add(place)
        for node in _body(place, modules):
            if _named(node) in AROUND:
                found.add(f"reads {_named(node)} in {place[0]}.{place[1]}, which is not part of the key")
            waiting += _meant(node, place[0], modules)
    return sorted(found)


def _body(place: tuple[str, str], modules: Mapping[str, Module]) -> Iterator[ast.AST]:
    """All nodes of a function's statements, or of those of a class's methods; nothing where the place is neither."""
    module, name = modules[place[0]], place[1]
    inside = [node for node in ast.walk(module.classes[name]) if isinstance(node, ast.FunctionDef)] if name in module.classes else []
    for function in [*inside, *([module.functions[name]] if name in module.functions else [])]:
        for statement in function.body:
            yield from ast.walk(statement)


def _meant(node: ast.AST, name: str, modules: Mapping[str, Module]) -> Iterator[tuple[str, str]]:
    """The functions and classes of these modules that a name, or an attribute of anything, may stand for."""
    yield name, _named(node)
    if isinstance(node, ast.Name) and node.id in modules[name].imported:
        origin, what = modules[name].imported[node.id]
        if origin in modules:
            yield origin, what
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules[name].imported:
        origin = ".".join(modules[name].imported[node.value.id])
        if origin in modules:
            yield origin, node.attr


def _named(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_every_cache_of_a_page_has_an_end_and_a_key_that_holds_all_that_its_rows_depend_on() -> None:
    files = sorted((ROOT / "dashboards").rglob("*.py"))
    sources = {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8") for path in files}

    assert sum("@st.cache_" in source for source in sources.values()) >= 5
    assert problems(sources) == []


HEAD = "from x import y\n@st.cache_data(max_entries=1, ttl=1, hash_funcs=BY_RELEASE)\n"


def test_a_key_without_release_or_end_is_found() -> None:
    assert problems({"m": f"{HEAD}def f(release: Release, scope): return read(release, scope)"}) == []
    assert problems({"m": "@st.cache_data\ndef f(release: Release): pass"}) == [
        "m: f has no hash_funcs", "m: f has no max_entries", "m: f has no ttl",
    ]  # fmt: skip
    assert problems({"m": f"{HEAD}def f(day): pass"}) == ["m: f has no `release: Release` in its key"]
    assert problems({"m": f"{HEAD}def f(release: Release, _scope): pass"}) == ["m: f has _scope, which is not part of the key"]
    assert problems({"m": "f = st.cache_resource(g)"}) == ["m: line 1: cache_resource is only for decorators with the release in their key"]


def test_a_cache_that_would_show_one_session_what_another_may_see_is_found_however_deep_it_lies() -> None:
    cached = {
        "d.own": f"{HEAD}def f(release: Release): return g()\ndef g(): return identity.current().operator",
        "d.by_name": f"from d.who import rights\n{HEAD}def f(release: Release): return rights(release)",
        "d.by_module": f"from d import who\n{HEAD}def f(release: Release): return who.rights(release)",
        "d.inside": f"{HEAD}def f(release: Release):\n    from d.between import rows as told\n    return told(release)",
        "d.by_class": f"from d.who import Looker\n{HEAD}def f(release: Release): return Looker().role",
        "d.argument": f"from d.who import all_rows\n{HEAD}def f(release: Release, scope): return all_rows(release, scope)",
    }
    others = {
        "d.between": "from d.who import rights\ndef rows(release): return rights(release)",
        "d.who": "def rights(release): return st.session_state['role']\ndef all_rows(release, scope): return release\n"
        "class Looker:\n    @property\n    def role(self): return load_settings().operator",
    }

    assert problems(cached | others) == [
        "d.own: f reads identity in d.own.g, which is not part of the key",
        "d.by_name: f reads session_state in d.who.rights, which is not part of the key",
        "d.by_module: f reads session_state in d.who.rights, which is not part of the key",
        "d.inside: f reads session_state in d.who.rights, which is not part of the key",
        "d.by_class: f reads load_settings in d.who.Looker, which is not part of the key",
    ]
