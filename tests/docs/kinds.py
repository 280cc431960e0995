"""The kinds of pages: each page of the site stands in one section of `mkdocs.yml` and says its kind in its first lines."""

RUN = ("docs/troubleshooting.md",)
