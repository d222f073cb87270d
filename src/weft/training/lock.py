"""One run at a time in a folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from weft.outputs import locked
from weft.training.checkpoints import FOLDER, SaveFailed
from weft.training.world import World


@contextmanager
def held(folder: Path | None, world: World) -> Iterator[None]:
    """Inside it nobody else trains into `folder`: ValueError where somebody does, SaveFailed where nobody could.

    The checkpoints in it are locked, by the main process; whoever calls the trainer may have locked the folder itself.
    A folder that was not there, and received nothing, is gone afterwards.
    """
    with ExitStack() as stack:

        def hold() -> None:
            if folder is None or not world.main:
                return
            try:
                if not folder.exists():
                    stack.callback(_remove_empty, folder)
                stack.enter_context(locked(folder / FOLDER))
            except OSError as error:
                raise SaveFailed(
                    f"{folder} cannot be written: {error.strerror or error}; name a folder that can, or make room"
                ) from error

        world.agreed(hold)
        yield


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty
        folder.rmdir()
