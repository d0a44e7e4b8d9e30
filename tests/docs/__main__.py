"""Write the parts of docs/ that come from the code: `python -m tests.docs`."""

from __future__ import annotations

from tests.docs.generated import renewed


def main() -> None:
    """Write the pages that differ."""
    for path, (old, new) in renewed().items():
        if old != new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
