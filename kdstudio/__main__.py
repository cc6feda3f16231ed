"""`python -m kdstudio`."""

import sys

from kdstudio.cli import main

sys.exit(main())
