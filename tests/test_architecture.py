"""The map is true: every module has its place in ARCHITECTURE.md, and what it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "voxtrace"


def test_every_module_is_named_in_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    words = set(re.findall(r"[a-z0-9_]+", text))
    modules = [p for p in PACKAGE.rglob("*.py") if not p.name.startswith("__")]
    missing = sorted(str(p.relative_to(PACKAGE)) for p in modules if p.stem not in words)
    assert not missing, f"not in ARCHITECTURE.md: {missing}"


def test_every_link_of_the_documents_leads_to_a_file():
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text()):
            assert link.startswith("http") or (ROOT / link).exists(), f"{document} links to {link}"
