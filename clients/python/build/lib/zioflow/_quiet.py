"""Imported before grpc: keeps its C core from writing to standard error.

What it would log is in the errors that are raised. Who wants it all the same sets
GRPC_VERBOSITY.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
