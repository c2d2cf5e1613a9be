"""`make demo`: a real scan, one box, a mask. python -m voxtrace.demo [-o FOLDER]

The scan comes with nibabel: the first volume of its example MR (128 x 96 x 24 voxels of a head). The work is done by
the command line itself, with the weights that come with voxtrace.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from voxtrace.cli import main as voxtrace
from voxtrace.cli.outputs import make_folder
from voxtrace.errors import InputError, VoxtraceError

FILE = ("tests", "data", "example4d.nii.gz")
BOX = "12:2,31,91,97"  # the brain on slice 12; the slices above and below are found from there
WHAT = "the brain"


def example_scan(folder: Path) -> Path:
    """Write nibabel's example as `folder`/scan.nii.gz, with its own geometry; returns the path."""
    import nibabel

    source = Path(nibabel.__file__).parent.joinpath(*FILE)
    if not source.is_file():
        raise InputError(f"nibabel's example {source} is missing; pip install --force-reinstall nibabel")
    make_folder(folder)
    path = folder / "scan.nii.gz"
    nibabel.load(source).slicer[..., 0].to_filename(path)  # type: ignore[attr-defined]
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m voxtrace.demo", description="A real scan, one box, a mask.")
    parser.add_argument("-o", "--out", type=Path, default=Path("demo_output"), help="folder for everything it writes")
    folder = parser.parse_args(argv).out
    try:
        scan = example_scan(folder)
    except (VoxtraceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = ["segment", str(scan), "-o", str(folder / "mask.nii.gz"), "--box", BOX]
    command += ["--preview", str(folder / "preview.png")]
    print(f"{WHAT.capitalize()} in a head MR, marked with one box on one slice:\n\n  voxtrace {' '.join(command)}\n")
    code = voxtrace([*command, "--overwrite"])
    if code == 0:
        print(f"\nLook at {folder / 'preview.png'}, or open {scan} with {folder / 'mask.nii.gz'} in any viewer.")
    return code


if __name__ == "__main__":
    sys.exit(main())
