"""`python -m router` is the command `signpost`."""

from router.cli import main

if __name__ == "__main__":
    main()
