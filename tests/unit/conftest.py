"""Settings of the unit tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes depends on what else the machine does; that says nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
