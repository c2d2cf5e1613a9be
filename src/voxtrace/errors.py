"""Everything voxtrace raises on purpose. A user's mistake ends in one of these: the thing, the value, the way out.

VoxtraceError
├── InputError              a file or array that cannot be used as it is
│   └── GeometryError       it can be read, but its geometry contradicts itself or another file's
├── PromptError             a prompt that does not fit the scan it is given for
├── ModelError              an unknown model, or one that cannot do what is asked
│   └── CheckpointError     a weights file that is missing, damaged, unsafe or of another net
├── OutputError             a result that cannot be written, or would overwrite an input
├── TrainingError           a training that cannot begin or go on as asked
│   └── TrainingStopped     a training that was interrupted and can go on
├── SandboxError            no sandbox works on this machine, or one that was made failed
├── ClusterError            a cluster that cannot be reached, or whose workers do not start
│   └── ClusterLost         one that was joined and is gone
├── CaseMissingError        asked-for data that is not there (a manifest's case, a set)
└── MissingDependencyError  an optional package is not installed; the text names the pip command
"""


class VoxtraceError(Exception):
    """Base of all errors raised on purpose; the command line prints its text and exits with `exit_code`."""

    exit_code = 2


class InputError(VoxtraceError):
    """A file or array cannot be used: missing, empty, truncated, of the wrong kind or dimension."""


class GeometryError(InputError):
    """Geometry contradicts itself (missing slices, mixed orientations) or another file's (mask and scan differ)."""


class PromptError(VoxtraceError):
    """A prompt lies outside the scan, is inverted or of zero size, or means nothing for this kind of input."""


class ModelError(VoxtraceError):
    """An unknown model name, or a model that lacks the ability asked for."""


class CheckpointError(ModelError):
    """A weights file is missing, damaged, unsafe (a pickle with code in it) or belongs to another net."""


class OutputError(VoxtraceError):
    """A result cannot be written: full disk, no permission, unknown format, or it would overwrite an input."""


class TrainingError(VoxtraceError):
    """A training cannot begin or go on as asked: another recipe's state, too little memory, no usable data."""


class TrainingStopped(TrainingError):  # noqa: N818  it is no fault
    """A training was interrupted; its state is written, and the same command goes on."""

    exit_code = 130


class SandboxError(VoxtraceError):
    """A challenge's submissions cannot be run apart from the rest of this machine as asked."""


class ClusterError(VoxtraceError):
    """A cluster cannot be reached, is of another version, has not what is asked for, or its workers do not start."""


class ClusterLost(ClusterError):  # noqa: N818  it is no fault
    """A cluster that was joined is gone; what it finished is kept, and the same command goes on."""


class CaseMissingError(VoxtraceError):
    """A case, set or file that a manifest or command names is not there."""


class MissingDependencyError(VoxtraceError):
    """An optional package is not installed; the message names the pip command that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}: pip install 'voxtrace[{extra}]'")
