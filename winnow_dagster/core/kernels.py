"""Classes of kernels. They tell machines of clouds and CI services from those of people.

Winnow stores the class of a kernel, and never the kernel: exact releases could identify a machine.
"""

from __future__ import annotations

VERSION = 2
"""The version of CLASSES and of the stored values. Increase it with each change: stored days of another version are
then unknown. Version 2 added the Python."""

OTHER = "other"
"""The class of kernels that no pattern matches."""

CLASSES = (
    ("azure", r"-azure"),  # GitHub's runners for Linux too
    ("aws", r"-aws|\.amzn[0-9]"),
    ("google", r"-gcp|-gke|^[0-9.]+\+$"),
    ("other cloud", r"-oracle|\.el[0-9]+uek|-ibm|-kvm|-cloud-"),
    ("docker desktop", r"linuxkit"),
    ("wsl", r"[Mm]icrosoft"),
    ("windows server", r"^20[0-9][0-9]Server"),
    ("windows", r"^(XP|Vista|7|8|8\.1|10|11)$"),
    ("macos", r"^(1[5-9]|2[0-9])\.[0-9]+\.[0-9]+$"),  # Darwin's releases
    ("red hat", r"\.(el|fc)[0-9]+"),
    ("debian", r"\+deb[0-9]|-(amd64|arm64)$"),
    ("ubuntu", r"-(generic|lowlatency)"),
)
"""Each class with a regular expression. A kernel has the first class whose expression matches a part of its release.

RE2 and the engine of polars both evaluate the expressions, so they use only what the two have in common.
"""
