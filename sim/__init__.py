"""A local Alibaba Cloud: ECS, STS and the metadata service on one port of this machine.

Start it with `python -m sim serve`. It shares no code with the rest of the project, so that a
mistake in our reading of the cloud cannot hide in both.
"""
