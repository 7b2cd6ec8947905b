"""An artifact as files: LaTeX, Markdown, CSV, PNG and PDF."""
