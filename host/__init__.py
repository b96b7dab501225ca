"""All effects on the Linux node: the only place for subprocess, mount, /proc and /sys."""
