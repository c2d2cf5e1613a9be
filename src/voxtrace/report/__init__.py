"""A report on measurements, from the folders they were written to: one HTML file and one Markdown file."""
