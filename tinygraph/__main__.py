"""``python -m tinygraph`` is ``tinygraph``."""

from tinygraph.cli import main

raise SystemExit(main())
