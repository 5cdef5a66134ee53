"""Where the project and its vectors are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
SINE = VECTORS / "cli" / "sine.keras"
