"""Router of the pages: `streamlit run dashboards/app.py`, or `ordercast dashboards`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
VIEWS = HERE / "views"

st.set_page_config(page_title="Ordercast", page_icon=":material/package_2:", layout="wide", initial_sidebar_state=220)
st.logo(str(HERE / "logo.svg"), size="large")
st.navigation(
    {
        "Manage": [st.Page(VIEWS / "overview.py", title="Overview", icon=":material/monitoring:", url_path="overview", default=True)],
        "Plan": [st.Page(VIEWS / "reorder.py", title="Reorder worklist", icon=":material/shopping_cart:", url_path="reorder")],
    }
).run()
