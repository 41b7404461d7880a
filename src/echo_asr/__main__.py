"""`python -m echo_asr` is the command `echo-asr`."""

import sys

from echo_asr.cli import main

sys.exit(main())
