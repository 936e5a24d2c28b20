"""Endpoints that misbehave: a port in front of a real one, through which traffic passes until told otherwise.

What can go wrong is a table (`misbehaviours.py`); which requests meet it is the caller's choice.
"""

from rig.faults.front import Front, Fronts
from rig.faults.messages import Answer, Request
from rig.faults.misbehaviours import MISBEHAVIOURS

__all__ = ["MISBEHAVIOURS", "Answer", "Front", "Fronts", "Request"]
