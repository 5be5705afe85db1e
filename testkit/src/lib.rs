//! Test aids of the workspace; not published.
