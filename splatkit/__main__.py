"""``python -m splatkit`` is the same as ``splatkit``."""

import sys

from splatkit.cli import main

sys.exit(main())
