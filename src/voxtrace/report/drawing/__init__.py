"""The figures of a report, as SVG. matplotlib draws; it is needed by nothing else in voxtrace."""
