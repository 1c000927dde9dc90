"""One training of many: its evaluations are looked at as they come, and it can be given up.

    python -m finetune.training.trial FOLDER LAUNCHER NICE

launches it, and ends it in order at the end of its standard input: when it is given up, and also when whoever looks on
was killed. Launching lasts as long as the training, so that only a process of its own leaves somebody free to look on.
Knows nothing of why a training is given up.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

from finetune.errors import FinetuneError
from finetune.training.errors import TrainingError
from finetune.training.job import EVENTS, LOG
from finetune.training.launcher import launch

# Between two looks. An evaluation takes much longer.
LOOK_EVERY_S = 0.5

Look = Callable[[Sequence[float]], bool]


def train(folder: Path, launcher: str, *, nice: int, look: Look) -> bool:
    """Train what a folder asks for; returns whether it came to its end, and was not given up.

    Args:
        launcher: As `finetune.settings.TrainSettings` describes it.
        nice: How far the training stands back behind other processes, 0 to 19.
        look: Told the held-out bits per byte of all evaluations so far, whenever there is a new one; returns whether
            the training is to be given up.

    Raises:
        TrainingError: The training has failed.
    """
    arguments = [sys.executable, "-m", __name__, str(folder), launcher, str(nice)]
    with subprocess.Popen(  # noqa: S603 - this module
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            is_given_up = _is_given_up(process, folder, look)
        finally:
            process.stdin.close()  # upon which it ends, if it has not
            said = process.stdout.read().strip()
    if not is_given_up and process.returncode:
        raise TrainingError(said or f"the training's process has ended with status {process.returncode}")
    return not is_given_up


def _is_given_up(process: "subprocess.Popen[str]", folder: Path, look: Look) -> bool:
    """Look on until the training ends by itself, or is to be given up."""
    seen, has_ended = 0, False
    while not has_ended:
        has_ended = _ends(process)
        found = evaluations(folder)
        if len(found) > seen and look(found) and not has_ended:
            return True
        seen = len(found)
    return False


def _ends(process: "subprocess.Popen[str]") -> bool:
    """Whether a process ends before the next look."""
    try:
        process.wait(LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def evaluations(folder: Path) -> list[float]:
    """The held-out bits per byte that a training has noted after steps of its own, in their order."""
    try:
        text = (folder / EVENTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    # The last line may be half written; after a kill, a step may be there twice.
    noted = [json.loads(line) for line in text.split("\n")[:-1]]
    by_step = {each["step"]: each["bits_per_byte"] for each in noted if each["event"] == "evaluation" and each["step"]}
    return [by_step[step] for step in sorted(by_step)]


def main(arguments: Sequence[str]) -> int:
    """Launch a training; returns the exit code. Why it has failed is said on stdout, alone there."""
    folder, launcher, nice = arguments
    # Not set where a shell has put us into the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    try:
        launch(Path(folder), launcher, nice=int(nice), log=Path(folder) / LOG)
    except FinetuneError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _interrupt_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
