"""Router of the pages: `streamlit run dashboards/app.py`, or `ordercast dashboards`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import streamlit as st

from dashboards import identity
from dashboards.components.who_bar import closed_door, watch, who_bar
from dashboards.pages import PAGES

# Of our own: a Material symbol as the icon would be fetched from another host.
HERE = Path(__file__).parent
st.set_page_config(page_title="Ordercast", page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state=250)
st.logo(str(HERE / "logo.svg"), size="large")
who = identity.look()
page = st.navigation(
    {
        group: [
            st.Page(spec.path, title=spec.title, icon=f":material/{spec.icon}:", url_path=spec.name, default=spec is PAGES[0])
            for spec in specs
        ]
        for group, specs in groupby(PAGES, key=lambda spec: spec.group)
    },
    position="sidebar" if who.closed is None else "hidden",
)
watch(who)
if who.closed is None:
    who_bar(who)
    page.run()
else:
    closed_door(who)
