"""Families: one declarative file each. Nothing outside this package names one."""

from weft.models.blueprint import Blueprint
from weft.models.family import FAMILIES, Family, Reads, reading

__all__ = ["FAMILIES", "Blueprint", "Family", "Reads", "reading"]
