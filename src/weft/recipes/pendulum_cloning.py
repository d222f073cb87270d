"""Behaviour cloning of Pendulum: the same episodes and the same model, which is told no return.

    weft train pendulum_cloning --out runs/pendulum_cloning

Cost: about four minutes on two cores. What it comes to is what `pendulum_decision` is held against.
"""

from dataclasses import replace

from weft.recipes.pendulum_decision import recipe as decision

recipe = replace(decision, name="pendulum_cloning", data=replace(decision.data, returns=False), story=__doc__ or "")
