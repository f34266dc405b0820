"""Property tests judge results, not the speed of the machine they run on."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
