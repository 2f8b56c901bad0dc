"""The command `ganlab`, and `python -m ganlab`."""

from __future__ import annotations

from ganlab.run.signals import end_on_signals


def main() -> None:
    """Run the command line, where a signal has an answer before the rest is imported, which takes far longer."""
    end_on_signals()
    from ganlab.cli import main
    from ganlab.hardware.load import yielding_threads

    with yielding_threads(lasting=True):
        main()


if __name__ == "__main__":
    main()
