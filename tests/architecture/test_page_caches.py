"""What a page caches is seen by all sessions, so its key holds the release, and the scope of whoever looks where that matters."""

from __future__ import annotations

import ast
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
CACHES = {"cache_data", "cache_resource"}
LIMITS = {"max_entries", "ttl", "hash_funcs"}
# Whatever tells who looks, what they have chosen, or when: it comes as an argument, which is part of the key.
AROUND = {"identity", "session_state", "user", "context", "query_params", "load_settings", "environ", "now", "today"}
# Not part of the key themselves; what decides what they hold is: the state of the store, the release.
UNHASHED = {"_store": "state", "_catalogue": "release"}


def problems(source: str) -> list[str]:
    """What is wrong with the caches of a module."""
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    decorators = {id(part) for one in functions.values() for decorator in one.decorator_list for part in ast.walk(decorator)}
    found = []
    for function in functions.values():
        for decorator in function.decorator_list:
            if _is_cache(decorator):
                found += [f"{function.name}: {problem}" for problem in (*_of_key(function, decorator), *_of_body(function, functions))]
    caches = [node for node in ast.walk(tree) if _named(node) in CACHES | {"lru_cache", "cached"} and id(node) not in decorators]
    found += [f"line {node.lineno}: {_named(node)} is only for decorators with the release in their key" for node in caches]  # type: ignore[attr-defined]
    return found


def _of_key(function: ast.FunctionDef, decorator: ast.expr) -> list[str]:
    keywords = {keyword.arg: keyword.value for keyword in decorator.keywords} if isinstance(decorator, ast.Call) else {}
    found = [f"has no {limit}" for limit in sorted(LIMITS - keywords.keys())]
    if "hash_funcs" in keywords and _named(keywords["hash_funcs"]) != "BY_RELEASE":
        found.append("hash_funcs is not BY_RELEASE")
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    if not any(one.arg == "release" and one.annotation is not None and _named(one.annotation) == "Release" for one in parameters):
        found.append("has no `release: Release` in its key")
    names = {one.arg for one in parameters}
    return found + [f"{name} is not part of the key" for name in names if name.startswith("_") and UNHASHED.get(name) not in names]


def _of_body(function: ast.FunctionDef, functions: dict[str, ast.FunctionDef]) -> list[str]:
    """What it or a function of its module that it calls reads besides its arguments."""
    waiting, reached = [function.name], set()
    while waiting:
        name = waiting.pop()
        if name in functions and name not in reached:
            reached.add(name)
            waiting += [_named(node) for statement in functions[name].body for node in ast.walk(statement)]
    parts = [node for name in reached for statement in functions[name].body for node in ast.walk(statement)]
    return [f"reads {name}, which is not part of the key" for name in sorted({_named(node) for node in parts} & AROUND)]


def _is_cache(decorator: ast.expr) -> bool:
    return _named(decorator.func if isinstance(decorator, ast.Call) else decorator) in CACHES | {"lru_cache", "cached"}


def _named(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_every_cache_of_a_page_holds_release_and_scope_in_its_key_and_has_an_end() -> None:
    files = sorted(DASHBOARDS.rglob("*.py"))
    cached = [path for path in files if "@st.cache_" in path.read_text(encoding="utf-8")]

    assert len(cached) >= 5
    assert [f"{path.name}: {problem}" for path in files for problem in problems(path.read_text(encoding="utf-8"))] == []


def test_a_cache_that_would_show_one_session_what_another_may_see_is_found() -> None:
    head = "@st.cache_data(max_entries=1, ttl=1, hash_funcs=BY_RELEASE)\n"

    assert problems(f"{head}def f(release: Release, scope): return read(release, scope)") == []
    assert problems("@st.cache_data\ndef f(release: Release): pass") == [
        "f: has no hash_funcs", "f: has no max_entries", "f: has no ttl",
    ]  # fmt: skip
    assert problems(f"{head}def f(day): pass") == ["f: has no `release: Release` in its key"]
    assert problems(f"{head}def f(release: Release, _scope): pass") == ["f: _scope is not part of the key"]
    assert problems(f"{head}def f(release: Release): return g()\ndef g(): return identity.current().scope") == [
        "f: reads identity, which is not part of the key"
    ]
    assert problems("f = st.cache_resource(g)") == ["line 1: cache_resource is only for decorators with the release in their key"]
